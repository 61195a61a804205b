// SPDX-License-Identifier: Apache-2.0
#include "drop_in/classifier.hpp"

#include <cmath>

namespace drop_in {

double cosine(double lr, int64_t step, int64_t steps) {
  const double progress = static_cast<double>(step) / static_cast<double>(steps);
  return lr * 0.5 * (1 + std::cos(std::acos(-1.0) * progress));
}

Result score_classifier(torch::nn::Module& module, TaskOptimizer& optimizer,
                        const examples::Logits& logits, const examples::InMemory& test) {
  optimizer.eval();
  module.eval();
  Result result;
  result.mean = examples::score(examples::predict(logits, test.inputs), test.targets);
  result.merit = 1 - result.mean->accuracy;
  const torch::Tensor averaged = optimizer.averaged(logits, test.inputs);
  if (averaged.defined()) result.averaged = examples::score(averaged, test.targets);
  return result;
}

}  // namespace drop_in
