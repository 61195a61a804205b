// SPDX-License-Identifier: Apache-2.0
// Reads a file that torch.save() or Posterior::save() wrote, and verifies its lengths and checksums
// before anything in it is interpreted.
//
// Such a file is a ZIP archive whose entries are stored, not compressed (PKWARE's APPNOTE.TXT,
// sections 4.3 and 4.5.3). LibTorch's own reader does not compare the entries with their checksums.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <ivon/version.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Table k holds the CRC-32 of a byte followed by k zero bytes, so that eight bytes are looked up
/// independently of each other.
inline constexpr auto kCrcTables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}();

/// Returns the CRC-32 (ISO 3309) of some bytes.
inline uint32_t crc32_of(const void* data, size_t size) {
  const auto* next = static_cast<const unsigned char*>(data);
  uint32_t crc = 0xFFFFFFFFU;
  for (; size >= 8; size -= 8, next += 8) {
    uint32_t mixed = 0;
    for (size_t i = 0; i < 8; ++i) {
      const uint32_t byte = i < 4 ? (next[i] ^ (crc >> (8 * i))) & 0xFF : next[i];
      mixed ^= kCrcTables[7 - i][byte];
    }
    crc = mixed;
  }
  for (; size > 0; --size, ++next) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ *next) & 0xFF];
  return ~crc;
}

/// The entries of an archive, in memory. Each one's checksum was right.
class CheckedArchive {
 public:
  struct Entry {
    at::DataPtr data;
    size_t size = 0;
  };

  /// Reads the file into memory. Throws c10::Error without the file's name if it cannot be opened,
  /// is no such archive, is truncated or altered.
  explicit CheckedArchive(const std::string& file) : in_(file, std::ios::binary | std::ios::ate) {
    TORCH_CHECK(in_.is_open(), "it cannot be opened");
    const auto end = in_.tellg();
    TORCH_CHECK(end >= 0, "it cannot be read");
    size_ = static_cast<uint64_t>(end);
    const Directory directory = find_directory();
    const std::vector<unsigned char> bytes = read(directory.offset, directory.size);
    Cursor cursor(bytes);
    for (uint64_t i = 0; i < directory.entries; ++i) read_entry(cursor);
    TORCH_CHECK(cursor.at_end(), "its directory is damaged");
    in_.close();
  }

  /// Returns the entry whose name ends in `name` after the archive's top folder, or nullptr.
  Entry* find(const std::string& name) {
    const auto found = entries_.find(root_ + name);
    return found == entries_.end() ? nullptr : &found->second;
  }
  /// Returns the sizes of all entries together, in bytes.
  uint64_t size() const { return size_; }

 private:
  struct Directory {
    uint64_t offset = 0, size = 0, entries = 0;
  };

  // Reads little-endian numbers one after the other. Throws where the bytes end.
  class Cursor {
   public:
    explicit Cursor(const std::vector<unsigned char>& bytes) : bytes_(bytes) {}
    uint64_t number(size_t count) {
      need(count);
      uint64_t value = 0;
      for (size_t i = 0; i < count; ++i) value |= uint64_t{bytes_[place_ + i]} << (8 * i);
      place_ += count;
      return value;
    }
    std::string text(size_t count) {
      need(count);
      const char* begin = reinterpret_cast<const char*>(bytes_.data()) + place_;
      place_ += count;
      return {begin, count};
    }
    void skip(size_t count) {
      need(count);
      place_ += count;
    }
    size_t place() const { return place_; }
    bool at_end() const { return place_ == bytes_.size(); }

   private:
    void need(size_t count) const {
      TORCH_CHECK(count <= bytes_.size() - place_, "its directory is damaged");
    }
    const std::vector<unsigned char>& bytes_;
    size_t place_ = 0;
  };

  std::vector<unsigned char> read(uint64_t offset, uint64_t count) {
    TORCH_CHECK(offset <= size_ && count <= size_ - offset, "it is truncated");
    std::vector<unsigned char> bytes(count);
    read_into(bytes.data(), offset, count);
    return bytes;
  }
  void read_into(void* out, uint64_t offset, uint64_t count) {
    in_.seekg(static_cast<std::streamoff>(offset));
    in_.read(static_cast<char*>(out), static_cast<std::streamsize>(count));
    TORCH_CHECK(in_.good(), "it cannot be read");
  }

