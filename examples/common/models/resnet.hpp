// SPDX-License-Identifier: Apache-2.0
// Residual networks (He et al. 2015, arXiv 1512.03385) as torchvision has them: the same names,
// shapes and initial distribution of the parameters, so that state dictionaries can be exchanged
// (state_dict.hpp). The bottleneck has its stride in the 3 x 3 convolution ("v1.5").
#pragma once

#include <torch/torch.h>

#include <array>
#include <cstdint>

#include "common/models/image_model.hpp"

namespace examples {

enum class ResNetBlockKind {
  kBasic,       // two 3 x 3 convolutions
  kBottleneck,  // 1 x 1, 3 x 3, and 1 x 1 to four times the channels
};

enum class ResNetStem {
  kImageNet,  // 7 x 7 convolution with stride 2, 3 x 3 max pooling with stride 2
  kSmall,     // 3 x 3 convolution with stride 1, for images of 32 x 32 pixels
};

struct ResNetOptions {
  ResNetBlockKind block = ResNetBlockKind::kBasic;
  std::array<int64_t, 4> layers = {2, 2, 2, 2};  // blocks of each stage
  ResNetStem stem = ResNetStem::kImageNet;
  int64_t channels = 3;  // of the images
  int64_t classes = 1000;
};

// The options of torchvision's networks of these names, but for channels and classes.
inline ResNetOptions resnet18() { return {}; }
inline ResNetOptions resnet34() { return {ResNetBlockKind::kBasic, {3, 4, 6, 3}}; }
inline ResNetOptions resnet50() { return {ResNetBlockKind::kBottleneck, {3, 4, 6, 3}}; }
inline ResNetOptions resnet101() { return {ResNetBlockKind::kBottleneck, {3, 4, 23, 3}}; }

struct ResNet : ImageModel {
  explicit ResNet(const ResNetOptions& options);
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  bool pooled_stem_;
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::array<torch::nn::Sequential, 4> stages_ = {nullptr, nullptr, nullptr, nullptr};
  torch::nn::Linear fc_{nullptr};
};

}  // namespace examples
