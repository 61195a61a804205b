// SPDX-License-Identifier: Apache-2.0
// The orientation in the EXIF data that cameras write into JPEG files (CIPA DC-008, "Exif 2.32";
// the layout is TIFF's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace examples {

// `data`: the contents of one APP1 segment of `size` bytes. Returns the orientation 1 to 8, or 1
// where the segment is no EXIF data, has no orientation or is damaged.
inline int exif_orientation(const uint8_t* data, size_t size) {
  constexpr size_t kPrefix = 6, kEntry = 12;  // bytes
  constexpr uint32_t kOrientation = 0x0112, kShort = 3;
  if (size < kPrefix + 8 || std::memcmp(data, "Exif\0", kPrefix) != 0) return 1;
  const uint8_t* tiff = data + kPrefix;
  const size_t length = size - kPrefix;
  const bool is_little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!is_little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  // The unsigned number of `count` bytes at `at`; 0 beyond the end.
  const auto number = [&](size_t at, size_t count) {
    uint32_t value = 0;
    if (at + count > length) return value;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | tiff[at + (is_little ? count - 1 - i : i)];
    }
    return value;
  };
  if (number(2, 2) != 42) return 1;
  const size_t directory = number(4, 4);
  const size_t entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntry;
    if (entry + kEntry > length) return 1;
    if (number(entry, 2) != kOrientation || number(entry + 2, 2) != kShort) continue;
    const uint32_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace examples
