// SPDX-License-Identifier: Apache-2.0
// Residual networks with few channels for images of 32 x 32 pixels: ResNet-20 (He et al. 2015,
// arXiv 1512.03385) and PreResNet-110 (He et al. 2016, arXiv 1603.05027). Both have three stages of
// 16, 32 and 64 channels whose blocks have two 3 x 3 convolutions.
//
// Where the shape changes, the shortcut is a 1 x 1 convolution with stride 2 (option B of the first
// article), also with filter response normalisation. The article itself takes option A on CIFAR-10,
// which pads with zeros and has 2,752 parameters less.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>

#include "common/models/image_model.hpp"

namespace examples {

enum class SmallResNetNorm {
  kBatchNorm,       // with ReLU
  kFilterResponse,  // with the thresholded linear unit: filter_response_norm.hpp
};

// 20 layers for 3 `blocks` a stage: 6 blocks + 2.
struct SmallResNetOptions {
  SmallResNetNorm norm = SmallResNetNorm::kBatchNorm;
  int64_t blocks = 3;    // of each stage
  int64_t channels = 3;  // of the images
  int64_t classes = 10;
};

// Each convolution is normalised and activated; a block's second one is activated after the input
// was added.
std::shared_ptr<ImageModel> make_small_resnet(const SmallResNetOptions& options);

// With batch norm and ReLU before each convolution; nothing follows the sum. 110 layers for 18
// `blocks` of each stage; `channels` are those of the images.
std::shared_ptr<ImageModel> make_pre_resnet(int64_t blocks, int64_t channels, int64_t classes);

}  // namespace examples
