// SPDX-License-Identifier: Apache-2.0
// A deep and narrow multilayer perceptron on Fashion-MNIST: 16 hidden layers of 32 units with tanh,
// without normalisation or skip connections. Adam with its default settings: a constant rate of
// 1e-3, without weight decay, batches of 128. The weights start with the initialisation of Xavier
// (Glorot), with which the signal neither grows nor fades away in a tanh network of this depth.
#include <torch/torch.h>

#include <memory>

#include "drop_in/classifier.hpp"
#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

torch::nn::Sequential deep_mlp_network() {
  constexpr int kHiddenLayers = 16;
  constexpr int64_t kWidth = 32;
  torch::nn::Sequential model;
  model->push_back(torch::nn::Flatten());
  int64_t inputs = 784;
  for (int layer = 0; layer < kHiddenLayers; ++layer) {
    model->push_back(torch::nn::Linear(inputs, kWidth));
    model->push_back(torch::nn::Tanh());
    inputs = kWidth;
  }
  model->push_back(torch::nn::Linear(kWidth, 10));
  for (const std::shared_ptr<torch::nn::Module>& module : model->modules(/*include_self=*/false)) {
    if (auto* linear = module->as<torch::nn::Linear>()) {
      torch::nn::init::xavier_normal_(linear->weight);
      torch::nn::init::zeros_(linear->bias);
    }
  }
  return model;
}

}  // namespace

Result train_deep_mlp(const Run& run) {
  torch::manual_seed(run.seed);
  torch::nn::Sequential model = deep_mlp_network();
  const FashionMnist& data = fashion_mnist();
  Batches batches(data.train.size(), /*batch_size=*/128, run.seed);
  const auto optimizer =
      run.contender.make(model->parameters(), torch::optim::AdamOptions(/*lr=*/1e-3),
                         static_cast<double>(data.train.size()));
  const int64_t steps = run.scaled(60'000);
  for (int64_t step = 0; step < steps; ++step) {
    const examples::InMemory batch = data.train.batch(batches.next());
    optimizer->zero_grad();
    torch::nn::functional::cross_entropy(model->forward(batch.inputs), batch.targets).backward();
    optimizer->step();
  }
  return score_classifier(*model, *optimizer, data.test);
}

}  // namespace drop_in
