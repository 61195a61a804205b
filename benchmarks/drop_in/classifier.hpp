// SPDX-License-Identifier: Apache-2.0
// What the tasks that train classifiers share.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>

#include "common/data/in_memory.hpp"
#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {

/// Returns the rate of step `step` (0 ... steps - 1) of a cosine schedule from `lr` to 0.
double cosine(double lr, int64_t step, int64_t steps);

/// Returns the error rate as merit, and the scores at the mean and averaged, of a Sequential or any
/// other module with forward(Tensor) -> logits.
template <class Module>
Result score_classifier(Module& module, TaskOptimizer& optimizer, const examples::InMemory& test);

/// The same for a forward pass given as a function.
Result score_classifier(torch::nn::Module& module, TaskOptimizer& optimizer,
                        const examples::Logits& logits, const examples::InMemory& test);

template <class Module>
Result score_classifier(Module& module, TaskOptimizer& optimizer, const examples::InMemory& test) {
  return score_classifier(
      module, optimizer, [&](const torch::Tensor& inputs) { return module.forward(inputs); }, test);
}

/// How a classifier of Fashion-MNIST is trained.
struct ClassifierTraining {
  UsualOptions usual;      // the optimizer that the task usually has
  int64_t batch_size = 0;  // examples per step
  double full_steps = 0;   // steps of the full form
  /// Returns the rate of step `step` (0 ... steps - 1); without it the rate is constant.
  std::function<double(int64_t step, int64_t steps)> rate = {};
};

/// Trains `module` on Fashion-MNIST with the mean cross-entropy and returns its scores.
template <class Module>
Result train_classifier(const Run& run, Module& module, const ClassifierTraining& training) {
  const FashionMnist& data = fashion_mnist();
  Batches batches(data.train.size(), training.batch_size, run.seed);
  const auto optimizer = run.contender.make(module.parameters(), training.usual,
                                            static_cast<double>(data.train.size()));
  const int64_t steps = run.scaled(training.full_steps);
  for (int64_t step = 0; step < steps; ++step) {
    if (training.rate) optimizer->set_lr(training.rate(step, steps));
    const examples::InMemory batch = data.train.batch(batches.next());
    optimizer->zero_grad();
    torch::nn::functional::cross_entropy(module.forward(batch.inputs), batch.targets).backward();
    optimizer->step();
  }
  return score_classifier(module, *optimizer, data.test);
}

}  // namespace drop_in
