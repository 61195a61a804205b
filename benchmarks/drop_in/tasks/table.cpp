// SPDX-License-Identifier: Apache-2.0
// Regression on a table: a multilayer perceptron learns the logarithm of the prices of diamonds
// with mean squared error, AdamW with its default weight decay and a cosine schedule.
#include <torch/torch.h>

#include <cmath>
#include <cstdint>

#include "drop_in/classifier.hpp"
#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {

Result train_table(const Run& run) {
  torch::manual_seed(run.seed);
  const Table& data = diamonds(run.data);
  torch::nn::Sequential model(torch::nn::Linear(data.train.inputs.size(1), 128), torch::nn::ReLU(),
                              torch::nn::Linear(128, 128), torch::nn::ReLU(),
                              torch::nn::Linear(128, 1));
  Batches batches(data.train.size(), /*batch_size=*/128, run.seed);
  const double lr = 1e-3;
  // A squared error is 2 r^2 times a negative log-likelihood if the errors have the standard
  // deviation r. docs/migration_from_adamw.md says to divide the number of examples by that; r =
  // 0.1 is what one expects here.
  const double examples = static_cast<double>(data.train.size()) / (2 * 0.1 * 0.1);
  const auto optimizer =
      run.contender.make(model->parameters(), torch::optim::AdamWOptions(lr), examples);
  const int64_t steps = run.scaled(60'000);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->set_lr(cosine(lr, step, steps));
    const examples::InMemory batch = data.train.batch(batches.next());
    optimizer->zero_grad();
    torch::mse_loss(model->forward(batch.inputs).squeeze(1), batch.targets).backward();
    optimizer->step();
  }

  optimizer->eval();
  model->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor predictions = model->forward(data.test.inputs).squeeze(1);
  Result result;
  // The root mean squared error of the standardised target.
  result.merit = std::sqrt(torch::mse_loss(predictions, data.test.targets).item<double>());
  return result;
}

}  // namespace drop_in
