// SPDX-License-Identifier: Apache-2.0
#include "common/models/lora.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace examples {
namespace {

// Throws std::invalid_argument unless the target ends the name of one of the projections.
void check_lora_target(const Gpt2& model, const std::string& target) {
  if (!lora_projections(model, {target}).empty()) return;
  throw std::invalid_argument(
      fmt::format("LoRA: a target must be the end of a projection's name, but '{}' ends none; "
                  "choose among c_attn, c_proj, c_fc, attn.c_proj and mlp.c_proj",
                  target));
}

void check_lora_rank(const std::string& name, const Projection& projection, int64_t rank) {
  const int64_t most = std::min(projection.weight.size(0), projection.weight.size(1));
  if (rank >= 1 && rank <= most) return;
  throw std::invalid_argument(fmt::format(
      "LoRA: the rank for {} must be 1 to {}, but is {}; choose another rank", name, most, rank));
}

}  // namespace

std::vector<std::pair<std::string, std::shared_ptr<Projection>>> lora_projections(
    const Gpt2& model, const std::vector<std::string>& targets) {
  auto all = model.projections();
  const auto is_other = [&targets](const auto& item) {
    return std::none_of(targets.begin(), targets.end(), [&item](const std::string& target) {
      return ends_with_name(item.first, target);
    });
  };
  all.erase(std::remove_if(all.begin(), all.end(), is_other), all.end());
  return all;
}

void add_lora(Gpt2& model, const LoraOptions& options, uint64_t seed) {
  if (options.targets.empty()) {
    throw std::invalid_argument(
        "LoRA: at least 1 target must be given, but there is none; name c_attn for example");
  }
  for (const std::string& target : options.targets) check_lora_target(model, target);
  const auto chosen = lora_projections(model, options.targets);
  for (const auto& [name, projection] : chosen) {
    if (projection->has_adapter()) {
      throw std::logic_error(fmt::format(
          "LoRA: a layer can carry one adapter, but {} has one already; merge it first", name));
    }
    check_lora_rank(name, *projection, options.rank);
  }
  for (torch::Tensor& parameter : model.parameters()) parameter.set_requires_grad(false);
  const std::optional<at::Generator> generator = at::detail::createCPUGenerator(seed);
  for (const auto& [name, projection] : chosen) {
    projection->add_adapter(options.rank, options.alpha / static_cast<double>(options.rank),
                            generator);
  }
}

std::shared_ptr<Gpt2> merge_lora(const Gpt2& model) {
  const torch::NoGradGuard no_grad;
  Gpt2Options options = model.options();
  options.initialise = false;
  auto merged = std::make_shared<Gpt2>(options);
  const auto from = model.named_parameters();
  merged->to(from["wte.weight"].device(), from["wte.weight"].scalar_type());
  merged->train(model.is_training());
  for (auto& item : merged->named_parameters()) item.value().copy_(from[item.key()]);
  const auto projections = model.projections(), targets = merged->projections();
  for (size_t i = 0; i < targets.size(); ++i) {
    if (!projections[i].second->has_adapter()) continue;
    targets[i].second->weight.copy_(projections[i].second->merged_weight());
  }
  return merged;
}

}  // namespace examples
