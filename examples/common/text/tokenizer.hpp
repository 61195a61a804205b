// SPDX-License-Identifier: Apache-2.0
// What all tokenizers have in common: text becomes token ids, and token ids become text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

using TokenId = int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids are 0 to size() - 1.
  virtual int64_t size() const = 0;

  // Appends the ids of `text`. Throws std::runtime_error if the vocabulary lacks a part of it.
  virtual void encode(std::string_view text, std::vector<TokenId>& ids) const = 0;

  // The bytes of one token, which may be a part of a character. They live as long as the tokenizer.
  // Throws std::out_of_range, with the size of the vocabulary, for an id that it does not have.
  virtual std::string_view bytes(TokenId id) const = 0;

  // The token that separates documents; nothing if the vocabulary has none. encode() never makes
  // it from text.
  virtual std::optional<TokenId> end_of_text() const = 0;

  // Writes the vocabulary's files into `folder`, which exists, for open_tokenizer() to read, and
  // then removes the files of other vocabularies there (vocabulary_files.hpp). Throws
  // std::runtime_error that names the file that cannot be written or removed.
  virtual void save(const std::filesystem::path& folder) const = 0;

  // The bytes of all these tokens.
  std::string decode(const std::vector<TokenId>& ids) const {
    std::string text;
    for (const TokenId id : ids) text += bytes(id);
    return text;
  }
};

}  // namespace examples
