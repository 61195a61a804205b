// SPDX-License-Identifier: Apache-2.0
// A picture of many small images with captions. Gnuplot writes the captions, because it has fonts
// with the letters of all languages; the images are in a PNG file of their own.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "triage_list.hpp"

namespace image_classification {

// The whole image resized to fit into a square, centred on light grey: uint8 [side, side, 3].
// Throws std::runtime_error naming the file if it cannot be read.
at::Tensor thumbnail(const std::filesystem::path& file, int64_t side);

// `text` as valid UTF-8 of at most `most` >= 3 characters: the middle of a longer one is replaced
// by "…", control characters and bytes that are not UTF-8 by "?".
std::string shortened(const std::string& text, size_t most);

// Draws `out`/triage.png: the images, eight in a row, each with the class predicted, its
// probability, and the file's name below. `total` images are mentioned in the title. Returns false
// where gnuplot is missing; then the images are in triage_images.png, without captions.
bool draw_contact_sheet(const std::vector<Triaged>& images, size_t total,
                        const std::filesystem::path& out);

}  // namespace image_classification