  // The records at the end of the file that say where the directory is. Files of LibTorch have no
  // comment, so the last record ends with the file.
  Directory find_directory() {
    constexpr uint64_t kEnd = 22, kLocator64 = 20, kEnd64 = 56;
    TORCH_CHECK(size_ >= kEnd, "it is too short to be a posterior");
    const auto end_bytes = read(size_ - kEnd, kEnd);
    Cursor end(end_bytes);
    TORCH_CHECK(end.number(4) == 0x06054b50, "it is truncated or no file of PyTorch");
    end.skip(6);
    Directory found;
    found.entries = end.number(2);
    found.size = end.number(4);
    found.offset = end.number(4);
    uint64_t limit = size_ - kEnd;
    if (limit >= kLocator64 + kEnd64) {
      const auto locator_bytes = read(limit - kLocator64, kLocator64);
      Cursor locator(locator_bytes);
      if (locator.number(4) == 0x07064b50) {
        locator.skip(4);
        const uint64_t place = locator.number(8);
        const auto end64_bytes = read(place, kEnd64);
        Cursor end64(end64_bytes);
        TORCH_CHECK(end64.number(4) == 0x06064b50, "its directory is damaged");
        end64.skip(28);
        found.entries = end64.number(8);
        found.size = end64.number(8);
        found.offset = end64.number(8);
        limit = place;
      }
    }
    TORCH_CHECK(
        found.offset <= limit && found.size == limit - found.offset && found.entries <= found.size,
        "its directory is damaged");
    return found;
  }

  // Reads an entry of the directory and then its data.
  void read_entry(Cursor& cursor) {
    constexpr uint64_t kIn64 = 0xFFFFFFFF;
    TORCH_CHECK(cursor.number(4) == 0x02014b50, "its directory is damaged");
    cursor.skip(4);
    const uint64_t flags = cursor.number(2), method = cursor.number(2);
    cursor.skip(4);
    const auto crc = static_cast<uint32_t>(cursor.number(4));
    uint64_t packed = cursor.number(4), size = cursor.number(4);
    const uint64_t name_size = cursor.number(2), extra_size = cursor.number(2),
                   comment_size = cursor.number(2);
    cursor.skip(8);
    uint64_t offset = cursor.number(4);
    const std::string name = cursor.text(name_size);
    const size_t extra_begin = cursor.place();
    for (uint64_t left = extra_size; left > 0;) {
      TORCH_CHECK(left >= 4, "its directory is damaged");
      const uint64_t id = cursor.number(2), length = cursor.number(2);
      TORCH_CHECK(length <= left - 4, "its directory is damaged");
      const size_t begin = cursor.place();
      if (id == 1) {  // the numbers that do not fit 32 bits
        if (size == kIn64) size = cursor.number(8);
        if (packed == kIn64) packed = cursor.number(8);
        if (offset == kIn64) offset = cursor.number(8);
      }
      TORCH_CHECK(cursor.place() - begin <= length, "its directory is damaged");
      cursor.skip(length - (cursor.place() - begin));
      left -= 4 + length;
    }
    TORCH_CHECK(cursor.place() == extra_begin + extra_size, "its directory is damaged");
    cursor.skip(comment_size);
    TORCH_CHECK((flags & 1) == 0 && method == 0 && packed == size,
                "its entries are compressed or encrypted, as those of PyTorch are not");
    read_data(name, offset, size, crc);
  }

  void read_data(const std::string& name, uint64_t offset, uint64_t size, uint32_t crc) {
    constexpr uint64_t kHeader = 30;
    const auto header_bytes = read(offset, kHeader);
    Cursor header(header_bytes);
    TORCH_CHECK(header.number(4) == 0x04034b50, "its directory is damaged");
    header.skip(22);
    const uint64_t name_size = header.number(2), extra_size = header.number(2);
    const uint64_t begin = offset + kHeader + name_size + extra_size;
    TORCH_CHECK(begin <= size_ && size <= size_ - begin && size <= size_ - total_,
                "it is truncated");
    total_ += size;
    Entry entry{c10::GetCPUAllocator()->allocate(size), size};
    if (size > 0) read_into(entry.data.get(), begin, size);
    TORCH_CHECK(crc32_of(entry.data.get(), size) == crc, "the checksum of '", name, "' is wrong");
    const size_t slash = name.find('/');
    TORCH_CHECK(slash != std::string::npos, "its entries are in no folder");
    if (entries_.empty()) root_ = name.substr(0, slash + 1);
    TORCH_CHECK(entries_.emplace(name, std::move(entry)).second, "it has two entries '", name, "'");
  }

  std::ifstream in_;
  uint64_t size_ = 0;   // of the file
  uint64_t total_ = 0;  // of the entries read so far
  std::string root_;    // the archive's top folder, with a slash
  std::map<std::string, Entry> entries_;
};

}  // namespace detail
IVON_NAMESPACE_END
