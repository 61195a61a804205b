// SPDX-License-Identifier: Apache-2.0
// What the tasks that train classifiers share.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "common/data/in_memory.hpp"
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

}  // namespace drop_in
