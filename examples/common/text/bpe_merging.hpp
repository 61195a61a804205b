// SPDX-License-Identifier: Apache-2.0
// Merges the bytes of a piece of text to tokens.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "common/text/bpe_vocabulary.hpp"

namespace examples {

// Of all neighbouring tokens of a piece, the pair that comes first in the list of merges is merged;
// of several such pairs, the first in the piece; and so on until no pair is in the list.
class BpeMerges {
 public:
  // The vocabulary must be one that read_bpe_vocabulary() could have returned.
  explicit BpeMerges(const BpeVocabulary& vocabulary);

  // Appends the ids of a piece that is not empty. The time grows as n log n with its n bytes.
  void merge(std::string_view piece, std::vector<TokenId>& ids) const;

 private:
  static constexpr int32_t kNoMerge = std::numeric_limits<int32_t>::max();

  struct Pair {
    uint64_t key = std::numeric_limits<uint64_t>::max();
    int32_t rank = kNoMerge;  // place in the list of merges
    TokenId result = 0;
  };

  static uint64_t key_of(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t first_place(uint64_t key) const {
    return static_cast<size_t>(key * 0x9E3779B97F4A7C15 >> (64 - bits_));
  }
  // The entry of the pair, or one with the rank kNoMerge.
  const Pair& find(TokenId left, TokenId right) const;

  void merge_short(std::string_view piece, std::vector<TokenId>& ids) const;
  void merge_long(std::string_view piece, std::vector<TokenId>& ids) const;

  int bits_ = 1;
  std::vector<Pair> pairs_;        // a hash table with 2^bits_ places
  std::vector<TokenId> byte_ids_;  // the tokens of the 256 bytes
};

}  // namespace examples
