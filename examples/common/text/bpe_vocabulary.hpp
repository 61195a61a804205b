// SPDX-License-Identifier: Apache-2.0
// A vocabulary of byte-pair encoding as GPT-2 has it, and its two files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/text/tokenizer.hpp"

namespace examples {

// The name of the token that separates documents.
inline constexpr const char* kEndOfText = "<|endoftext|>";

// Whether vocabularies show this byte as itself: a character of Latin-1 that is visible.
inline constexpr bool is_printable_byte(uint8_t byte) {
  return (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
}

struct BpeVocabulary {
  // The bytes of every token; the id is the index. Each of the 256 single bytes is a token.
  std::vector<std::string> tokens;
  // Pairs of tokens whose bytes, put together, are a token. The earlier one is merged first.
  std::vector<std::pair<TokenId, TokenId>> merges;
  std::optional<TokenId> end_of_text;  // its entry of `tokens` is kEndOfText
};

// Reads a vocabulary from its two files: `vocab`, a JSON object from tokens to ids (vocab.json,
// encoder.json), and `merges`, a line with two tokens for each merge, after a line that begins with
// "#version" (merges.txt, vocab.bpe). In both files bytes are written as GPT-2 writes them: a byte
// that is no printable character, or is a space, as a character from U+0100 on.
//
// Throws std::runtime_error naming the file, and the line where there is one: for a file that
// cannot be read or has more than kMaxVocabularyBytes (vocabulary_files.hpp), malformed JSON, an id
// that is no integer, that is missing or given twice (ids are 0 to n - 1), an empty token or one
// given twice, a token with a character that stands for no byte, a missing single byte, a file of
// merges whose first line does not begin with "#version", a merge with an unknown token or whose
// result is no token, a merge given twice.
BpeVocabulary read_bpe_vocabulary(const std::filesystem::path& vocab,
                                  const std::filesystem::path& merges);

// Writes vocab.json and merges.txt into `folder`, as Hugging Face's tokenizers read them. Throws
// std::runtime_error naming the file that cannot be written.
void write_bpe_vocabulary(const BpeVocabulary& vocabulary, const std::filesystem::path& folder);

}  // namespace examples
