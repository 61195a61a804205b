// SPDX-License-Identifier: Apache-2.0
// A multilayer perceptron with dropout on Fashion-MNIST, AdamW with its default weight decay and a
// cosine schedule.
#include <torch/torch.h>

#include "drop_in/classifier.hpp"
#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {

Result train_mlp(const Run& run) {
  torch::manual_seed(run.seed);
  torch::nn::Sequential model(torch::nn::Flatten(), torch::nn::Linear(784, 256), torch::nn::ReLU(),
                              torch::nn::Dropout(0.2), torch::nn::Linear(256, 256),
                              torch::nn::ReLU(), torch::nn::Dropout(0.2),
                              torch::nn::Linear(256, 10));
  const FashionMnist& data = fashion_mnist();
  Batches batches(data.train.size(), /*batch_size=*/128, run.seed);
  const double lr = 1e-3;
  const auto optimizer = run.contender.make(model->parameters(), torch::optim::AdamWOptions(lr),
                                            static_cast<double>(data.train.size()));
  const int64_t steps = run.scaled(20'000);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->set_lr(cosine(lr, step, steps));
    const examples::InMemory batch = data.train.batch(batches.next());
    optimizer->zero_grad();
    torch::nn::functional::cross_entropy(model->forward(batch.inputs), batch.targets).backward();
    optimizer->step();
  }
  return score_classifier(*model, *optimizer, data.test);
}

}  // namespace drop_in
