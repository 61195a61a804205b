// SPDX-License-Identifier: Apache-2.0
#include "common/data/crops.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string_view>

namespace examples {
namespace {

constexpr int kCropTries = 10;
constexpr double kNarrowest = 3.0 / 4, kWidest = 4.0 / 3;  // width / height

void require_crop_share(double value, std::string_view name) {
  if (value > 0 && value <= 1) return;
  throw std::invalid_argument(
      fmt::format("{} must be above 0 and at most 1, but is {}; give a part of 1", name, value));
}

int64_t whole_pixels(double pixels) { return static_cast<int64_t>(std::lround(pixels)); }

Box central_box(int64_t height, int64_t width, int64_t box_height, int64_t box_width) {
  return {(height - box_height) / 2, (width - box_width) / 2, box_height, box_width};
}

// The largest central box with a ratio in the range.
Box largest_central_box(int64_t height, int64_t width) {
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  return central_box(height, width, std::min(height, whole_pixels(w / kNarrowest)),
                     std::min(width, whole_pixels(h * kWidest)));
}

}  // namespace

Box random_resized_crop(int64_t height, int64_t width, ExampleRandom& random,
                        double smallest_area) {
  require_crop_share(smallest_area, "the smallest area of a crop");
  const double image_area = static_cast<double>(height) * static_cast<double>(width);
  for (int i = 0; i < kCropTries; ++i) {
    const double area = image_area * random.uniform(smallest_area, 1);
    const double ratio = std::exp(random.uniform(std::log(kNarrowest), std::log(kWidest)));
    const int64_t h = whole_pixels(std::sqrt(area / ratio)),
                  w = whole_pixels(std::sqrt(area * ratio));
    if (h >= 1 && h <= height && w >= 1 && w <= width) {
      const int64_t top = random.below(height - h + 1);
      return {top, random.below(width - w + 1), h, w};
    }
  }
  return largest_central_box(height, width);
}

Box padded_crop(int64_t height, int64_t width, int64_t side, int64_t padding,
                ExampleRandom& random) {
  // The first row or column of the box, seen from the image's first one.
  const auto first = [&](int64_t length) {
    const int64_t missing = std::max<int64_t>(side - length, 0);
    return random.below(length + missing + 2 * padding - side + 1) - missing / 2 - padding;
  };
  const int64_t top = first(height);
  return {top, first(width), side, side};
}

Box shifted_crop(int64_t height, int64_t width, ExampleRandom& random, double most_cut) {
  if (!(most_cut >= 0 && most_cut < 1)) {
    throw std::invalid_argument(fmt::format(
        "the most that a crop cuts off must be at least 0 and below 1, but is {}; give a part of 1",
        most_cut));
  }
  Box box;
  const auto cut = [&](int64_t length, int64_t& first, int64_t& kept) {
    const auto most = static_cast<int64_t>(most_cut * static_cast<double>(length));
    const int64_t cut_off = random.below(most + 1);
    first = random.below(cut_off + 1);
    kept = length - cut_off;
  };
  cut(height, box.top, box.height);
  cut(width, box.left, box.width);
  return box;
}

Box centre_crop(int64_t height, int64_t width, double share) {
  require_crop_share(share, "the share of a central crop");
  const auto shorter = static_cast<double>(std::min(height, width));
  return centred(height, width, std::max<int64_t>(whole_pixels(share * shorter), 1));
}

Box centred(int64_t height, int64_t width, int64_t side) {
  return central_box(height, width, side, side);
}

}  // namespace examples
