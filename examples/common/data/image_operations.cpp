// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_operations.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace examples {
namespace {

constexpr size_t kByteLevels = 256;

// What each level becomes.
using LevelTable = std::array<uint8_t, kByteLevels>;

// factor * 0 to factor * 255, each rounded to float32. Products come from such a table wherever a
// sum of products is cut off to a level: within one expression a compiler may fuse the product and
// the sum, and the result can then be a level lower or higher than torchvision's.
using Multiples = std::array<float, kByteLevels>;

Multiples multiples_of(double factor) {
  Multiples result = {};
  for (size_t i = 0; i < kByteLevels; ++i) {
    result[i] = static_cast<float>(factor) * static_cast<float>(i);
  }
  return result;
}

uint8_t cut_to_level(float value) {
  return static_cast<uint8_t>(std::min(std::max(value, 0.0F), 255.0F));
}

size_t byte_count(const ImageView& image) {
  return static_cast<size_t>(image.height * image.width * image.channels);
}

std::vector<uint8_t> copy_of_pixels(const ImageView& image) {
  return {image.pixels, image.pixels + byte_count(image)};
}

void apply_table(const ImageView& image, const LevelTable& table) {
  uint8_t* const end = image.pixels + byte_count(image);
  for (uint8_t* p = image.pixels; p != end; ++p) *p = table[*p];
}

void apply_table(const ImageView& image, int64_t channel, const LevelTable& table) {
  const int64_t end = image.height * image.width * image.channels;
  for (int64_t i = channel; i < end; i += image.channels) {
    image.pixels[i] = table[image.pixels[i]];
  }
}

// How many pixels of the channel have each level.
std::array<int64_t, kByteLevels> level_counts(const ImageView& image, int64_t channel) {
  std::array<int64_t, kByteLevels> counts = {};
  const int64_t end = image.height * image.width * image.channels;
  for (int64_t i = channel; i < end; i += image.channels) ++counts[image.pixels[i]];
  return counts;
}

// Which point (x, y) of the image a pixel (x, y) of the result shows. Coordinates are in pixels
// from the image's centre, y downwards.
struct SourcePoint {
  double x_of_x = 1, x_of_y = 0, x_shift = 0;
  double y_of_x = 0, y_of_y = 1, y_shift = 0;
};

// A number in units of 2^-32. In steps of these, a row of 2^15 pixels is exact to 2^-17 pixels.
int64_t fixed_point(double value) { return std::llround(std::ldexp(value, 32)); }

template <int64_t kChannels>
void resample_nearest_channels(const ImageView& image, const SourcePoint& from) {
  const std::vector<uint8_t> source = copy_of_pixels(image);
  const int64_t h = image.height, w = image.width;
  const double half_h = static_cast<double>(h) / 2, half_w = static_cast<double>(w) / 2;
  const int64_t x_step = fixed_point(from.x_of_x), y_step = fixed_point(from.y_of_x);
  uint8_t* out = image.pixels;
  for (int64_t row = 0; row < h; ++row) {
    const double x = 0.5 - half_w, y = static_cast<double>(row) + 0.5 - half_h;
    // The column and row that hold the source point are the whole parts of these.
    int64_t column_at = fixed_point(from.x_of_x * x + from.x_of_y * y + from.x_shift + half_w);
    int64_t row_at = fixed_point(from.y_of_x * x + from.y_of_y * y + from.y_shift + half_h);
    for (int64_t i = 0; i < w; ++i, column_at += x_step, row_at += y_step, out += kChannels) {
      const int64_t source_row = row_at >> 32, source_column = column_at >> 32;
      if (source_row >= 0 && source_row < h && source_column >= 0 && source_column < w) {
        std::memcpy(out, &source[static_cast<size_t>((source_row * w + source_column) * kChannels)],
                    kChannels);
      } else {
        std::memset(out, 0, kChannels);
      }
    }
  }
}

void resample_nearest(const ImageView& image, const SourcePoint& from) {
  image.channels == 1 ? resample_nearest_channels<1>(image, from)
                      : resample_nearest_channels<3>(image, from);
}

// The grey level of a colour as torchvision computes it.
uint8_t grey_level(const uint8_t* colour) {
  static const Multiples red = multiples_of(0.2989), green = multiples_of(0.587),
                         blue = multiples_of(0.114);
  return static_cast<uint8_t>(red[colour[0]] + green[colour[1]] + blue[colour[2]]);
}

double mean_grey_level(const ImageView& image) {
  const int64_t count = image.height * image.width;
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += image.channels == 3 ? grey_level(image.pixels + 3 * i) : image.pixels[i];
  }
  return static_cast<double>(sum) / static_cast<double>(count);
}

}  // namespace

void shear_x(const ImageView& image, double slope) {
  SourcePoint from;
  from.x_of_y = slope;
  from.x_shift = slope * static_cast<double>(image.height) / 2;  // row 0 stays
  resample_nearest(image, from);
}

void shear_y(const ImageView& image, double slope) {
  SourcePoint from;
  from.y_of_x = slope;
  from.y_shift = slope * static_cast<double>(image.width) / 2;  // column 0 stays
  resample_nearest(image, from);
}

