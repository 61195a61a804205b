// SPDX-License-Identifier: Apache-2.0
// A tokenizer whose tokens are single characters, for small models.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/text/tokenizer.hpp"

namespace examples {

// A character is a Unicode code point in UTF-8, or one byte where the text is not UTF-8. The ids
// follow the order of the code points (bytes of malformed text come last), as in nanoGPT's
// character-level data sets. A copy or a moved tokenizer is whole, but views of bytes() belong to
// the tokenizer that gave them.
class CharacterTokenizer : public Tokenizer {
 public:
  // The distinct characters of `text` are the vocabulary. Throws std::invalid_argument if there are
  // none, or more than 65,536, which token files cannot hold.
  explicit CharacterTokenizer(std::string_view text);

  // The vocabulary of a file of save(): characters.json, {"characters": ["\n", " ", ...]}, where
  // bytes of malformed text are numbers. Throws std::runtime_error naming the file if it cannot be
  // read, has more than kMaxVocabularyBytes (vocabulary_files.hpp) or holds something else.
  static CharacterTokenizer read(const std::filesystem::path& file);

  int64_t size() const override;
  // Throws std::runtime_error naming the character, its place and the remedy (a tokenizer made from
  // the text) if the vocabulary lacks it.
  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string_view bytes(TokenId id) const override;
  std::optional<TokenId> end_of_text() const override { return {}; }
  void save(const std::filesystem::path& folder) const override;

 private:
  CharacterTokenizer() { ids_of_bytes_.fill(kNoId); }

  // Appends a character to the vocabulary. False if it is there already.
  bool add_code_point(uint32_t code_point, std::string bytes);
  bool add_byte(uint8_t byte);

  static constexpr TokenId kNoId = -1;

  std::vector<std::string> characters_;  // by id
  std::unordered_map<uint32_t, TokenId> ids_of_code_points_;
  std::array<TokenId, 256> ids_of_bytes_;  // of malformed text; kNoId: none
};

}  // namespace examples
