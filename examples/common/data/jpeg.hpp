// SPDX-License-Identifier: Apache-2.0
// JPEG images, decoded by libjpeg-turbo (https://libjpeg-turbo.org; Debian: libjpeg62-turbo-dev).
// Only the wanted part of an image is transformed from frequencies to pixels, at a reduced scale
// where that suffices. Only the examples that read images need the library: ${image_sources} of
// common/sources.cmake.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/data/box.hpp"
#include "common/data/resize.hpp"

namespace examples {

struct JpegHeader {
  int64_t height = 0, width = 0;  // as stored, before the EXIF orientation is applied
  // 1 to 8 as in the EXIF standard: how the stored image has to be turned or mirrored to be seen
  // upright. 1 (not at all) where there is no EXIF data or where they are damaged.
  int orientation = 1;
};

// Pixels of a JPEG image around a box, at full size or at a reduced scale.
struct JpegPart {
  at::Tensor pixels;  // uint8 [rows, columns, channels]: 3 for red, green and blue, or 1 for grey
  RealBox box;        // where the box lies in `pixels`
};

// The functions below throw std::runtime_error for what is no JPEG image that libjpeg-turbo can
// decode, is damaged, has more than 500 scans, or is too large (image_limits.hpp). `name` is the
// name of the file that the message begins with.
JpegHeader read_jpeg_header(const std::string& name, const std::vector<uint8_t>& bytes);

// The part of the stored image that `box` covers, at the smallest scale that keeps at least
// `height` x `width` pixels in the box. The box must lie in the image. Damage in the data that
// follow the part is not noticed, because they are not decoded.
JpegPart read_jpeg(const std::string& name, const std::vector<uint8_t>& bytes, const Box& box,
                   int64_t height, int64_t width);

}  // namespace examples
