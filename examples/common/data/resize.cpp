// SPDX-License-Identifier: Apache-2.0
#include "common/data/resize.hpp"

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "common/data/resize_kernels.hpp"

namespace examples {
namespace {

using resize_kernels::kWeightBits;

// For each row (or column) of the result, the rows (or columns) of the image that it is a mean of.
struct Taps {
  int64_t most = 0;              // of all rows
  std::vector<int64_t> first;    // [size]
  std::vector<int64_t> count;    // [size], 1 to most
  std::vector<int16_t> weights;  // [size, most], the first `count` of each row add up to 2^14

  resize_kernels::Weights of(int64_t i) const {
    return {weights.data() + i * most, count[static_cast<size_t>(i)]};
  }
};

// Writes the multiples of 2^-14 nearest to `real` / sum(real). The running sum is rounded instead
// of each weight: then they add up to exactly 1.
void quantise(const std::vector<double>& real, int16_t* weights) {
  double total = 0;
  for (const double w : real) total += w;
  double sum = 0;
  long before = 0;
  for (size_t k = 0; k < real.size(); ++k) {
    sum += real[k];
    const long now = std::lround(sum / total * (1 << kWeightBits));
    weights[k] = static_cast<int16_t>(now - before);
    before = now;
  }
}

// The part low to low + length of `image` rows becomes `size` rows.
Taps taps(double low, double length, int64_t image, int64_t size) {
  const double step = length / static_cast<double>(size), reach = std::max(step, 1.0);
  Taps t;
  t.most = static_cast<int64_t>(std::ceil(2 * reach)) + 2;  // with the 0 behind an odd count
  t.first.resize(static_cast<size_t>(size));
  t.count.resize(static_cast<size_t>(size));
  t.weights.resize(static_cast<size_t>(size * t.most));
  std::vector<double> real;
  for (int64_t i = 0; i < size; ++i) {
    const double centre = low + (static_cast<double>(i) + 0.5) * step;
    // The pixels whose centres are nearer than `reach`.
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - reach + 0.5)));
    const auto end = std::min(
        {image, static_cast<int64_t>(std::floor(centre + reach + 0.5)), begin + t.most - 1});
    real.clear();
    for (int64_t x = begin; x < end; ++x) {
      const double distance = std::abs(static_cast<double>(x) + 0.5 - centre);
      real.push_back(std::max(0.0, 1 - distance / reach));
    }
    t.first[static_cast<size_t>(i)] = begin;
    t.count[static_cast<size_t>(i)] = end - begin;
    quantise(real, t.weights.data() + i * t.most);
  }
  return t;
}

struct View {
  const uint8_t* data;
  int64_t height, width, channels;
  int64_t row;  // from a row to the next, in bytes
};

template <size_t kChannels>
void sum_columns(const int16_t* middle, const Taps& columns, int64_t width, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x, to += kChannels) {
    const int64_t first = columns.first[static_cast<size_t>(x)];
    resize_kernels::sum_pixels<kChannels>(middle + first * int64_t{kChannels}, columns.of(x), to);
  }
}

// First the rows, whose values are contiguous, then the columns of the fewer rows that remain.
void resize(const View& image, const RealBox& box, uint8_t* result, int64_t height, int64_t width) {
  const Taps rows = taps(box.top, box.height, image.height, height);
  const Taps columns = taps(box.left, box.width, image.width, width);
  // Only the values of a row that a result needs.
  const int64_t begin = columns.first.front() * image.channels;
  const int64_t end = (columns.first.back() + columns.count.back()) * image.channels;
  std::vector<int16_t> middle(
      static_cast<size_t>(image.width * image.channels + resize_kernels::kMiddlePadding));
  for (int64_t y = 0; y < height; ++y, result += width * image.channels) {
    const int64_t first = rows.first[static_cast<size_t>(y)];
    resize_kernels::sum_rows(image.data + first * image.row + begin, image.row, rows.of(y),
                             end - begin, middle.data() + begin);
    image.channels == 3 ? sum_columns<3>(middle.data(), columns, width, result)
                        : sum_columns<1>(middle.data(), columns, width, result);
  }
}

// The box copied into the result of its size; what lies outside of the image is black.
void copy(const View& image, int64_t top, int64_t left, uint8_t* result, int64_t height,
          int64_t width) {
  const int64_t begin = std::clamp<int64_t>(-left, 0, width);
  const int64_t end = std::clamp<int64_t>(image.width - left, begin, width);
  const int64_t c = image.channels;
  for (int64_t y = 0; y < height; ++y, result += width * c) {
    const bool inside = top + y >= 0 && top + y < image.height && begin < end;
    if (!inside || end - begin < width) std::memset(result, 0, static_cast<size_t>(width * c));
    if (!inside) continue;
    std::memcpy(result + begin * c, image.data + (top + y) * image.row + (left + begin) * c,
                static_cast<size_t>((end - begin) * c));
  }
}

bool is_whole(double x) { return std::abs(x) < 1e9 && x == std::floor(x); }

void check_pixels(const at::Tensor& pixels, int64_t height, int64_t width) {
  const bool good = pixels.scalar_type() == at::kByte && pixels.device().is_cpu() &&
                    pixels.dim() == 3 && (pixels.size(2) == 1 || pixels.size(2) == 3) &&
                    pixels.numel() > 0 && (pixels.size(2) == 1 || pixels.stride(2) == 1) &&
                    (pixels.size(1) == 1 || pixels.stride(1) == pixels.size(2));
  if (!good) {
    throw std::invalid_argument(
        fmt::format("resized takes an image uint8 [h, w, 1 or 3] on the CPU whose rows are "
                    "contiguous, not {} {}; use .to(torch::kByte).contiguous()",
                    c10::toString(pixels.scalar_type()), c10::str(pixels.sizes())));
  }
  if (height < 1 || width < 1) {
    throw std::invalid_argument(
        fmt::format("an image is resized to at least 1 x 1 pixels, not {} x {}", height, width));
  }
}

}  // namespace

at::Tensor resized(const at::Tensor& pixels, const RealBox& box, int64_t height, int64_t width) {
  check_pixels(pixels, height, width);
  const View image = {pixels.const_data_ptr<uint8_t>(), pixels.size(0), pixels.size(1),
                      pixels.size(2), pixels.stride(0)};
  at::Tensor result = at::empty({height, width, image.channels}, at::kByte);
  auto* to = result.data_ptr<uint8_t>();
  if (is_whole(box.top) && is_whole(box.left) && box.height == static_cast<double>(height) &&
      box.width == static_cast<double>(width)) {
    copy(image, static_cast<int64_t>(box.top), static_cast<int64_t>(box.left), to, height, width);
    return result;
  }
  constexpr double kSlack = 1e-6;  // for a box whose edges come from a product with a scale
  const bool inside = box.height > 0 && box.width > 0 && box.top >= 0 && box.left >= 0 &&
                      box.top + box.height <= static_cast<double>(image.height) + kSlack &&
                      box.left + box.width <= static_cast<double>(image.width) + kSlack;
  if (!inside) {
    throw std::invalid_argument(fmt::format(
        "a box that is scaled must lie in the image of {} x {} pixels (rows x columns); this one "
        "has {} x {} pixels from row {}, column {}; cut it, or resize to the box's own size",
        image.height, image.width, box.height, box.width, box.top, box.left));
  }
  resize(image, box, to, height, width);
  return result;
}

}  // namespace examples
