// SPDX-License-Identifier: Apache-2.0
// A whole file in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace examples {

inline constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

// The bytes of a file of at most kMaxFileBytes. Throws std::runtime_error naming the file and the
// reason if it has more, which is found before any memory is taken, or if it cannot be read.
std::vector<uint8_t> file_bytes(const std::filesystem::path& file);

// The first `count` bytes of such a file, or all if it has fewer. Throws as file_bytes() does.
std::vector<uint8_t> first_file_bytes(const std::filesystem::path& file, int64_t count);

}  // namespace examples
