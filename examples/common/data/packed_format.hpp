// SPDX-License-Identifier: Apache-2.0
// The layout of a file of packed images (packed_images.hpp). All numbers are little-endian.
//
//   PackedHead                64 bytes
//   pixels of each image      uint8 [height, width, 3], one after the other
//   description               JSON {"content": packed_content(), "unreadable": {"12": "is empty"}}
//   index                     one PackedEntry for each image
//
// The head is written last, because its checksum covers the description and the index.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "common/data/image_folder.hpp"
#include "common/settings.hpp"

namespace examples {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "packed images are read and written on little-endian processors only");

constexpr std::array<char, 8> kPackedMagic = {'I', 'V', 'O', 'N', 'I', 'M', 'G', '\n'};
constexpr uint64_t kPackedVersion = 1;

struct PackedHead {
  std::array<char, 8> magic = kPackedMagic;
  uint64_t version = kPackedVersion;
  uint64_t description = 0;        // where it begins, in bytes from the start of the file
  uint64_t description_bytes = 0;  // the index follows at once
  uint64_t images = 0;
  uint64_t file_bytes = 0;
  uint64_t reserved = 0;
  uint64_t checksum = 0;  // CRC-32 of the head with checksum 0, the description and the index
};
static_assert(sizeof(PackedHead) == 64 && std::is_trivially_copyable_v<PackedHead>);

struct PackedEntry {
  uint64_t offset = 0;  // of the pixels, in bytes from the start of the file
  uint64_t target = 0;
  uint32_t height = 0, width = 0;  // at most kMaxImageSide; 0: the image could not be read

  // Only for a height and width in that range.
  uint64_t bytes() const { return uint64_t{height} * width * 3; }
};
static_assert(sizeof(PackedEntry) == 24 && std::is_trivially_copyable_v<PackedEntry>);

// What a file is made from: shorter_side, the number of images, and checksums of the classes, of
// the files' names below their common folder, and of their sizes and modification times. Asks the
// file system about each file.
Json packed_content(const ImageFolder& data, int64_t shorter_side, int threads);

// Why images packed from `there` cannot stand for images packed from `wanted`; empty: they can.
std::string content_difference(const Json& there, const Json& wanted);

// The CRC-32 that `head` should have; `rest`: the description and the index.
uint64_t packed_checksum(PackedHead head, const uint8_t* rest, size_t bytes);

// A file of packed images that cannot be used; what() says why.
class StalePackedImages : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace examples
