// SPDX-License-Identifier: Apache-2.0
// A small convolutional network with batch normalisation and dropout on Fashion-MNIST, Adam with
// its default settings: a constant rate of 1e-3, without weight decay, batches of 64. The full form
// trains for about twelve epochs.
#include <torch/torch.h>

#include "drop_in/classifier.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

// Both convolutions go without padding, so the sides of the images are 28, 26, 13, 11 and 5.
torch::nn::Sequential cnn_network() {
  return torch::nn::Sequential(
      torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 16, /*kernel_size=*/3)),
      torch::nn::BatchNorm2d(16), torch::nn::ReLU(), torch::nn::MaxPool2d(2),
      torch::nn::Conv2d(torch::nn::Conv2dOptions(16, 32, /*kernel_size=*/3)),
      torch::nn::BatchNorm2d(32), torch::nn::ReLU(), torch::nn::MaxPool2d(2), torch::nn::Flatten(),
      torch::nn::Linear(32 * 5 * 5, 64), torch::nn::ReLU(), torch::nn::Dropout(0.5),
      torch::nn::Linear(64, 10));
}

}  // namespace

Result train_cnn(const Run& run) {
  torch::manual_seed(run.seed);
  torch::nn::Sequential model = cnn_network();
  // The running statistics of batch normalisation are those of the weights that the module shows
  // during training. They are left as they are when the optimizer shows other weights afterwards,
  // as a user would leave them.
  return train_classifier(run, *model, {torch::optim::AdamOptions(/*lr=*/1e-3), 64, 11'000});
}

}  // namespace drop_in
