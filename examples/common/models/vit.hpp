// SPDX-License-Identifier: Apache-2.0
// Vision transformers (Dosovitskiy et al. 2020, arXiv 2010.11929) as torchvision has them: the same
// names, shapes and initial distribution of the parameters, so that state dictionaries can be
// exchanged (state_dict.hpp).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>

#include "common/models/image_model.hpp"

namespace examples {

struct ViTOptions {
  int64_t side = 224;   // of the images, a multiple of `patch`
  int64_t patch = 16;   // pixels along one side
  int64_t width = 768;  // numbers in a token, a multiple of `heads`
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t mlp = 3072;  // hidden units after each attention
  // The probability, 0 to below 1, with which a number is dropped in training mode after the
  // position embedding, after attention and after both layers of an MLP.
  double dropout = 0;
  int64_t channels = 3;  // of the images
  int64_t classes = 1000;
};

inline ViTOptions vit_b_16() { return {}; }
// For images of 32 x 32 pixels: 64 patches.
inline ViTOptions vit_tiny() { return {32, 4, 192, 6, 3, 384}; }

struct VisionTransformerEncoder;

struct VisionTransformer : ImageModel {
  // Throws std::invalid_argument if `side` or `width` is no such multiple or is below 1.
  explicit VisionTransformer(const ViTOptions& options);
  // Images of another side than that of the options are a std::invalid_argument.
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  int64_t side_;
  torch::Tensor class_token_;  // [1, 1, width]
  torch::nn::Conv2d conv_proj_{nullptr};
  std::shared_ptr<VisionTransformerEncoder> encoder_;
  torch::nn::Linear head_{nullptr};
};

}  // namespace examples
