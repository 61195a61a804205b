// SPDX-License-Identifier: Apache-2.0
// Labelled images, wherever they lie: in memory, in files of a folder, in a packed file.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/data/box.hpp"

namespace examples {

// Chooses the part of an image of that size which is read.
using ChooseBox = std::function<Box(int64_t height, int64_t width)>;

class ImageData {
 public:
  virtual ~ImageData() = default;
  ImageData() = default;
  ImageData(const ImageData&) = delete;
  ImageData& operator=(const ImageData&) = delete;

  virtual int64_t channels() const = 0;  // 1: grey levels, 3: red, green, blue

  // The image number `index` as messages name it, such as its file.
  virtual std::string name(int64_t index) const = 0;

  // The chosen box of the image number `index`, resized: uint8 [side, side, channels], contiguous.
  // May be called by several threads at once. Throws std::runtime_error naming the image if it
  // cannot be read.
  virtual torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const = 0;

  int64_t size() const { return static_cast<int64_t>(targets.size()); }

  std::vector<std::string> classes;  // the name of each class
  std::vector<int64_t> targets;      // the class of each image
};

}  // namespace examples
