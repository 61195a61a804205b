// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <memory>
#include <utility>
#include <vector>

#include "common/models/fashion_training.hpp"
#include "common/training.hpp"

namespace uncertainty {
namespace {

examples::TrainingPlan plan_of(const Context& c, const std::string& name, int64_t seed,
                               const std::string& own_prefix, std::vector<std::string> without) {
  examples::TrainingPlan plan = examples::fashion_plan(
      c.s.common, c.list, c.s.training, c.train.size(), c.log, own_prefix, std::move(without));
  plan.name = name;
  plan.seed = seed;
  return plan;
}

examples::ConvNet network_for(const Context& c, int64_t seed) {
  return examples::fashion_network(c.s.common.device, seed, c.s.dropout);
}

Network train_with_adamw(const Context& c, const examples::TrainingPlan& plan) {
  examples::ConvNet model = network_for(c, plan.seed);
  const auto optimizer = examples::make_optimizer(c.s.training.adamw, model->parameters());
  const auto end = examples::train(
      *model, *optimizer, plan, examples::plain_step(model, *optimizer, c.train, c.s.common.bf16));
  return {model, end.seconds};
}

}  // namespace

Network train_adamw(const Context& c, int64_t seed) {
  return train_with_adamw(c, plan_of(c, "AdamW", seed, "adamw-", {"members"}));
}

Network train_member(const Context& c, int64_t member, int64_t seed) {
  constexpr int64_t kApart = 1'000'000;  // members of different seeds have different seeds
  examples::TrainingPlan plan =
      plan_of(c, fmt::format("member{}", member), seed + kApart * member, "adamw-", {});
  plan.epochs = c.s.member_epochs();
  return train_with_adamw(c, plan);
}

Learned train_ivon(const Context& c, const NamedOptimizer& named, int64_t seed,
                   const std::filesystem::path& file) {
  examples::ConvNet model = network_for(c, seed);
  const auto made = examples::make_optimizer(named.settings, model->parameters());
  ivon::IVON<>& optimizer = *examples::as_ivon(*made);
  const bool bf16 = c.s.common.bf16;
  const auto end = examples::train(
      *model, optimizer, plan_of(c, named.name, seed, named.prefix, {"members"}),
      named.settings.sample_on_step ? examples::plain_step(model, optimizer, c.train, bf16)
                                    : examples::ivon_step(model, optimizer, c.train, bf16));
  optimizer.eval();  // the posterior mean, also after the step without a scope
  ivon::Posterior::of(optimizer, *model).save(file.string());
  return {{model, end.seconds},
          ivon::Posterior::load(file.string()).to(torch::Device(c.s.common.device))};
}

}  // namespace uncertainty
