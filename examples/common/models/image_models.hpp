// SPDX-License-Identifier: Apache-2.0
// The image classifiers of the examples by name.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/models/image_model.hpp"

namespace examples {

struct ImageModelInfo {
  std::string name, description;
  int64_t side;  // the usual side of the images in pixels
};

// All of them, in the order of documentation.
const std::vector<ImageModelInfo>& image_models();

// The entry of that name. Throws std::invalid_argument listing the names that there are.
const ImageModelInfo& image_model_info(const std::string& name);

// A model with new random parameters for images [n, channels, side, side] and logits [n, classes].
// Throws std::invalid_argument if the name is unknown, a number is below 1, or the model cannot
// take images of that side.
std::shared_ptr<ImageModel> make_image_model(const std::string& name, int64_t channels,
                                             int64_t classes, int64_t side);

// Puts every parameter of four dimensions, as convolutions have them, into channels-last order, the
// CPU's and the tensor cores' fastest; the values stay. Before the optimizer is made.
void to_channels_last(torch::nn::Module& module);

}  // namespace examples
