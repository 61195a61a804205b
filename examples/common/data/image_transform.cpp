// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_transform.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/data/crops.hpp"
#include "common/data/example_random.hpp"

namespace examples {
namespace {

constexpr int64_t kPadding = 4;

Box chosen_box(const ImageTransform& t, int64_t height, int64_t width, ExampleRandom& random) {
  switch (t.crop) {
    case Crop::kCentred:
      return centred(height, width, t.side);
    case Crop::kCentreShare:
      return centre_crop(height, width, kCentralShare);
    case Crop::kWhole:
      return {0, 0, height, width};
    case Crop::kShifted:
      return shifted_crop(height, width, random);
    case Crop::kPadded:
      return padded_crop(height, width, t.side, kPadding, random);
    case Crop::kRandomResized:
      return random_resized_crop(height, width, random);
  }
  throw std::logic_error("a Crop must be one of the enumerators");
}

// Copies an image [side, side, channels], its left and right exchanged if `mirrored` and its top
// and bottom if `upside_down`.
void copy_flipped(const uint8_t* in, int64_t side, int64_t channels, bool mirrored,
                  bool upside_down, uint8_t* out) {
  for (int64_t row = 0; row < side; ++row, out += side * channels) {
    const uint8_t* from = in + (upside_down ? side - 1 - row : row) * side * channels;
    if (!mirrored) {
      std::copy_n(from, side * channels, out);
      continue;
    }
    for (int64_t column = 0; column < side; ++column) {
      std::copy_n(from + column * channels, channels, out + (side - 1 - column) * channels);
    }
  }
}

}  // namespace

void ImageTransform::apply(const ImageData& data, int64_t index, int64_t epoch,
                           uint8_t* out) const {
  ExampleRandom random(seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(index));
  const auto choose = [&](int64_t height, int64_t width) {
    return chosen_box(*this, height, width, random);
  };
  const torch::Tensor pixels = data.read(index, choose, side);
  auto* bytes = pixels.data_ptr<uint8_t>();
  const int64_t channels = data.channels();
  const bool mirrored = flip && random.coin();
  const bool upside_down = flip_vertical && random.coin();
  if (rand_augment) examples::rand_augment({bytes, side, side, channels}, augment, random);
  copy_flipped(bytes, side, channels, mirrored, upside_down, out);
}

}  // namespace examples
