// SPDX-License-Identifier: Apache-2.0
// A network in the manner of LeNet-5 (LeCun et al. 1998) with ReLU and max pooling. For images of
// 28 x 28 pixels with one channel and ten classes it has 61,706 parameters.
#pragma once

#include <fmt/format.h>
#include <torch/torch.h>

#include <cstdint>
#include <stdexcept>

#include "common/models/image_model.hpp"

namespace examples {

struct LeNet : ImageModel {
  // Throws std::invalid_argument if `side`, that of the images in pixels, is below 12.
  LeNet(int64_t channels, int64_t classes, int64_t side) {
    if (side < 12) {
      throw std::invalid_argument(fmt::format(
          "lenet: the side of the images must be at least 12 pixels, but is {}; enlarge them",
          side));
    }
    const int64_t last_side = (side / 2 - 4) / 2;  // 5 for 28, 6 for 32
    conv1_ = register_module(
        "conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, 6, 5).padding(2)));
    conv2_ = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 16, 5)));
    fc1_ = register_module("fc1", torch::nn::Linear(16 * last_side * last_side, 120));
    fc2_ = register_module("fc2", torch::nn::Linear(120, 84));
    fc3_ = register_module("fc3", torch::nn::Linear(84, classes));
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = torch::max_pool2d(conv1_->forward(images).relu_(), 2);  // side / 2
    x = torch::max_pool2d(conv2_->forward(x).relu_(), 2).flatten(1);
    x = fc1_->forward(x).relu_();  // [n, 120]
    x = fc2_->forward(x).relu_();  // [n, 84]
    return fc3_->forward(x);
  }

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr}, fc3_{nullptr};
};

}  // namespace examples
