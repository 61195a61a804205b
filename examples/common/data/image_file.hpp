// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files: parts of images at the size that a network takes. Only the examples that read
// images need it: ${image_sources} of common/sources.cmake.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/data/box.hpp"

namespace examples {

struct ImageSize {
  int64_t height = 0, width = 0;  // of the image as EncodedImage means it
};

// The size that EncodedImage(file) has, usually from the first 64 KiB of the file alone. Throws
// what that constructor throws.
ImageSize image_size(const std::filesystem::path& file);

// An image file in memory. "The image" is what a viewer shows: turned as the EXIF orientation of a
// JPEG file asks, and on a white ground where a PNG file is transparent. All functions may be
// called from several threads at once.
class EncodedImage {
 public:
  // Reads the file, whose first bytes decide whether it is JPEG or PNG, and its header. Throws
  // std::runtime_error naming the file and the reason if it cannot be read, is neither, is damaged
  // so far, or is too large (file_bytes.hpp, image_limits.hpp).
  explicit EncodedImage(const std::filesystem::path& file);

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }

  // The box of the image resized to uint8 [height, width, 3] of red, green and blue as by `resized`
  // of resize.hpp, which uses nothing outside of the box here; only where a JPEG file is decoded at
  // a reduced scale, its pixels at the edges of the box are means that reach up to 7 pixels of the
  // full size beyond it. A box of the size of the result may reach beyond the image, where it is
  // black; others throw std::invalid_argument. Throws
  // std::runtime_error naming the file and the reason if the part of it that is needed is damaged.
  // Starts no threads.
  at::Tensor read(const Box& box, int64_t height, int64_t width) const;

 private:
  at::Tensor read_stored(const Box& box, int64_t height, int64_t width) const;

  std::string name_;
  std::vector<uint8_t> bytes_;
  bool is_jpeg_ = false;
  int orientation_ = 1;  // EXIF's
  int64_t height_ = 0, width_ = 0;
};

// Whether the name ends in .jpg, .jpeg or .png, in upper or lower case.
bool is_image_name(const std::filesystem::path& file);

}  // namespace examples
