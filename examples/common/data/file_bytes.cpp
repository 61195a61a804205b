// SPDX-License-Identifier: Apache-2.0
#include "common/data/file_bytes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <system_error>

#include "common/data/file_error.hpp"

namespace examples {

std::vector<uint8_t> file_bytes(const std::filesystem::path& file) {
  return first_file_bytes(file, kMaxFileBytes);
}

std::vector<uint8_t> first_file_bytes(const std::filesystem::path& file, int64_t count) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) {
    fail_file(file,
              fmt::format("cannot be read ({}); check that it is an image file", error.message()));
  }
  if (size > static_cast<uintmax_t>(kMaxFileBytes)) {
    fail_file(file, fmt::format("must have at most {} bytes, but has {}; remove it, or store the "
                                "image with fewer pixels",
                                kMaxFileBytes, size));
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "rb"),
                                                               std::fclose);
  if (stream == nullptr) fail_file(file, kCannotBeOpened);
  std::setvbuf(stream.get(), nullptr, _IONBF, 0);  // one read into the result, not many small ones
  std::vector<uint8_t> bytes(std::min<size_t>(size, static_cast<size_t>(count)));
  if (std::fread(bytes.data(), 1, bytes.size(), stream.get()) != bytes.size()) {
    fail_file(file,
              "could be read in part only; check the disk, and that no other program writes the "
              "file");
  }
  return bytes;
}

}  // namespace examples
