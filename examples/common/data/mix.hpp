// SPDX-License-Identifier: Apache-2.0
// Mixtures of the images of a batch and of their labels: mixup (Zhang et al. 2017,
// arXiv 1710.09412) and CutMix (Yun et al. 2019, arXiv 1905.04899), on the device of the batch.
// The i-th of n images is mixed with the i-th from the end; shuffled batches make that a random
// partner. All images of a batch have the same weight lambda, the first image's share of the
// result.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "common/data/box.hpp"
#include "common/data/example_random.hpp"

namespace examples {

struct MixSettings {
  // lambda is drawn from the distribution Beta(alpha, alpha); 0 switches the method off.
  double mixup_alpha = 0;
  double cutmix_alpha = 0;
  double label_smoothing = 0;  // s: targets are 1 - s of the label and s of all classes alike
};

struct Mixed {
  torch::Tensor inputs;   // [n, c, h, w], type and memory format as before
  torch::Tensor targets;  // [n, classes] float32, not negative, each row with the sum 1
};

// Mixes inputs [n, c, h, w] (floating point) with targets [n] int64 by the method that is switched
// on, or if both are by one of the two that a coin chooses. If neither is, `inputs` are returned
// themselves. Otherwise the arguments do not change and share no memory with the result. Throws
// std::invalid_argument for other shapes or types, for alpha < 0 and for label_smoothing outside
// 0 to 1. Each target must be 0 to classes - 1.
Mixed mix(const torch::Tensor& inputs, const torch::Tensor& targets, int64_t classes,
          const MixSettings& settings, ExampleRandom& random);

// The parts of which mix() is made.

// targets [n] int64 -> [n, classes] float32: label_smoothing / classes for each class, and
// 1 - label_smoothing more for the label.
torch::Tensor soft_targets(const torch::Tensor& targets, int64_t classes, double label_smoothing);

// lambda * values + (1 - lambda) * values in reverse order of the first axis, [n, ...].
torch::Tensor mixed_with_reverse(const torch::Tensor& values, double lambda);

// inputs [n, c, h, w] in which the pixels of the box, which lies inside the image, come from the
// images in reverse order.
torch::Tensor cut_from_reverse(const torch::Tensor& inputs, const Box& box);

// CutMix's box: height x width scaled by sqrt(1 - lambda) around a uniformly drawn point, and what
// of it lies inside the image. Its height or width can be 0.
Box cutmix_box(int64_t height, int64_t width, double lambda, ExampleRandom& random);

// A number in [0, 1] from the distribution Beta(a, b); a, b > 0.
double beta_number(double a, double b, ExampleRandom& random);

}  // namespace examples
