// SPDX-License-Identifier: Apache-2.0
#include "common/text/pre_tokenizer.hpp"

#include <algorithm>

namespace examples {

bool is_safe_cut(std::string_view text, size_t place) {
  const char* const end = text.data() + text.size();
  const char* const cut = text.data() + place;
  Character before{CharacterClass::kOther, 1};
  for (size_t back = 1; back <= std::min<size_t>(place, 4); ++back) {
    const Character character = decode_character(cut - back, end);
    if (character.bytes > back) return false;  // the cut is inside a character
    if (character.bytes == back) {
      before = character;
      if (back > 1) break;
    }
  }
  if (before.kind == CharacterClass::kSpace) return false;
  const Character after = decode_character(cut, end);
  if (after.kind == before.kind) return false;
  return cut[-1] != '\'' || after.kind != CharacterClass::kLetter;
}

}  // namespace examples
