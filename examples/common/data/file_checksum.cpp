// SPDX-License-Identifier: Apache-2.0
#include "common/data/file_checksum.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include "common/data/memory_map.hpp"

namespace examples {

std::string file_checksum(const std::filesystem::path& file) {
  const MemoryMap map(file);
  const uLong crc = crc32_z(0, map.data(), static_cast<z_size_t>(map.size()));
  return fmt::format("{}-{:08x}", map.size(), crc);
}

}  // namespace examples
