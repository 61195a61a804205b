// SPDX-License-Identifier: Apache-2.0
// What the tasks that train language models share.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <random>

#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {

/// Returns the mean loss, in nats, of predicting each token of `windows` [n, length + 1] but the
/// first. `model` takes tokens [n, length] and returns logits [n, length, vocabulary].
template <class Model>
torch::Tensor next_token_loss(Model& model, const torch::Tensor& windows) {
  const torch::Tensor logits = model->forward(windows.slice(1, 0, -1));
  return torch::nn::functional::cross_entropy(logits.flatten(0, 1), windows.slice(1, 1).flatten());
}

/// Returns as merit the mean loss on `batches` batches of random windows of `validation`, which are
/// the same for all runs.
template <class Model>
Result score_language_model(Model& model, TaskOptimizer& optimizer, const torch::Tensor& validation,
                            int64_t batches, int64_t batch_size, int64_t length) {
  optimizer.eval();
  model->eval();
  const torch::NoGradGuard no_grad;
  std::mt19937_64 fixed(1);
  Result result;
  for (int64_t i = 0; i < batches; ++i) {
    const torch::Tensor windows = random_windows(validation, batch_size, length, fixed);
    result.merit +=
        next_token_loss(model, windows).template item<double>() / static_cast<double>(batches);
  }
  return result;
}

}  // namespace drop_in
