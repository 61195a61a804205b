// SPDX-License-Identifier: Apache-2.0
// Small vocabularies of byte-pair encoding, and slow merging to compare with.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/bpe_vocabulary.hpp"

namespace bpe_small {

inline std::vector<std::string> single_bytes() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return tokens;
}

// 262 tokens: the 256 bytes in order, " l", "lo", "low", "er", " low", and kEndOfText.
inline examples::BpeVocabulary small_vocabulary() {
  examples::BpeVocabulary vocabulary;
  vocabulary.tokens = single_bytes();
  for (const char* token : {" l", "lo", "low", "er", " low", examples::kEndOfText}) {
    vocabulary.tokens.emplace_back(token);
  }
  vocabulary.merges = {{'l', 'o'}, {257, 'w'}, {'e', 'r'}, {' ', 258}};
  vocabulary.end_of_text = 261;
  return vocabulary;
}

// 60 merges of random tokens of the letters a, b and c, in an order in which no training puts them.
inline examples::BpeVocabulary random_vocabulary(std::mt19937& random) {
  examples::BpeVocabulary vocabulary;
  vocabulary.tokens = single_bytes();
  std::vector<examples::TokenId> ids{'a', 'b', 'c'};
  for (int i = 0; i < 60; ++i) {
    const examples::TokenId left = ids[random() % ids.size()], right = ids[random() % ids.size()];
    const std::string both = vocabulary.tokens[static_cast<size_t>(left)] +
                             vocabulary.tokens[static_cast<size_t>(right)];
    const auto known = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), both);
    if (both.size() > 12 || known != vocabulary.tokens.end()) continue;
    ids.push_back(static_cast<examples::TokenId>(vocabulary.tokens.size()));
    vocabulary.tokens.push_back(both);
    vocabulary.merges.emplace_back(left, right);
  }
  std::shuffle(vocabulary.merges.begin(), vocabulary.merges.end(), random);
  return vocabulary;
}

// The tokens of one piece: the definition, without regard to time.
inline std::vector<examples::TokenId> merged_slowly(const examples::BpeVocabulary& vocabulary,
                                                    std::string_view piece) {
  std::vector<examples::TokenId> ids;
  for (const char byte : piece) ids.push_back(static_cast<unsigned char>(byte));
  for (size_t m = 0; m < vocabulary.merges.size();) {
    const auto [left, right] = vocabulary.merges[m];
    size_t i = 0;
    while (i + 1 < ids.size() && (ids[i] != left || ids[i + 1] != right)) ++i;
    if (i + 1 >= ids.size()) {
      ++m;
      continue;
    }
    const std::string both = vocabulary.tokens[static_cast<size_t>(left)] +
                             vocabulary.tokens[static_cast<size_t>(right)];
    const auto known = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), both);
    ids[i] = static_cast<examples::TokenId>(known - vocabulary.tokens.begin());
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    m = 0;  // a pair that the merge has made may come earlier in the list
  }
  return ids;
}

inline std::string random_bytes(std::mt19937& random, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(random() % 256);
  return bytes;
}

}  // namespace bpe_small
