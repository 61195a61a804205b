// SPDX-License-Identifier: Apache-2.0
// Draws the samples of a prediction from an optimizer or from a Posterior, and puts the module into
// evaluation mode meanwhile.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/posterior/predict_options.hpp>
#include <ivon/version.hpp>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Puts a module and its submodules into evaluation mode (dropout off, batch normalisation with its
/// running statistics) and gives each its own mode back at the end.
template <class Module, class = void>
class EvaluationMode {
 public:
  // torch::jit::Module: its modules() begins with the module itself.
  explicit EvaluationMode(Module& module) {
    for (const auto& part : module.modules()) modes_.emplace_back(part, part.is_training());
    module.eval();
  }
  ~EvaluationMode() {
    // train() changes the submodules too, so they are set after the module that contains them.
    for (auto& [part, training] : modes_) part.train(training);
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  std::vector<std::pair<Module, bool>> modes_;
};

/// The same for torch::nn::Module, which may live on the stack.
template <class Module>
class EvaluationMode<Module, std::void_t<decltype(std::declval<Module&>().modules(false))>> {
 public:
  explicit EvaluationMode(Module& module) : module_(module), training_(module.is_training()) {
    for (const auto& part : module.modules(/*include_self=*/false)) {
      modes_.emplace_back(part, part->is_training());
    }
    module.eval();
  }
  ~EvaluationMode() {
    module_.train(training_);
    for (auto& [part, training] : modes_) part->train(training);
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  using Part = typename decltype(std::declval<Module&>().modules(false))::value_type;
  Module& module_;
  bool training_;
  std::vector<std::pair<Part, bool>> modes_;
};

/// Returns a guard that lets the module hold the mean between the samples of a prediction.
/// ivon::IVON has a friend function of this name, which is preferred.
template <class Optimizer>
auto mean_while_predicting(Optimizer& optimizer) {
  return optimizer.mean_params();
}

/// Draws from an optimizer: ivon::IVON or an object of another type with sampled_params() and
/// mean_params().
template <class Optimizer>
class OptimizerDraws {
 public:
  explicit OptimizerDraws(Optimizer& optimizer)
      : optimizer_(optimizer), mean_between_(mean_while_predicting(optimizer)) {}
  auto sample() { return optimizer_.sampled_params(); }
  auto mean() { return optimizer_.mean_params(); }

 private:
  Optimizer& optimizer_;
  // With sample_on_step the module shows the training sample again after the last prediction, not
  // after each one.
  decltype(mean_while_predicting(std::declval<Optimizer&>())) mean_between_;
};

/// Draws from a Posterior.
template <class Posterior, class Module>
class PosteriorDraws {
 public:
  PosteriorDraws(Posterior& posterior, Module& module)
      : posterior_(posterior), bound_(posterior.bind(module)) {}
  auto sample() { return bound_.sample(posterior_.next_noise()); }
  auto mean() { return bound_.mean(); }

 private:
  Posterior& posterior_;
  decltype(std::declval<Posterior&>().bind(std::declval<Module&>())) bound_;
};

template <class Source, class Module, class = void>
struct DrawsOf {
  static auto make(Source& optimizer, Module& /*module*/) {
    return OptimizerDraws<Source>(optimizer);
  }
};
template <class Source, class Module>
struct DrawsOf<Source, Module,
               std::void_t<decltype(std::declval<Source&>().bind(std::declval<Module&>()))>> {
  static auto make(Source& posterior, Module& module) {
    return PosteriorDraws<Source, Module>(posterior, module);
  }
};

template <class Guard>
auto mirror(Guard& sample, int) -> decltype(sample.mirror()) {
  sample.mirror();
}
template <class Guard>
void mirror(Guard& /*sample*/, long) {
  TORCH_CHECK(false, "ivon: antithetic needs samples that have mirror(); leave the option out");
}

/// Calls visit() once per sample, while the module holds it. After each sample, `settled(n)` tells
/// whether the n samples so far are enough.
template <class Draws, class Visit, class Settled>
void for_each_sample(Draws& draws, const PredictOptions& options, const Visit& visit,
                     const Settled& settled) {
  if (options.samples() == 0) {
    [[maybe_unused]] const auto mean = draws.mean();
    visit();
    return;
  }
  for (int64_t drawn = 0; drawn < options.samples();) {
    auto sample = draws.sample();
    visit();
    ++drawn;
    if (options.antithetic()) {
      mirror(sample, 0);
      visit();
      ++drawn;
    }
    if (settled(drawn)) return;
  }
}

}  // namespace detail
IVON_NAMESPACE_END
