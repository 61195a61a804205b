// SPDX-License-Identifier: Apache-2.0
// The largest images that are read. A damaged or malicious header cannot ask for more memory.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "common/data/file_error.hpp"

namespace examples {

inline constexpr int64_t kMaxImageSide = 1 << 15;             // pixels in a row or column
inline constexpr int64_t kMaxImagePixels = int64_t{1} << 26;  // 256 MB with four channels

// Throws std::runtime_error that begins with `name`, the image's file, if an image with that many
// pixels is too large. height, width: 0 to 2^32 - 1.
inline void check_image_size(const std::string& name, int64_t height, int64_t width) {
  if (height <= kMaxImageSide && width <= kMaxImageSide && height * width <= kMaxImagePixels)
    return;
  fail_file(name, fmt::format("must have at most {} pixels in a row or column and {} in all, but "
                              "has {} x {}; reduce it or remove it",
                              kMaxImageSide, kMaxImagePixels, width, height));
}

}  // namespace examples
