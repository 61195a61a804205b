// SPDX-License-Identifier: Apache-2.0
// PNG images, decoded by libspng (https://libspng.org; Debian: libspng-dev). This file is not part
// of the library of examples/common, so that only the examples that read PNG need libspng:
// ${png_sources} of common/sources.cmake.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace examples {

// The pixels of a PNG file of any colour type and depth as a uint8 tensor [height, width, 4] of
// red, green, blue and opacity (0 is transparent). Throws std::runtime_error naming the file and
// the reason if it cannot be read, is damaged, or is too large (file_bytes.hpp, image_limits.hpp).
at::Tensor read_png(const std::filesystem::path& file);

struct PngHeader {
  int64_t height = 0, width = 0;
};

// The same for the bytes of a file in memory; `name` is what the messages call it.
PngHeader read_png_header(const std::string& name, const std::vector<uint8_t>& bytes);

// The image as it looks on a white ground: uint8 [height, width, 3] of red, green and blue, or
// [height, width, 1] for grey levels of at most 8 bits without transparency.
at::Tensor read_png_on_white(const std::string& name, const std::vector<uint8_t>& bytes);

}  // namespace examples