void translate_x(const ImageView& image, double pixels) {
  SourcePoint from;
  from.x_shift = -std::trunc(pixels);
  resample_nearest(image, from);
}

void translate_y(const ImageView& image, double pixels) {
  SourcePoint from;
  from.y_shift = -std::trunc(pixels);
  resample_nearest(image, from);
}

void rotate(const ImageView& image, double degrees) {
  const double angle = degrees * std::acos(-1.0) / 180;
  SourcePoint from;
  from.x_of_x = from.y_of_y = std::cos(angle);
  from.y_of_x = std::sin(angle);
  from.x_of_y = -from.y_of_x;
  resample_nearest(image, from);
}

void change_brightness(const ImageView& image, double magnitude) {
  const Multiples own = multiples_of(1 + magnitude);
  LevelTable table = {};
  for (size_t i = 0; i < kByteLevels; ++i) table[i] = cut_to_level(own[i]);
  apply_table(image, table);
}

void change_colour(const ImageView& image, double magnitude) {
  if (image.channels == 1) return;
  const double factor = 1 + magnitude;  // 1 - factor is not always -magnitude in the last bit
  const Multiples own = multiples_of(factor), others = multiples_of(1 - factor);
  uint8_t* const end = image.pixels + byte_count(image);
  for (uint8_t* p = image.pixels; p != end; p += 3) {
    const float grey = others[grey_level(p)];
    for (int c = 0; c < 3; ++c) p[c] = cut_to_level(own[p[c]] + grey);
  }
}

void change_contrast(const ImageView& image, double magnitude) {
  const double factor = 1 + magnitude;
  const Multiples own = multiples_of(factor);
  const auto mean = static_cast<float>(mean_grey_level(image));
  const float other = static_cast<float>(1 - factor) * mean;
  LevelTable table = {};
  for (size_t i = 0; i < kByteLevels; ++i) table[i] = cut_to_level(own[i] + other);
  apply_table(image, table);
}

void change_sharpness(const ImageView& image, double magnitude) {
  const double factor = 1 + magnitude;
  const Multiples own = multiples_of(factor), others = multiples_of(1 - factor);
  const std::vector<uint8_t> source = copy_of_pixels(image);
  const int64_t c = image.channels, row_bytes = image.width * c;
  for (int64_t row = 1; row + 1 < image.height; ++row) {
    const uint8_t* const here = source.data() + row * row_bytes;
    const uint8_t *const above = here - row_bytes, *const below = here + row_bytes;
    uint8_t* const out = image.pixels + row * row_bytes;
    for (int64_t i = c; i < row_bytes - c; ++i) {
      // The weights are 5/13 for the pixel itself and 1/13 for each of its neighbours.
      const int sum = above[i - c] + above[i] + above[i + c] + here[i - c] + 5 * here[i] +
                      here[i + c] + below[i - c] + below[i] + below[i + c];
      const auto smooth = static_cast<size_t>((2 * sum + 13) / 26);  // sum / 13, rounded
      out[i] = cut_to_level(own[here[i]] + others[smooth]);
    }
  }
}

void posterize(const ImageView& image, double bits) {
  const unsigned dropped = 8U - static_cast<unsigned>(bits);
  LevelTable table = {};
  for (size_t i = 0; i < kByteLevels; ++i) table[i] = static_cast<uint8_t>(i >> dropped << dropped);
  apply_table(image, table);
}

void solarize(const ImageView& image, double threshold) {
  LevelTable table = {};
  for (size_t i = 0; i < kByteLevels; ++i) {
    table[i] = static_cast<uint8_t>(static_cast<double>(i) >= threshold ? 255 - i : i);
  }
  apply_table(image, table);
}

void auto_contrast(const ImageView& image) {
  for (int64_t channel = 0; channel < image.channels; ++channel) {
    const auto counts = level_counts(image, channel);
    size_t lowest = 0, highest = kByteLevels - 1;
    while (counts[lowest] == 0) ++lowest;
    while (counts[highest] == 0) --highest;
    if (lowest == highest) continue;
    // torchvision multiplies by the reciprocal, so that a level can be one lower than by division.
    const float scale = 1.0F / static_cast<float>(highest - lowest) * 255.0F;
    LevelTable table = {};
    for (size_t i = lowest; i <= highest; ++i) {
      table[i] = cut_to_level(static_cast<float>(i - lowest) * scale);
    }
    apply_table(image, channel, table);
  }
}

void equalize(const ImageView& image) {
  for (int64_t channel = 0; channel < image.channels; ++channel) {
    const auto counts = level_counts(image, channel);
    size_t highest = kByteLevels - 1;
    while (counts[highest] == 0) --highest;
    const int64_t step = (image.height * image.width - counts[highest]) / 255;
    if (step == 0) continue;
    LevelTable table = {};
    int64_t lower = 0;  // pixels of a lower level than i
    for (size_t i = 0; i < kByteLevels; ++i) {
      table[i] = static_cast<uint8_t>(std::min<int64_t>((lower + step / 2) / step, 255));
      lower += counts[i];
    }
    apply_table(image, channel, table);
  }
}

}  // namespace examples
