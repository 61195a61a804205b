// SPDX-License-Identifier: Apache-2.0
// Which part of an image is shown to the network: random boxes for training and central ones for
// tests. The image has height x width pixels, both at least 1, and so have the boxes. The functions
// only choose; cutting and scaling are done elsewhere.
#pragma once

#include <cstdint>

#include "common/data/box.hpp"
#include "common/data/example_random.hpp"

namespace examples {

// The part of the shorter side that a network usually sees of a test image, as 224 pixels of 256.
inline constexpr double kCentralShare = 7.0 / 8;

// A box with a random area, `smallest_area` to 1 of the image's, a random ratio of width to height,
// 3/4 to 4/3 (uniform on the logarithmic scale), and a random place (Szegedy et al. 2015,
// arXiv 1409.4842; the rules of torchvision's RandomResizedCrop). Ten boxes are tried; if none fits
// into the image, the result is the largest central box whose ratio is in the range. Throws
// std::invalid_argument unless 0 < smallest_area <= 1.
Box random_resized_crop(int64_t height, int64_t width, ExampleRandom& random,
                        double smallest_area = 0.08);

// A box of side x side pixels, equally likely at each place inside the image with a black margin of
// `padding` >= 0 pixels. An image that is smaller than `side` is first centred in a black square of
// that side.
Box padded_crop(int64_t height, int64_t width, int64_t side, int64_t padding,
                ExampleRandom& random);

// The image but for a random part of each axis: up to `most_cut` of the height, a whole number of
// rows, all equally likely, split at random between top and bottom; and so of the width. Throws
// std::invalid_argument unless 0 <= most_cut < 1.
Box shifted_crop(int64_t height, int64_t width, ExampleRandom& random, double most_cut = 0.125);

// The central square whose side is `share` of the image's shorter side, at least one pixel. Throws
// std::invalid_argument unless 0 < share <= 1.
Box centre_crop(int64_t height, int64_t width, double share = kCentralShare);

// The central square of side x side pixels; it reaches beyond an image that is smaller.
Box centred(int64_t height, int64_t width, int64_t side);

}  // namespace examples
