// SPDX-License-Identifier: Apache-2.0
#include "common/models/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/data/file_error.hpp"
#include "common/models/safetensors_header_reader.hpp"

namespace examples {
namespace {

constexpr int64_t kLengthBytesOfSafetensors = sizeof(uint64_t);
constexpr uint64_t kMostSafetensorsHeader = 100'000'000;  // the format's limit
// The JSON parser holds the token that it reads three times.
constexpr size_t kLongestSafetensorsToken = 1 << 20;
// The shortest entry: "":{"dtype":"U8","shape":[],"data_offsets":[0,1]},
constexpr size_t kShortestSafetensorsEntry = 50;

// What a header contains at most.
struct HeaderCounts {
  size_t entries = 0;
  size_t name_bytes = 0;  // of the names of all entries
};

// Checks what the parser of nlohmann/json does not: that no token is so long that its copies need
// much memory, and that there is no zero byte, which it takes for the end.
HeaderCounts check_header_text(const std::filesystem::path& file, std::string_view text) {
  HeaderCounts counts;
  bool in_string = false, escaped = false;
  size_t length = 0, depth = 0;
  for (const char c : text) {
    ++length;
    if (c == '\0') fail_file(file, "its header has a zero byte; get the file again");
    if (escaped) {
      escaped = false;
    } else if (in_string && c == '\\') {
      escaped = true;
    } else if (c == '"') {
      in_string = !in_string;
      length = 0;
    } else if (!in_string && (c == ',' || c == ':')) {
      length = 0;
    } else if (!in_string && c == '{') {
      if (++depth == 2) ++counts.entries;
    } else if (!in_string && c == '}' && depth > 0) {
      --depth;
    }
    if (in_string && depth == 1) ++counts.name_bytes;
    if (length > kLongestSafetensorsToken) {
      fail_file(file, fmt::format("its header has a string or white space of more than {} bytes, "
                                  "which are not supported; save the file again",
                                  kLongestSafetensorsToken));
    }
  }
  // More cannot stand in the text, but what is no header could pretend more.
  counts.entries = std::min(counts.entries, text.size() / kShortestSafetensorsEntry + 1);
  return counts;
}

}  // namespace

SafetensorsHeader::SafetensorsHeader(const std::filesystem::path& file, const uint8_t* bytes,
                                     int64_t size) {
  if (size < kLengthBytesOfSafetensors) {
    fail_file(file, fmt::format("has {} bytes, which is too short for the format safetensors; get "
                                "the file again",
                                size));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes, sizeof length);
  if (length > kMostSafetensorsHeader ||
      length > static_cast<uint64_t>(size - kLengthBytesOfSafetensors)) {
    fail_file(file, fmt::format("its header has {} bytes, but the file has {} and at most {} are "
                                "allowed; it is cut or no safetensors file",
                                length, size, kMostSafetensorsHeader));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes) + kLengthBytesOfSafetensors,
                              static_cast<size_t>(length));
  // Reserved, because a vector that grows needs up to three times its size for a moment.
  const HeaderCounts counts = check_header_text(file, text);
  names_.reserve(counts.name_bytes);
  entries_.reserve(counts.entries);
  shapes_.reserve(counts.entries * static_cast<size_t>(kMostSafetensorsDimensions));
  SafetensorsHeaderReader reader(file, *this);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  data_begin_ = kLengthBytesOfSafetensors + static_cast<int64_t>(length);
  check_places(file, size - data_begin_);
  sort_by_name(file);
}

// The tensors must fill the data one after the other.
void SafetensorsHeader::check_places(const std::filesystem::path& file, int64_t data_size) {
  std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t end = 0;
  for (const SafetensorsEntry& entry : entries_) {
    if (entry.begin != end || entry.end > data_size) {
      fail_file(file, fmt::format("{} has bytes {} to {} of the {} of the data, but those of the "
                                  "tensor before end at {}; the file is damaged or cut",
                                  name(entry), entry.begin, entry.end, data_size, end));
    }
    end = entry.end;
  }
  if (end == data_size) return;
  fail_file(file, fmt::format("has {} bytes of data, but its header describes {}; get the file "
                              "again",
                              data_size, end));
}

void SafetensorsHeader::sort_by_name(const std::filesystem::path& file) {
  std::sort(entries_.begin(), entries_.end(),
            [this](const auto& a, const auto& b) { return name(a) < name(b); });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [this](const auto& a, const auto& b) { return name(a) == name(b); });
  if (twice != entries_.end()) {
    fail_file(file, fmt::format("has the tensor {} twice; get the file again", name(*twice)));
  }
}

std::string_view SafetensorsHeader::name(const SafetensorsEntry& entry) const {
  return std::string_view(names_).substr(entry.name_begin, entry.name_size);
}

at::IntArrayRef SafetensorsHeader::shape(const SafetensorsEntry& entry) const {
  return at::IntArrayRef(shapes_).slice(entry.shape_begin, entry.dimensions);
}

const SafetensorsEntry* SafetensorsHeader::find(std::string_view wanted) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), wanted,
      [this](const SafetensorsEntry& entry, std::string_view text) { return name(entry) < text; });
  return found != entries_.end() && name(*found) == wanted ? &*found : nullptr;
}

}  // namespace examples
