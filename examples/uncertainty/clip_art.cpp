// SPDX-License-Identifier: Apache-2.0
#include "clip_art.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <exception>
#include <system_error>

#include "common/data/png.hpp"

namespace uncertainty {
namespace {

constexpr int64_t kClipArtSide = 28;

// Files below a folder of this name show what Fashion-MNIST shows.
bool shows_clothes(const std::filesystem::path& file) {
  return std::find(file.begin(), file.end(), "clothing") != file.end();
}

std::vector<std::filesystem::path> png_files(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(
      folder, fs::directory_options::skip_permission_denied, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unknown;  // a file that has vanished is no file
    const bool is_file = !entry->is_symlink(unknown) && entry->is_regular_file(unknown);
    const std::filesystem::path& file = entry->path();
    if (is_file && file.extension() == ".png" && !shows_clothes(file)) files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

torch::Tensor like_fashion_mnist(const torch::Tensor& picture) {
  const torch::Tensor channels = picture.to(torch::kFloat).div_(255);  // [h, w, 4]
  const torch::Tensor grey =
      0.299 * channels.select(2, 0) + 0.587 * channels.select(2, 1) + 0.114 * channels.select(2, 2);
  // Inverted, white ground is 0, so opacity is a factor and the square is filled up with zeros.
  const torch::Tensor bright = (1 - grey) * channels.select(2, 3);
  const int64_t height = bright.size(0), width = bright.size(1), side = std::max(height, width);
  const int64_t above = (side - height) / 2, left = (side - width) / 2;
  const torch::Tensor square =
      torch::constant_pad_nd(bright, {left, side - width - left, above, side - height - above}, 0);
  return torch::adaptive_avg_pool2d(square.unsqueeze(0), {kClipArtSide, kClipArtSide}).clamp(0, 1);
}

ClipArt read_clip_art(const std::filesystem::path& folder, int64_t count) {
  const torch::NoGradGuard no_grad;
  ClipArt art;
  std::vector<torch::Tensor> images;
  const std::vector<std::filesystem::path> files = png_files(folder);
  const auto total = static_cast<int64_t>(files.size());
  const int64_t taken = std::min(count, total);
  for (int64_t i = 0; i < taken; ++i) {  // evenly spread over all files
    try {
      images.push_back(like_fashion_mnist(examples::read_png(files[i * total / taken])));
    } catch (const std::exception& error) {
      art.unreadable.emplace_back(error.what());
    }
  }
  if (!images.empty()) art.images = torch::stack(images);
  return art;
}

}  // namespace uncertainty
