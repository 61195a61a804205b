// SPDX-License-Identifier: Apache-2.0
// PNG files, written by libspng.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace examples {

// Writes uint8 [h, w, 3] of red, green and blue, on the CPU, h, w >= 1. The file appears under its
// name only when it is whole. Throws std::invalid_argument if `pixels` is not so, and
// std::runtime_error naming the file and the reason if it cannot be written.
void write_png(const std::filesystem::path& file, const at::Tensor& pixels);

}  // namespace examples
