// SPDX-License-Identifier: Apache-2.0
// A network for images of 28 x 28 pixels: two convolutions and two linear layers, 206,922
// parameters, no BatchNorm, and dropout where an example asks for it.
#pragma once

#include <torch/torch.h>

#include "common/autocast.hpp"

namespace examples {

struct ConvNetImpl : torch::nn::Module {
  // `dropout_probability` is the probability, 0 to below 1, with which an input of each linear
  // layer is dropped in training mode. With 0 nothing is drawn from the generator.
  explicit ConvNetImpl(double dropout_probability = 0) : dropout(dropout_probability) {
    const auto conv = [](int64_t in, int64_t out) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, /*kernel_size=*/3).padding(1));
    };
    conv1 = register_module("conv1", conv(1, 16));
    conv2 = register_module("conv2", conv(16, 32));
    hidden = register_module("hidden", torch::nn::Linear(32 * 7 * 7, 128));
    output = register_module("output", torch::nn::Linear(128, 10));
  }

  // images [n, 1, 28, 28] -> logits [n, 10]
  torch::Tensor forward(const torch::Tensor& images) {
    torch::Tensor x = torch::max_pool2d(torch::relu(conv1->forward(images)), 2);  // [n, 16, 14, 14]
    x = torch::max_pool2d(torch::relu(conv2->forward(x)), 2);                     // [n, 32, 7, 7]
    x = torch::relu(hidden->forward(dropped(x.flatten(1))));                      // [n, 128]
    return output->forward(dropped(x));
  }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::Linear hidden{nullptr}, output{nullptr};
  double dropout;

 private:
  torch::Tensor dropped(const torch::Tensor& x) const {
    return dropout > 0 ? torch::dropout(x, dropout, is_training()) : x;
  }
};
TORCH_MODULE(ConvNet);

// Puts the weights of the convolutions into channels-last order, the CPU's and the tensor cores'
// fastest; their values stay. Before the optimizer is made.
inline void to_channels_last(ConvNet& model) {
  const torch::NoGradGuard no_grad;
  for (auto& conv : {model->conv1, model->conv2}) {
    conv->weight.set_data(conv->weight.detach().contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

// images [n, 1, 28, 28] -> logits [n, 10] float32; with `bf16`, convolutions and products in
// bfloat16.
inline torch::Tensor logits(ConvNet& model, const torch::Tensor& images, bool bf16) {
  const Autocast autocast(images.device().type(), bf16);
  return model->forward(images).to(torch::kFloat);
}

}  // namespace examples
