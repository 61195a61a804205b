// SPDX-License-Identifier: Apache-2.0
// A deep and narrow multilayer perceptron on Fashion-MNIST: 16 hidden layers of 32 units with tanh,
// without normalisation or skip connections. Adam with its default settings: a constant rate of
// 1e-3, without weight decay, batches of 128. The weights start with the initialisation of Xavier
// (Glorot), with which the signal neither grows nor fades away in a tanh network of this depth.
#include <torch/torch.h>

#include <memory>

#include "drop_in/classifier.hpp"
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
  return train_classifier(run, *model, {torch::optim::AdamOptions(/*lr=*/1e-3), 128, 60'000});
}

}  // namespace drop_in
