// SPDX-License-Identifier: Apache-2.0
#include "common/data/rand_augment.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

namespace examples {
namespace {

void require_augmentable(const ImageView& image, const RandAugmentSettings& settings) {
  if (image.height < 1 || image.width < 1 || (image.channels != 1 && image.channels != 3)) {
    throw std::invalid_argument(fmt::format(
        "RandAugment needs an image [height, width, 1 or 3] of at least one pixel, not [{}, {}, "
        "{}]; convert it to grey or to red, green and blue",
        image.height, image.width, image.channels));
  }
  if (settings.magnitude < 0 || settings.magnitude > kStrongestMagnitude) {
    throw std::invalid_argument(
        fmt::format("the magnitude of RandAugment must be 0 to {}, not {}; 9 is usual",
                    kStrongestMagnitude, settings.magnitude));
  }
  if (settings.operations < 0) {
    throw std::invalid_argument(
        fmt::format("the number of RandAugment's operations must be 0 or more, not {}; 2 is usual",
                    settings.operations));
  }
}

// Magnitudes. A translation is by up to 150/331 of the image's side: the paper on AutoAugment
// (arXiv 1805.09501) has up to 150 pixels of an image of 331.
constexpr double kTranslation = 150.0 / 331;
double no_magnitude(double, const ImageView&) { return 0; }
double shear_slope(double strength, const ImageView&) { return 0.3 * strength; }
double columns_to_move(double strength, const ImageView& image) {
  return kTranslation * static_cast<double>(image.width) * strength;
}
double rows_to_move(double strength, const ImageView& image) {
  return kTranslation * static_cast<double>(image.height) * strength;
}
double rotation_degrees(double strength, const ImageView&) { return 30 * strength; }
double mixture_weight(double strength, const ImageView&) { return 0.9 * strength; }
double kept_bits(double strength, const ImageView&) { return 8 - std::nearbyint(4 * strength); }
double solarize_threshold(double strength, const ImageView&) { return 255 * (1 - strength); }

}  // namespace

const std::array<Augmentation, kAugmentations>& augmentations() {
  using Image = ImageView;
  static const std::array<Augmentation, kAugmentations> all = {{
      {"Identity", [](const Image&, double) {}, no_magnitude, false},
      {"ShearX", shear_x, shear_slope, true},
      {"ShearY", shear_y, shear_slope, true},
      {"TranslateX", translate_x, columns_to_move, true},
      {"TranslateY", translate_y, rows_to_move, true},
      {"Rotate", rotate, rotation_degrees, true},
      {"Brightness", change_brightness, mixture_weight, true},
      {"Color", change_colour, mixture_weight, true},
      {"Contrast", change_contrast, mixture_weight, true},
      {"Sharpness", change_sharpness, mixture_weight, true},
      {"Posterize", posterize, kept_bits, false},
      {"Solarize", solarize, solarize_threshold, false},
      {"AutoContrast", [](const Image& image, double) { auto_contrast(image); }, no_magnitude,
       false},
      {"Equalize", [](const Image& image, double) { equalize(image); }, no_magnitude, false},
  }};
  return all;
}

void rand_augment(const ImageView& image, const RandAugmentSettings& settings,
                  ExampleRandom& random) {
  require_augmentable(image, settings);
  const double strength =
      static_cast<double>(settings.magnitude) / static_cast<double>(kStrongestMagnitude);
  for (int64_t i = 0; i < settings.operations; ++i) {
    const auto chosen = static_cast<size_t>(random.below(int64_t{kAugmentations}));
    const Augmentation& augmentation = augmentations()[chosen];
    const double magnitude = augmentation.magnitude(strength, image);
    const bool negative = augmentation.either_sign && random.coin();
    augmentation.apply(image, negative ? -magnitude : magnitude);
  }
}

}  // namespace examples
