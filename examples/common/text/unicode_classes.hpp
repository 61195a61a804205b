// SPDX-License-Identifier: Apache-2.0
// Characters in UTF-8 and their classes, as the pattern of GPT-2's tokenizer needs them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/text/unicode_table.inl"
#include "common/text/utf8.hpp"

namespace examples {

// \p{L}, \p{N} and \s (the property White_Space) of the Unicode version kUnicodeVersion, and all
// other characters. tiktoken 0.14 and Hugging Face's tokenizers 0.23 have the same classes for all
// code points (make_unicode_table.py compares).
enum class CharacterClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 3 };

namespace unicode_detail {

constexpr CharacterClass class_in_table(uint32_t code) {
  constexpr size_t kBlocks = sizeof(kUnicodeBlocks);
  const size_t block = code / 128;
  if (block >= kBlocks) return CharacterClass::kOther;
  const uint64_t word = kUnicodeClasses[size_t{kUnicodeBlocks[block]} * 4 + code % 128 / 32];
  return static_cast<CharacterClass>(word >> (2 * (code % 32)) & 3);
}

constexpr std::array<CharacterClass, 128> ascii_classes() {
  std::array<CharacterClass, 128> classes{};
  for (uint32_t code = 0; code < 128; ++code) classes[code] = class_in_table(code);
  return classes;
}

inline constexpr std::array<CharacterClass, 128> kAsciiClasses = ascii_classes();

}  // namespace unicode_detail

// The class of a code point; kOther for a number that is none.
inline CharacterClass class_of(uint32_t code) { return unicode_detail::class_in_table(code); }

struct Character {
  CharacterClass kind;
  uint8_t bytes;  // 1 to 4
};

// The first character of the text from `text` to `end`, which is not empty. A byte that is part of
// no valid character (by Unicode's definition of UTF-8: no overlong forms, no surrogates, at most
// U+10FFFF) counts as a character of its own of the class kOther.
inline Character decode_character(const char* text, const char* end) {
  const auto lead = static_cast<unsigned char>(*text);
  if (lead < 128) return {unicode_detail::kAsciiClasses[lead], 1};
  uint32_t code = 0;
  const int bytes = decode_utf8({text, static_cast<size_t>(end - text)}, code);
  if (bytes == 0) return {CharacterClass::kOther, 1};
  return {class_of(code), static_cast<uint8_t>(bytes)};
}

}  // namespace examples
