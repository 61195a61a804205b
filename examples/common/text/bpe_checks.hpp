// SPDX-License-Identifier: Apache-2.0
// What must hold for a vocabulary of byte-pair encoding, whether a file or a program gives it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/text/bpe_vocabulary.hpp"

namespace examples {

// The id of kEndOfText, if it is among the tokens. Throws std::runtime_error for an empty token, a
// token given twice, and a single byte that is no token.
inline std::optional<TokenId> check_bpe_tokens(const std::vector<std::string>& tokens) {
  std::optional<TokenId> end_of_text;
  std::unordered_set<std::string_view> known;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty()) {
      throw std::runtime_error(
          fmt::format("a token must have a byte or more, but token {} has none; remove it", i));
    }
    if (!known.insert(tokens[i]).second) {
      throw std::runtime_error(fmt::format(
          "each token must be given once, but token {} is an earlier one; remove it", i));
    }
    if (tokens[i] == kEndOfText) end_of_text = static_cast<TokenId>(i);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char single = static_cast<char>(byte);
    if (known.count(std::string_view(&single, 1)) == 0) {
      throw std::runtime_error(
          fmt::format("each of the 256 bytes must be a token, but the byte 0x{:02X} is none; take "
                      "a byte-level vocabulary, as GPT-2's is",
                      byte));
    }
  }
  return end_of_text;
}

// Checks merges one after the other.
class BpeMergeChecker {
 public:
  // `tokens` must outlive this.
  explicit BpeMergeChecker(const std::vector<std::string>& tokens)
      : tokens_(tokens), known_(tokens.begin(), tokens.end()) {}

  // Throws std::runtime_error if the merge has an id that is no token's, if its result is no token,
  // or if it was given before.
  void check(const std::pair<TokenId, TokenId>& merge) {
    const std::string both = token(merge.first) + token(merge.second);
    if (known_.count(both) == 0) {
      throw std::runtime_error("the two tokens put together must be a token of the vocabulary");
    }
    const auto bits = [](TokenId id) { return static_cast<uint64_t>(id); };
    if (!given_.insert(bits(merge.first) << 32 | bits(merge.second)).second) {
      throw std::runtime_error("each merge must be given once, but this one is given twice");
    }
  }

 private:
  const std::string& token(TokenId id) const {
    if (id < 0 || static_cast<size_t>(id) >= tokens_.size()) {
      throw std::runtime_error(fmt::format("the ids of {} tokens are 0 to {}, but a merge has {}",
                                           tokens_.size(), tokens_.size() - 1, id));
    }
    return tokens_[static_cast<size_t>(id)];
  }

  const std::vector<std::string>& tokens_;
  std::unordered_set<std::string_view> known_;
  std::unordered_set<uint64_t> given_;
};

}  // namespace examples
