// SPDX-License-Identifier: Apache-2.0
// What all image classifiers of the examples have in common, and the convolutions of those that
// normalise after each convolution.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace examples {

struct ImageModel : torch::nn::Module {
  using torch::nn::Module::Module;

  // images [n, channels, side, side] float32 -> logits [n, classes]
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;
};

// A convolution without bias whose result has 1 / `stride` of the side; `kernel` is odd. A
// normalisation is to follow, which would undo a bias.
inline torch::nn::Conv2d same_convolution(int64_t in, int64_t out, int64_t kernel,
                                          int64_t stride = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel)
                               .stride(stride)
                               .padding((kernel - 1) / 2)
                               .bias(false));
}

// Draws the weights of all convolutions in `module` anew: normal with variance 2 / (outputs that an
// input reaches), which keeps the size of gradients through ReLU (He et al. 2015, arXiv
// 1502.01852).
inline void init_convolutions(torch::nn::Module& module) {
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* convolution = part->as<torch::nn::Conv2d>()) {
      torch::nn::init::kaiming_normal_(convolution->weight, 0, torch::kFanOut, torch::kReLU);
    }
  }
}

}  // namespace examples
