// SPDX-License-Identifier: Apache-2.0
// How an image of a data set becomes one of the network's inputs: cropped, resized, augmented.
#pragma once

#include <cstdint>

#include "common/data/image_data.hpp"
#include "common/data/rand_augment.hpp"

namespace examples {

// Where the box is not a square, resizing to a square stretches it.
enum class Crop {
  kCentred,        // side x side pixels of the middle, black around a smaller image
  kCentreShare,    // the central square with 7/8 of the shorter side, resized
  kWhole,          // the whole image, resized
  kShifted,        // the image but for up to 1/8 of each axis, cut off at random, resized
  kPadded,         // side x side pixels of the image with 4 black pixels around it, anywhere
  kRandomResized,  // 8 % to 100 % of the area, sides 3:4 to 4:3, resized
};

struct ImageTransform {
  int64_t side = 32;  // of the result, in pixels
  Crop crop = Crop::kCentred;
  bool flip = false;           // left and right are exchanged with probability 1/2
  bool flip_vertical = false;  // top and bottom are exchanged with probability 1/2
  bool rand_augment = false;   // with `augment`
  RandAugmentSettings augment;
  uint64_t seed = 1;  // of all random choices

  // Writes the image number `index` as uint8 [side, side, channels] to `out`. What is random
  // follows from seed, epoch and index. Throws std::runtime_error naming the image if it cannot be
  // read, std::invalid_argument for settings out of range, and std::bad_alloc or c10::Error if
  // memory runs out.
  void apply(const ImageData& data, int64_t index, int64_t epoch, uint8_t* out) const;
};

}  // namespace examples
