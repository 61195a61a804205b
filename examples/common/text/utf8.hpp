// SPDX-License-Identifier: Apache-2.0
// The code points of text in UTF-8.
#pragma once

#include <cstdint>
#include <string_view>

namespace examples {

// The number of bytes, 1 to 4, of the character that `text` begins with; `code_point` becomes its
// number. 0 if the text is empty or begins with no valid character: a stray or missing continuation
// byte, a longer form than necessary, a surrogate, a number above U+10FFFF (Unicode 15, section
// 3.9). `code_point` then has no meaning.
inline int decode_utf8(std::string_view text, uint32_t& code_point) {
  if (text.empty()) return 0;
  const auto lead = static_cast<uint8_t>(text[0]);
  code_point = lead;
  if (lead < 0x80) return 1;
  // No character begins with 0x80 to 0xC1 or with 0xF5 and above.
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < static_cast<size_t>(length)) return 0;
  code_point = lead & (0x7FU >> length);
  for (size_t i = 1; i < static_cast<size_t>(length); ++i) {
    const auto next = static_cast<uint8_t>(text[i]);
    if ((next & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (next & 0x3FU);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // by length
  const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  return code_point < kSmallest[length] || is_surrogate || code_point > 0x10FFFF ? 0 : length;
}

}  // namespace examples
