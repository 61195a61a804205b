// SPDX-License-Identifier: Apache-2.0
// Pictures that show none of the ten kinds of clothing, made to look like Fashion-MNIST's images:
// what a classifier should be unsure about.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace uncertainty {

struct ClipArt {
  torch::Tensor images;                 // [n, 1, 28, 28] float32, 0..1; undefined if n is 0
  std::vector<std::string> unreadable;  // one message for each file that was left out
};

// Up to `count` of the PNG files below `folder`, spread evenly over all in the order of their
// paths. Symbolic links are left out, because they name files a second time, and so are folders
// named "clothing", which show what Fashion-MNIST shows. Nothing is thrown for a missing folder.
ClipArt read_clip_art(const std::filesystem::path& folder, int64_t count);

// One picture [h, w, 4] uint8 (red, green, blue, opacity) as [1, 28, 28] float32: on white ground,
// extended to a square, in grey levels, averaged over areas, and inverted, so that objects are
// bright on black ground.
torch::Tensor like_fashion_mnist(const torch::Tensor& picture);

}  // namespace uncertainty
