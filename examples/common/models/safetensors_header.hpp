// SPDX-License-Identifier: Apache-2.0
// The header of a file in the format safetensors, checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

struct SafetensorsType {
  const char* name;  // in the file
  at::ScalarType type;
};

// The types that are read and written, in the order in which the Python package writes them.
inline constexpr std::array<SafetensorsType, 10> kSafetensorsTypes = {{{"I64", at::kLong},
                                                                       {"F64", at::kDouble},
                                                                       {"F32", at::kFloat},
                                                                       {"I32", at::kInt},
                                                                       {"BF16", at::kBFloat16},
                                                                       {"F16", at::kHalf},
                                                                       {"I16", at::kShort},
                                                                       {"I8", at::kChar},
                                                                       {"U8", at::kByte},
                                                                       {"BOOL", at::kBool}}};

inline constexpr int64_t kMostSafetensorsDimensions = 8;

// What the header says of one tensor. It is small because a damaged or hostile header of 100 MB can
// have two million of them.
struct SafetensorsEntry {
  int64_t begin = 0, end = 0;  // the bytes, counted from the beginning of the data
  uint32_t name_begin = 0, name_size = 0;
  uint32_t shape_begin = 0;
  uint8_t dimensions = 0;
  uint8_t type = 0;  // place in kSafetensorsTypes
};

// The memory that it needs, while it reads too, is below twice the header's size and 16 MB, which
// the longest strings can need.
class SafetensorsHeader {
 public:
  // Reads the header of a file with these bytes. Throws as the constructor of Safetensors does.
  SafetensorsHeader(const std::filesystem::path& file, const uint8_t* bytes, int64_t size);

  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // sorted by name
  std::string_view name(const SafetensorsEntry& entry) const;
  at::IntArrayRef shape(const SafetensorsEntry& entry) const;
  const SafetensorsEntry* find(std::string_view name) const;  // null if there is none
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  int64_t data_begin() const { return data_begin_; }  // counted from the beginning of the file

 private:
  friend class SafetensorsHeaderReader;

  void check_places(const std::filesystem::path& file, int64_t data_size);
  void sort_by_name(const std::filesystem::path& file);

  int64_t data_begin_ = 0;
  std::string names_;            // of all entries, one after the other
  std::vector<int64_t> shapes_;  // of all entries, one after the other
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace examples
