// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <torch/torch.h>

#include <stdexcept>

#include "benchmarks/common/fused_adamw.hpp"
#include "benchmarks/common/timed_steps.hpp"
#include "common/optimizers.hpp"

namespace vision_benchmark {
namespace {

constexpr int64_t kSeed = 1;
constexpr int64_t kClasses = 1000;
constexpr double kTrainingImages = 1281167;  // ImageNet's: the effective sample size of IVON

image_classification::Description description(const TrainingSettings& s) {
  image_classification::Description about;
  about.model = s.model;
  about.side = s.side;
  about.files = true;
  about.classes.resize(kClasses);
  about.mean = image_classification::kImageNetMean;  // as compare.py's other side has them
  about.deviation = image_classification::kImageNetDeviation;
  return about;
}

std::unique_ptr<torch::optim::Optimizer> optimizer_of(
    const std::string& name, const std::vector<torch::Tensor>& parameters) {
  const double lr = 1e-3;
  if (name == "adamw") {
    return std::make_unique<benchmark_common::FusedAdamW>(parameters,
                                                          torch::optim::AdamWOptions(lr));
  }
  if (name == "ivon") {
    examples::OptimizerSettings settings = examples::optimizer_settings("ivon");
    settings.lr = lr;
    settings.ess = kTrainingImages;
    settings.sample_on_step = true;
    return examples::make_optimizer(settings, parameters);
  }
  throw std::invalid_argument("the optimizer must be adamw or ivon, got " + name);
}

}  // namespace

Training::Training(const TrainingSettings& settings)
    : settings_(settings),
      network_(image_classification::make_network(description(settings), kSeed, torch::kCPU,
                                                  settings.bf16, settings.channels_last)),
      optimizer_(optimizer_of(settings.optimizer, network_.model->parameters())) {
  network_.model->train();
  images_ = torch::randint(0, 256, {settings.batch, 3, settings.side, settings.side}, torch::kByte);
  targets_ = torch::randint(0, kClasses, {settings.batch}, torch::kLong);
  if (settings.channels_last) images_ = images_.contiguous(torch::MemoryFormat::ChannelsLast);
}

void Training::step(const torch::Tensor& images, const torch::Tensor& targets) {
  const torch::Tensor inputs = network_.inputs(images);
  optimizer_->zero_grad();
  torch::cross_entropy_loss(network_.logits(inputs), targets).backward();
  optimizer_->step();
}

std::vector<double> Training::steps(int64_t count) {
  return benchmark_common::timed_steps(count, [this] { step(images_, targets_); });
}

}  // namespace vision_benchmark
