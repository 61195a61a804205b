// SPDX-License-Identifier: Apache-2.0
// Changes the size of images as Pillow's and torchvision's antialiased bilinear resize do.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "common/data/box.hpp"

namespace examples {

// A rectangle of an image whose edges may lie within pixels. Pixel [y, x] covers y to y + 1 and x
// to x + 1.
struct RealBox {
  double top = 0, left = 0, height = 1, width = 1;
};

inline RealBox real_box(const Box& box) {
  return {static_cast<double>(box.top), static_cast<double>(box.left),
          static_cast<double>(box.height), static_cast<double>(box.width)};
}

// The box of the image resized to [height, width, c]. Each result is the mean of the pixels around
// its place with weights that fall linearly to 0 at the distance of one pixel of the result, or of
// the image if those are larger; then rounded. Like Pillow's resize with a box, it uses pixels of
// the image that lie outside of the box, next to its edges.
//
// `pixels`: uint8 [h, w, c] with c 1 or 3; a row's w * c values are contiguous. The box must lie in
// the image, with one exception: a box with whole-numbered edges and the size of the result is
// copied, and what lies outside of the image is black. Throws std::invalid_argument otherwise.
//
// It starts no threads, so that several threads may resize one image each.
at::Tensor resized(const at::Tensor& pixels, const RealBox& box, int64_t height, int64_t width);

}  // namespace examples
