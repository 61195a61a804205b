// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>

#include "benchmarks/common/fused_adamw.hpp"
#include "benchmarks/common/timed_steps.hpp"
#include "common/optimizers.hpp"
#include "gpt2/steps.hpp"

namespace gpt2_benchmark {
namespace {

constexpr uint64_t kTrainingSeed = 1;
constexpr double kTrainingTokens = 1e6;  // the effective sample size of IVON

std::unique_ptr<torch::optim::Optimizer> contender_optimizer(
    const std::string& name, const std::vector<torch::Tensor>& parameters) {
  const double lr = 1e-3;
  if (name == "adamw") {
    return std::make_unique<benchmark_common::FusedAdamW>(parameters,
                                                          torch::optim::AdamWOptions(lr));
  }
  examples::OptimizerSettings settings =
      examples::optimizer_settings(name == "adamw-libtorch" ? "adamw" : name);
  settings.ess = kTrainingTokens;
  if (name != "ivon-paper") settings.lr = lr;
  return examples::make_optimizer(settings, parameters);
}

}  // namespace

std::vector<std::string> contenders() { return {"adamw", "adamw-libtorch", "ivon", "ivon-paper"}; }

Training::Training(const StepSettings& settings) {
  const std::vector<std::string> names = contenders();
  if (std::find(names.begin(), names.end(), settings.contender) == names.end()) {
    throw std::invalid_argument(fmt::format("the contender must be one of {}, but is {}",
                                            fmt::join(names, ", "), settings.contender));
  }
  torch::manual_seed(kTrainingSeed);
  model_ = std::make_shared<examples::Gpt2>(settings.model);
  model_->train();
  optimizer_ = contender_optimizer(settings.contender, model_->parameters());
  rows_ = torch::arange(settings.batch);
  const std::vector<int64_t> shape = {settings.batch, settings.tokens};
  inputs_ = torch::randint(0, settings.model.vocabulary, shape, torch::kLong);
  targets_ = torch::randint(0, settings.model.vocabulary, shape, torch::kLong);
  const gpt2::Stepping stepping{
      model_->parameters(), *optimizer_,
      [this](const torch::Tensor& /*rows*/) { return model_->loss(inputs_, targets_); },
      /*accumulate=*/1, settings.clipping};
  step_ = settings.contender == "ivon-paper" ? gpt2::one_sample_step(stepping)
                                             : gpt2::plain_step(stepping);
}

std::vector<double> Training::steps(int64_t count) {
  return benchmark_common::timed_steps(count, [this] { step_(rows_); });
}

}  // namespace gpt2_benchmark
