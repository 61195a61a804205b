// SPDX-License-Identifier: Apache-2.0
// The code points of text in UTF-8 (Unicode 15, section 3.9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace examples {

enum class Utf8Kind { kWhole, kUnfinished, kInvalid };

// What a text begins with: a character, the first bytes of one at the end of the text, or bytes
// that are none.
struct Utf8Head {
  Utf8Kind kind;
  // Of the character in bytes, 1 to 4; or of the longest sequence with which a character can begin,
  // or 1 if none can begin so.
  int length;
  uint32_t code_point;  // of a whole character, else 0
};

// `text` has at least one byte. A stray or missing continuation byte, a longer form than necessary,
// a surrogate and a number above U+10FFFF are no characters.
inline Utf8Head utf8_head(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {Utf8Kind::kWhole, 1, lead};
  // No character begins with 0x80 to 0xC1 or with 0xF5 and above.
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Kind::kInvalid, 1, 0};
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Which second bytes can follow. The narrow ranges leave out long forms of short characters,
  // surrogates, and what is above U+10FFFF.
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t code_point = lead & (0x7FU >> length);
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {Utf8Kind::kUnfinished, i, 0};
    const auto next = static_cast<uint8_t>(text[static_cast<size_t>(i)]);
    if (next < low || next > high) return {Utf8Kind::kInvalid, i, 0};
    code_point = code_point << 6 | (next & 0x3FU);
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Kind::kWhole, length, code_point};
}

// The number of bytes, 1 to 4, of the character that `text` begins with; `code_point` becomes its
// number. 0 if the text is empty or begins with no whole character; `code_point` then has no
// meaning.
inline int decode_utf8(std::string_view text, uint32_t& code_point) {
  if (text.empty()) return 0;
  const Utf8Head head = utf8_head(text);
  code_point = head.code_point;
  return head.kind == Utf8Kind::kWhole ? head.length : 0;
}

}  // namespace examples
