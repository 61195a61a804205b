// SPDX-License-Identifier: Apache-2.0
// Cuts text into the pieces within which GPT-2's tokenizer merges bytes.
#pragma once

#include <string_view>

#include "common/text/unicode_classes.hpp"

namespace examples {

namespace pieces_detail {

// The end of the run of characters of the class `kind` that begins at `text`.
inline const char* run_end(const char* text, const char* end, CharacterClass kind) {
  while (text != end) {
    const Character next = decode_character(text, end);
    if (next.kind != kind) break;
    text += next.bytes;
  }
  return text;
}

// The number of bytes of 's, 't, 'm, 'd, 're, 've or 'll after the apostrophe at `text`; else 0.
inline int contraction_length(const char* text, const char* end) {
  if (end - text < 2) return 0;
  const char first = text[1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (end - text < 3) return 0;
  const char second = text[2];
  const bool is_long =
      (second == 'e' && (first == 'r' || first == 'v')) || (second == 'l' && first == 'l');
  return is_long ? 3 : 0;
}

// The end of the piece that begins with a white space which is no prefix of a word: all of the
// white space, but for its last character where a word follows and more than one is there.
inline const char* spaces_end(const char* begin, const char* end) {
  const char* text = begin;
  const char* last = begin;
  while (text != end) {
    const Character next = decode_character(text, end);
    if (next.kind != CharacterClass::kSpace) return last == begin ? text : last;
    last = text;
    text += next.bytes;
  }
  return end;
}

}  // namespace pieces_detail

// The end of the first piece of the text from `begin` to `end`, which is not empty. The pieces of a
// text are the matches of GPT-2's pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// one after the other; they cover all of it. Bytes that are not UTF-8 count as characters that are
// no letters, numbers or spaces, so that they can be encoded and decoded as well.
inline const char* next_piece(const char* begin, const char* end) {
  const char* text = begin;
  Character first = decode_character(text, end);
  if (*text == '\'') {
    const int length = pieces_detail::contraction_length(text, end);
    if (length > 0) return text + length;
  } else if (*text == ' ' && end - text > 1) {
    ++text;
    first = decode_character(text, end);
    if (first.kind == CharacterClass::kSpace) return pieces_detail::spaces_end(begin, end);
  } else if (first.kind == CharacterClass::kSpace) {
    return pieces_detail::spaces_end(begin, end);
  }
  return pieces_detail::run_end(text + first.bytes, end, first.kind);
}

// Whether the pieces of the text are those of its first `place` bytes followed by those of the
// rest. True only where the characters beside the cut decide that: the one before it is no white
// space, the one after it is of another class, and they are not an apostrophe and a letter.
// 0 < place < text.size().
bool is_safe_cut(std::string_view text, size_t place);

}  // namespace examples
