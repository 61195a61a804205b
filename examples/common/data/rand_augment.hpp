// SPDX-License-Identifier: Apache-2.0
// RandAugment (Cubuk et al. 2019, arXiv 1909.13719) with the operations, magnitudes and signs of
// torchvision.transforms.RandAugment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/data/example_random.hpp"
#include "common/data/image_operations.hpp"

namespace examples {

constexpr int64_t kStrongestMagnitude = 30;

struct RandAugmentSettings {
  int64_t operations = 2;  // one after the other on each image
  int64_t magnitude = 9;   // 0 (nothing, or close to it) to kStrongestMagnitude
};

// One of the operations.
struct Augmentation {
  const char* name;  // torchvision's: "ShearX"
  // Changes the image. An operation without a magnitude ignores the argument.
  void (*apply)(const ImageView& image, double magnitude);
  // The magnitude in the operation's unit for strength 0 to 1; 0 for an operation without.
  double (*magnitude)(double strength, const ImageView& image);
  bool either_sign;  // the negative magnitude is as likely as the positive one
};

constexpr size_t kAugmentations = 14;

// In torchvision's order.
const std::array<Augmentation, kAugmentations>& augmentations();

// Applies operations that are drawn independently and evenly from the list above. Changes the image
// in place, on this thread only. Throws std::invalid_argument if the image is empty or has other
// than 1 or 3 channels, or if a setting is outside its range.
void rand_augment(const ImageView& image, const RandAugmentSettings& settings,
                  ExampleRandom& random);

}  // namespace examples
