// SPDX-License-Identifier: Apache-2.0
#include "utf8_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace gpt2 {
namespace {

constexpr const char* kUtf8Replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr char32_t kReplacementPoint = 0xFFFD;

enum class Utf8Kind { kWhole, kUnfinished, kInvalid };

// The beginning of a text: a character, the beginning of one at the end of the text, or bytes that
// are none.
struct Utf8Head {
  Utf8Kind kind;
  size_t length;   // >= 1
  char32_t point;  // of a whole character
};

struct Utf8Range {
  uint8_t low, high;
};

// Which second bytes can follow a first byte. The narrow ranges leave out long forms of short
// characters, surrogates, and what is above U+10FFFF.
Utf8Range utf8_second_byte(uint8_t first) {
  switch (first) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

// The bytes of a character that begins with this byte; 0 if none does.
size_t utf8_length(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

// `bytes` has at least one.
Utf8Head utf8_head(std::string_view bytes) {
  const auto first = static_cast<uint8_t>(bytes[0]);
  const size_t length = utf8_length(first);
  if (length == 0) return {Utf8Kind::kInvalid, 1, 0};
  if (length == 1) return {Utf8Kind::kWhole, 1, first};
  char32_t point = first & (0x7FU >> length);
  Utf8Range range = utf8_second_byte(first);
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Utf8Kind::kUnfinished, i, 0};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (byte < range.low || byte > range.high) return {Utf8Kind::kInvalid, i, 0};
    point = (point << 6) | (byte & 0x3FU);
    range = {0x80, 0xBF};
  }
  return {Utf8Kind::kWhole, length, point};
}

}  // namespace

std::string Utf8Stream::add(std::string_view bytes) {
  const std::string all = std::exchange(waiting_, {}) + std::string(bytes);
  std::string whole;
  std::string_view rest = all;
  while (!rest.empty()) {
    const Utf8Head head = utf8_head(rest);
    if (head.kind == Utf8Kind::kUnfinished) {
      waiting_ = rest;
      break;
    }
    whole += head.kind == Utf8Kind::kWhole ? rest.substr(0, head.length)
                                           : std::string_view(kUtf8Replacement);
    rest.remove_prefix(head.length);
  }
  return whole;
}

std::string Utf8Stream::finish() {
  return std::exchange(waiting_, {}).empty() ? std::string() : kUtf8Replacement;
}

std::string valid_utf8(std::string_view bytes) {
  Utf8Stream stream;
  const std::string whole = stream.add(bytes);
  return whole + stream.finish();
}

std::u32string code_points(std::string_view bytes) {
  std::u32string points;
  while (!bytes.empty()) {
    const Utf8Head head = utf8_head(bytes);
    points += head.kind == Utf8Kind::kWhole ? head.point : kReplacementPoint;
    bytes.remove_prefix(head.length);
  }
  return points;
}

}  // namespace gpt2
