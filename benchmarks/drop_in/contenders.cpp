// SPDX-License-Identifier: Apache-2.0
#include "drop_in/contenders.hpp"

#include <torch/optim.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "common/compiled_ivon.hpp"

template class ivon::IVON<ivon::PriceEstimator>;

namespace drop_in {
namespace {

// Where there is no data set, as docs/migration_from_adamw.md says.
constexpr double kEssWithoutData = 1e7;

class LibTorchOptimizer : public TaskOptimizer {
 public:
  explicit LibTorchOptimizer(std::unique_ptr<torch::optim::Optimizer> optimizer)
      : optimizer_(std::move(optimizer)) {}
  void zero_grad() override { optimizer_->zero_grad(); }
  void step() override { optimizer_->step(); }
  void set_lr(double lr) override {
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(lr);
  }

 private:
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

class IvonOptimizer : public TaskOptimizer {
 public:
  IvonOptimizer(const std::vector<torch::Tensor>& parameters, ivon::IVONOptions options,
                uint64_t seed, double lr_factor, int64_t samples)
      : optimizer_(parameters, options), lr_factor_(lr_factor), samples_(samples) {
    optimizer_.manual_seed(seed);
  }
  void zero_grad() override { optimizer_.zero_grad(); }
  void step() override { optimizer_.step(); }
  void set_lr(double lr) override {
    for (auto& group : optimizer_.param_groups()) group.options().set_lr(lr_factor_ * lr);
  }
  void eval() override {
    optimizer_.eval();
    if (std::getenv("DROP_IN_DIAGNOSTICS") != nullptr) std::cerr << ivon::diagnostics(optimizer_);
  }
  void train() override { optimizer_.train(); }
  torch::Tensor averaged(const examples::Logits& logits, const torch::Tensor& inputs) override {
    return examples::predict_averaged(optimizer_, logits, inputs, samples_);
  }

 private:
  ivon::IVON<> optimizer_;
  double lr_factor_;
  int64_t samples_;
};

// LibTorch's optimizer for each kind of options.
std::unique_ptr<torch::optim::Optimizer> make_libtorch(const std::vector<torch::Tensor>& parameters,
                                                       const torch::optim::AdamOptions& usual) {
  return std::make_unique<torch::optim::Adam>(parameters, usual);
}
std::unique_ptr<torch::optim::Optimizer> make_libtorch(const std::vector<torch::Tensor>& parameters,
                                                       const torch::optim::AdamWOptions& usual) {
  return std::make_unique<torch::optim::AdamW>(parameters, usual);
}

double ess_of(double examples) { return examples > 0 ? examples : kEssWithoutData; }

// The task's own optimizer.
class Usual : public Contender {
 public:
  std::unique_ptr<TaskOptimizer> make(const std::vector<torch::Tensor>& parameters,
                                      const UsualOptions& usual,
                                      double /*examples*/) const override {
    return std::make_unique<LibTorchOptimizer>(
        std::visit([&](const auto& options) { return make_libtorch(parameters, options); }, usual));
  }
};

// IVONOptions::like_adamw() of the task's own options. A search changes its numbers.
struct LikeAdamWNumbers {
  double damping = 0;       // times sqrt(ess); 0: that of like_adamw()
  double noise_max = 0;     // 0: that of like_adamw()
  double largest_step = 0;  // in learning rates; 0: that of like_adamw()
  double ess_factor = 1;    // over the number of examples
  double samples = 16;      // of averaged predictions
};

class LikeAdamW : public Contender {
 public:
  LikeAdamW(const LikeAdamWNumbers& numbers, uint64_t seed) : numbers_(numbers), seed_(seed) {}
  std::unique_ptr<TaskOptimizer> make(const std::vector<torch::Tensor>& parameters,
                                      const UsualOptions& usual, double examples) const override {
    const double ess = numbers_.ess_factor * ess_of(examples);
    ivon::IVONOptions options = std::visit(
        [&](const auto& theirs) { return ivon::IVONOptions::like_adamw(theirs, ess); }, usual);
    const double largest_step = options.clip_radius() * options.damping();
    if (numbers_.damping > 0) options.damping(numbers_.damping / std::sqrt(ess));
    options.clip_radius((numbers_.largest_step > 0 ? numbers_.largest_step : largest_step) /
                        options.damping());
    if (numbers_.noise_max > 0) options.noise_max(numbers_.noise_max);
    return std::make_unique<IvonOptimizer>(parameters, options, seed_, 1.0,
                                           static_cast<int64_t>(numbers_.samples));
  }

 private:
  LikeAdamWNumbers numbers_;
  uint64_t seed_;
};

// The paper's parametrisation, as a user takes it from its table: lr 0.1, ess the number of
// examples, everything else by default. The task's schedule multiplies that rate.
class Paper : public Contender {
 public:
  explicit Paper(uint64_t seed) : seed_(seed) {}
  std::unique_ptr<TaskOptimizer> make(const std::vector<torch::Tensor>& parameters,
                                      const UsualOptions& usual, double examples) const override {
    const double lr = std::visit([](const auto& options) { return options.lr(); }, usual);
    const auto options = ivon::IVONOptions(0.1).ess(ess_of(examples)).sample_on_step(true);
    return std::make_unique<IvonOptimizer>(parameters, options, seed_, 0.1 / lr, 16);
  }

 private:
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Contender> make_contender(const nlohmann::json& setting, uint64_t seed) {
  const std::string kind = setting.at("kind");
  if (kind == "usual") return std::make_unique<Usual>();
  if (kind == "paper") return std::make_unique<Paper>(seed);
  if (kind != "like_adamw") throw std::runtime_error("there is no kind of setting '" + kind + "'");
  LikeAdamWNumbers numbers;
  for (const auto& [key, value] : setting.items()) {
    if (key == "kind") continue;
    if (key == "damping") {
      numbers.damping = value;
    } else if (key == "noise_max") {
      numbers.noise_max = value;
    } else if (key == "largest_step") {
      numbers.largest_step = value;
    } else if (key == "ess_factor") {
      numbers.ess_factor = value;
    } else if (key == "samples") {
      numbers.samples = value;
    } else {
      throw std::runtime_error("a setting has no number '" + key + "'");
    }
  }
  return std::make_unique<LikeAdamW>(numbers, seed);
}

}  // namespace drop_in
