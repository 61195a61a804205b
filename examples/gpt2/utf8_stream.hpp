// SPDX-License-Identifier: Apache-2.0
// Text that arrives in pieces of bytes, as tokens do, and goes out in whole UTF-8 characters.
#pragma once

#include <string>
#include <string_view>

namespace gpt2 {

// A token may end in the middle of a character. This holds the bytes of an unfinished character
// back until the rest of it arrives. What comes out is always valid UTF-8: bytes that cannot be a
// character become U+FFFD, the replacement character, one for each longest sequence of them that
// begins as a character does (as the Unicode standard recommends and Python does).
class Utf8Stream {
 public:
  // Takes more bytes and returns the characters that are whole now, perhaps none.
  std::string add(std::string_view bytes);

  // Ends the text: returns U+FFFD if a character is unfinished, and nothing otherwise.
  std::string finish();

 private:
  std::string waiting_;  // at most 3 bytes, the beginning of a character
};

// The text with U+FFFD where bytes are not UTF-8.
std::string valid_utf8(std::string_view bytes);

// The characters of a text, with U+FFFD where bytes are not UTF-8.
std::u32string code_points(std::string_view bytes);

}  // namespace gpt2
