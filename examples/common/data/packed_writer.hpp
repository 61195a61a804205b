// SPDX-License-Identifier: Apache-2.0
// Makes a file of packed images (packed_format.hpp).
#pragma once

#include <filesystem>

#include "common/data/image_folder.hpp"
#include "common/data/packed_format.hpp"

namespace examples {

// Decodes the images of `data` and writes them by `threads` threads to NAME.part, which gets its
// name when all of it is on disk. `content`: packed_content() of `data`. Shows the progress on
// stdout. Throws std::runtime_error naming the file and the reason, also before it writes anything
// if there is not enough free space, and naming the image if
// memory runs out.
void write_packed(const ImageFolder& data, const std::filesystem::path& file, const Json& content,
                  int threads);

}  // namespace examples
