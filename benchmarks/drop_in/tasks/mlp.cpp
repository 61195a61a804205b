// SPDX-License-Identifier: Apache-2.0
// A multilayer perceptron with dropout on Fashion-MNIST, AdamW with its default weight decay and a
// cosine schedule.
#include <torch/torch.h>

#include "drop_in/classifier.hpp"
#include "drop_in/task.hpp"

namespace drop_in {

Result train_mlp(const Run& run) {
  torch::manual_seed(run.seed);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(784, 256), torch::nn::ReLU(),
                              torch::nn::Dropout(0.2), torch::nn::Linear(256, 256),
                              torch::nn::ReLU(), torch::nn::Dropout(0.2),
                              torch::nn::Linear(256, 10));
  const double lr = 1e-3;
  return train_classifier(run, *model,
                          {torch::optim::AdamWOptions(lr), 128, 20'000,
                           [lr](int64_t step, int64_t steps) { return cosine(lr, step, steps); }});
}

}  // namespace drop_in
