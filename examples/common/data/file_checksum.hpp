// SPDX-License-Identifier: Apache-2.0
// A checksum by which two versions of a file are told apart.
#pragma once

#include <filesystem>
#include <string>

namespace examples {

// The number of bytes and their CRC-32 in hexadecimal digits, "1024-9ae0daaf". It tells accidental
// changes, not forgeries. Throws std::runtime_error naming the file if it cannot be read.
std::string file_checksum(const std::filesystem::path& file);

}  // namespace examples
