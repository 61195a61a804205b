// SPDX-License-Identifier: Apache-2.0
#include "common/text/bpe_trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/text/pre_tokenizer.hpp"

namespace examples {
namespace {

constexpr int64_t kBpeSmallestVocabulary = 257;  // kEndOfText and the bytes
constexpr int64_t kBpeSmallestCount = 2;         // a pair that occurs less often is not merged

// Both ids in one word, which is ordered as (left, right) is.
using BpePairKey = uint64_t;

BpePairKey bpe_pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
}

// A pair with the words that it occurs in.
struct BpeCandidate {
  BpePairKey pair = 0;
  int64_t count = 0;  // when it was queued; the count may have changed since then
  std::vector<size_t> words;

  // The front of a heap is the most frequent pair, the smallest among equals.
  bool operator<(const BpeCandidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// A piece of the text as tokens, which become fewer with each merge.
struct BpeWord {
  std::vector<TokenId> tokens;
  int64_t count = 0;  // of its occurrences in the text
};

using BpeWordsOfPairs = std::unordered_map<BpePairKey, std::vector<size_t>>;

// The bytes in the order of GPT-2's vocabulary: printable characters of Latin-1, then the others.
std::vector<uint8_t> gpt2_byte_order() {
  std::vector<uint8_t> bytes(256);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  std::stable_partition(bytes.begin(), bytes.end(), is_printable_byte);
  return bytes;
}

class BpeTraining {
 public:
  explicit BpeTraining(std::string_view text) {
    add_token(kEndOfText);
    vocabulary_.end_of_text = 0;
    for (const uint8_t byte : gpt2_byte_order()) {
      of_byte_[byte] = add_token(std::string(1, static_cast<char>(byte)));
    }
    find_words(text);
    count_pairs();
  }

  BpeVocabulary train(int64_t size, const std::function<void(int64_t)>& progress) {
    while (tokens() < size && !queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      BpeCandidate top = std::move(queue_.back());
      queue_.pop_back();
      const int64_t count = counts_[top.pair];
      if (count < kBpeSmallestCount) continue;
      if (count != top.count) {
        top.count = count;
        push(std::move(top));
        continue;
      }
      merge(top);
      if (progress) progress(tokens());
    }
    return std::move(vocabulary_);
  }

 private:
  int64_t tokens() const { return static_cast<int64_t>(vocabulary_.tokens.size()); }

  TokenId add_token(std::string bytes) {
    vocabulary_.tokens.push_back(std::move(bytes));
    return static_cast<TokenId>(tokens() - 1);
  }

  void find_words(std::string_view text) {
    std::unordered_map<std::string_view, size_t> index;
    const char* const end = text.data() + text.size();
    for (const char* begin = text.data(); begin < end;) {
      const char* const next = next_piece(begin, end);
      const std::string_view piece(begin, static_cast<size_t>(next - begin));
      const auto [entry, is_new] = index.emplace(piece, words_.size());
      if (is_new) {
        BpeWord word;
        for (const char c : piece) word.tokens.push_back(of_byte_[static_cast<uint8_t>(c)]);
        words_.push_back(std::move(word));
      }
      ++words_[entry->second].count;
      begin = next;
    }
  }

  void count_pairs() {
    BpeWordsOfPairs found;
    for (size_t w = 0; w < words_.size(); ++w) {
      const std::vector<TokenId>& tokens = words_[w].tokens;
      for (size_t i = 1; i < tokens.size(); ++i) {
        add_pair(bpe_pair_key(tokens[i - 1], tokens[i]), w, found);
      }
    }
    queue(found);
  }

  // Counts one occurrence in each place of the text where word `w` stands.
  void add_pair(BpePairKey pair, size_t w, BpeWordsOfPairs& found) {
    counts_[pair] += words_[w].count;
    std::vector<size_t>& words = found[pair];
    if (words.empty() || words.back() != w) words.push_back(w);
  }

  void queue(BpeWordsOfPairs& found) {
    for (auto& [pair, words] : found) {
      const int64_t count = counts_[pair];
      if (count > 0) push({pair, count, std::move(words)});
    }
  }

  void push(BpeCandidate candidate) {
    queue_.push_back(std::move(candidate));
    std::push_heap(queue_.begin(), queue_.end());
  }

  // Makes the candidate's token and puts it in place of the pair in the candidate's words. The
  // token is always a new one: bytes whose ends no merge has crossed are cut into the same tokens
  // wherever they stand, so the first merge that makes these bytes one token does so everywhere.
  void merge(const BpeCandidate& candidate) {
    const auto left = static_cast<TokenId>(candidate.pair >> 32);
    const auto right = static_cast<TokenId>(candidate.pair & 0xFFFFFFFFU);
    const TokenId merged = add_token(vocabulary_.tokens[static_cast<size_t>(left)] +
                                     vocabulary_.tokens[static_cast<size_t>(right)]);
    vocabulary_.merges.emplace_back(left, right);
    BpeWordsOfPairs found;
    for (const size_t w : candidate.words) merge_in_word(w, left, right, merged, found);
    queue(found);
  }

  // Replaces the pair from left to right and counts how the pairs with its neighbours change. The
  // count of the pair itself is not needed any more.
  void merge_in_word(size_t w, TokenId left, TokenId right, TokenId merged,
                     BpeWordsOfPairs& found) {
    std::vector<TokenId>& tokens = words_[w].tokens;
    const int64_t count = words_[w].count;
    size_t kept = 0;  // tokens before this place are final
    for (size_t i = 0; i < tokens.size(); ++kept) {
      if (i + 1 >= tokens.size() || tokens[i] != left || tokens[i + 1] != right) {
        tokens[kept] = tokens[i++];
        continue;
      }
      if (kept > 0) {
        counts_[bpe_pair_key(tokens[kept - 1], left)] -= count;
        add_pair(bpe_pair_key(tokens[kept - 1], merged), w, found);
      }
      if (i + 2 < tokens.size()) {
        counts_[bpe_pair_key(right, tokens[i + 2])] -= count;
        add_pair(bpe_pair_key(merged, tokens[i + 2]), w, found);
      }
      tokens[kept] = merged;
      i += 2;
    }
    tokens.resize(kept);
  }

  BpeVocabulary vocabulary_;
  TokenId of_byte_[256] = {};
  std::vector<BpeWord> words_;
  std::unordered_map<BpePairKey, int64_t> counts_;  // occurrences in the text
  std::vector<BpeCandidate> queue_;                 // a heap
};

}  // namespace

BpeVocabulary train_bpe(std::string_view text, int64_t size,
                        const std::function<void(int64_t tokens)>& progress) {
  if (size < kBpeSmallestVocabulary) {
    throw std::invalid_argument(
        fmt::format("a vocabulary of byte-pair encoding must have at least {} tokens, {} and the "
                    "256 bytes, but {} were asked for; choose a larger size",
                    kBpeSmallestVocabulary, kEndOfText, size));
  }
  if (text.empty()) {
    throw std::invalid_argument(
        "a vocabulary of byte-pair encoding needs a text, but the text is empty; check the input "
        "file");
  }
  return BpeTraining(text).train(size, progress);
}

}  // namespace examples
