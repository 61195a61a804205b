// SPDX-License-Identifier: Apache-2.0
// The training whose steps are timed: a network, an optimizer and one random batch.
#pragma once

#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "image_classification/network.hpp"

namespace vision_benchmark {

struct TrainingSettings {
  std::string model = "resnet50";   // a name of examples::image_models()
  int64_t side = 224;               // of the images, in pixels
  int64_t batch = 16;               // images of a step
  std::string optimizer = "adamw";  // "adamw" (fused) or "ivon" (with AdamW's numbers)
  bool channels_last = true;        // the memory order of weights and images
  bool bf16 = false;                // autocast
};

// Steps as those of the example image_classification (its steps.cpp and network.cpp): uint8 images
// to standardised float32, forward pass, cross entropy, backward pass, update. 1000 classes.
class Training {
 public:
  // Throws std::invalid_argument for an unknown model or optimizer.
  explicit Training(const TrainingSettings& settings);

  const TrainingSettings& settings() const { return settings_; }

  // images: uint8 [n, 3, side, side]; targets: int64 [n], 0 to 999
  void step(const torch::Tensor& images, const torch::Tensor& targets);

  // Steps on the fixed random batch; the seconds of each.
  std::vector<double> steps(int64_t count);

 private:
  TrainingSettings settings_;
  image_classification::Network network_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  torch::Tensor images_;   // uint8 [batch, 3, side, side]
  torch::Tensor targets_;  // int64 [batch]
};

}  // namespace vision_benchmark
