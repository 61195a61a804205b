// SPDX-License-Identifier: Apache-2.0
// A tokenizer of a few tokens for the tests of generation.
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/text/tokenizer.hpp"

namespace generation_tokens {

// The bytes of a token are given; the last token ends a document. encode() takes single bytes.
class GenerationTokens : public examples::Tokenizer {
 public:
  explicit GenerationTokens(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  int64_t size() const override { return static_cast<int64_t>(tokens_.size()) + 1; }
  void encode(std::string_view text, std::vector<examples::TokenId>& ids) const override {
    for (const char c : text) {
      const auto found = std::find(tokens_.begin(), tokens_.end(), std::string(1, c));
      ids.push_back(static_cast<examples::TokenId>(found - tokens_.begin()));
    }
  }
  std::string_view bytes(examples::TokenId id) const override {
    return tokens_.at(static_cast<size_t>(id));
  }
  std::optional<examples::TokenId> end_of_text() const override {
    return static_cast<examples::TokenId>(tokens_.size());
  }
  void save(const std::filesystem::path&) const override {}

 private:
  std::vector<std::string> tokens_;
};

inline const GenerationTokens& abc_tokens() {
  static const GenerationTokens tokens({"a", "b", "c"});
  return tokens;
}

}  // namespace generation_tokens
