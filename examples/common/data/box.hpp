// SPDX-License-Identifier: Apache-2.0
// A rectangle of an image, in pixels.
#pragma once

#include <cstdint>

namespace examples {

// Rows top to top + height - 1 and columns left to left + width - 1. height, width >= 0; a box with
// 0 has no pixels, and those that are cut out of an image have at least 1. A box may reach beyond
// its image: what lies outside is black.
struct Box {
  int64_t top = 0, left = 0, height = 1, width = 1;

  bool operator==(const Box& other) const {
    return top == other.top && left == other.left && height == other.height && width == other.width;
  }
};

}  // namespace examples
