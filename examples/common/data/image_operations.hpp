// SPDX-License-Identifier: Apache-2.0
// Changes of an image in place that leave its meaning as it is, for augmentation. The results are
// those of torchvision's functions on uint8 tensors (torchvision.transforms.functional), which
// differ from its results on PIL images by a level or two. They are the same bit for bit with two
// exceptions: a geometric operation can take the other one of two pixels if the source lies halfway
// between them, and change_sharpness() leaves the image's border as it is, where torchvision's
// rounding lowers some levels by one. Plain loops on one thread, so that each of several threads
// can work on an image of its own.
#pragma once

#include <cstdint>

namespace examples {

// The image that an operation changes: pixels [height, width, channels] without gaps, owned by the
// caller; height, width >= 1; one channel (grey) or three (red, green, blue).
struct ImageView {
  uint8_t* pixels;
  int64_t height, width, channels;
};

// Geometric operations. Each pixel takes the value of the nearest pixel of its source; what comes
// from outside the image is black.

// The pixel in row y comes from column x + slope * y, measured from the top.
void shear_x(const ImageView& image, double slope);
// The pixel in column x comes from row y + slope * x, measured from the left.
void shear_y(const ImageView& image, double slope);
// To the right, or downwards, by whole pixels; decimals are cut off.
void translate_x(const ImageView& image, double pixels);
void translate_y(const ImageView& image, double pixels);
// Counter-clockwise around the centre.
void rotate(const ImageView& image, double degrees);

// Mixtures of the image and an image without the property that the name says, with the weights
// 1 + magnitude and -magnitude: 0 changes nothing, -1 removes the property, more than 0
// exaggerates it. magnitude >= -1. Levels are cut at 0 and 255, and decimals are cut off.

void change_brightness(const ImageView& image, double magnitude);  // against black
void change_colour(const ImageView& image, double magnitude);      // against its grey levels
void change_contrast(const ImageView& image, double magnitude);    // against its mean grey level
// Against a version that is smoothed over 3 x 3 pixels; the border of one pixel does not change.
void change_sharpness(const ImageView& image, double magnitude);

// Keeps the `bits` highest bits of each level, 0 to 8; decimals are cut off.
void posterize(const ImageView& image, double bits);
// Inverts the levels from `threshold` on.
void solarize(const ImageView& image, double threshold);
// Stretches the levels of each channel to 0 to 255.
void auto_contrast(const ImageView& image);
// Gives each channel as even a distribution of levels as a map of levels can.
void equalize(const ImageView& image);

}  // namespace examples
