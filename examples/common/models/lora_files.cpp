// SPDX-License-Identifier: Apache-2.0
// The exchange of adapters with Hugging Face's `peft`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "common/data/file_error.hpp"
#include "common/models/lora.hpp"
#include "common/models/model_files.hpp"
#include "common/models/safetensors.hpp"

namespace examples {
namespace {

constexpr const char* kLoraTensors = "adapter_model.safetensors";
constexpr const char* kLoraConfig = "adapter_config.json";

// The name of a matrix in the file: "A" is [rank, inputs], "B" [outputs, rank].
std::string lora_file_name(const std::string& projection, const char* matrix) {
  return fmt::format("base_model.model.transformer.{}.lora_{}.weight", projection, matrix);
}

LoraOptions read_lora_config(const std::filesystem::path& file) {
  const JsonFile config(file);
  if (config.value("peft_type") != "LORA") config.fail("peft_type", "must be \"LORA\"");
  config.check("bias", "none");
  config.check("lora_bias", false);
  config.check("use_rslora", false);
  config.check("use_dora", false);
  config.check("rank_pattern", nlohmann::json::object());
  config.check("alpha_pattern", nlohmann::json::object());
  for (const char* name : {"modules_to_save", "layers_to_transform", "exclude_modules",
                           "target_parameters", "trainable_token_indices"}) {
    config.check(name, nullptr);
  }
  LoraOptions options;
  options.rank = config.size("r");
  const nlohmann::json& alpha = config.value("lora_alpha");
  if (!alpha.is_number() || !std::isfinite(alpha.get<double>())) {
    config.fail("lora_alpha", "must be a number");
  }
  options.alpha = alpha.get<double>();
  const nlohmann::json& targets = config.value("target_modules");
  const char* rule = "must be a list of one name or more; write out the modules";
  if (!targets.is_array() || targets.empty()) config.fail("target_modules", rule);
  options.targets.clear();
  for (const nlohmann::json& target : targets) {
    if (!target.is_string()) config.fail("target_modules", rule);
    options.targets.push_back(target.get<std::string>());
  }
  return options;
}

// Throws std::logic_error unless the model's adapters are those that the options describe.
void check_lora_adapters(const Gpt2& model, const LoraOptions& options) {
  const auto chosen = lora_projections(model, options.targets);
  const double scale = options.alpha / static_cast<double>(options.rank);
  for (const auto& [name, projection] : model.projections()) {
    const bool is_chosen = std::any_of(
        chosen.begin(), chosen.end(),
        [&projection = projection](const auto& item) { return item.second == projection; });
    const int64_t rank = projection->has_adapter() ? projection->lora_a.size(0) : 0;
    if (rank == (is_chosen ? options.rank : 0) && (rank == 0 || projection->scale == scale)) {
      continue;
    }
    throw std::logic_error(fmt::format(
        "LoRA: the options must be those of the model's adapters, but they give {} the rank {} and "
        "the scale {}, and it has {} and {}; use those of add_lora() or load_lora()",
        name, is_chosen ? options.rank : 0, is_chosen ? scale : 0, rank, projection->scale));
  }
}

}  // namespace

void save_lora(const Gpt2& model, const LoraOptions& options, const std::filesystem::path& folder) {
  check_lora_adapters(model, options);
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, projection] : model.projections()) {
    if (!projection->has_adapter()) continue;
    tensors[lora_file_name(name, "A")] = projection->lora_a.to(at::kFloat);
    tensors[lora_file_name(name, "B")] = projection->lora_b.to(at::kFloat);
  }
  // The layers of transformers' GPT-2 keep their weights transposed, which is "fan_in_fan_out".
  const nlohmann::ordered_json config = {{"peft_type", "LORA"},
                                         {"task_type", "CAUSAL_LM"},
                                         {"base_model_name_or_path", nullptr},
                                         {"r", options.rank},
                                         {"lora_alpha", options.alpha},
                                         {"lora_dropout", 0.0},
                                         {"target_modules", options.targets},
                                         {"fan_in_fan_out", true},
                                         {"bias", "none"},
                                         {"inference_mode", true}};
  save_model_files(folder / kLoraTensors, tensors, folder / kLoraConfig, config);
}

LoraOptions load_lora(Gpt2& model, const std::filesystem::path& folder) {
  const LoraOptions options = read_lora_config(folder / kLoraConfig);
  const std::filesystem::path file = folder / kLoraTensors;
  const Safetensors tensors(file);
  const auto chosen = lora_projections(model, options.targets);
  TensorShapes shapes;
  for (const auto& [name, projection] : chosen) {
    shapes[lora_file_name(name, "A")] = {options.rank, projection->weight.size(1)};
    shapes[lora_file_name(name, "B")] = {projection->weight.size(0), options.rank};
  }
  check_tensors(tensors, file, shapes, {});
  try {
    add_lora(model, options, /*seed=*/0);
  } catch (const std::invalid_argument& error) {
    fail_file(folder / kLoraConfig, error.what());
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, projection] : chosen) {
    projection->lora_a.copy_(tensors.tensor(lora_file_name(name, "A")));
    projection->lora_b.copy_(tensors.tensor(lora_file_name(name, "B")));
  }
  return options;
}

}  // namespace examples
