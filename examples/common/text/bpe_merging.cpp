// SPDX-License-Identifier: Apache-2.0
#include "common/text/bpe_merging.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>

namespace examples {
namespace {

// Up to this length, looking at all pairs for each merge is faster than a queue.
constexpr size_t kShortPieceBytes = 64;

struct MergingSymbol {
  TokenId id;
  int32_t rank;    // of the merge with the next symbol
  TokenId result;  // of this merge
};

// A symbol of a long piece, at the place of its first byte. `rank` and `result` as above.
struct LinkedSymbol {
  TokenId id;
  int32_t rank;
  TokenId result;
  int64_t previous, next;  // places; -1 and the piece's length beyond its ends
};

}  // namespace

BpeMerges::BpeMerges(const BpeVocabulary& vocabulary) : byte_ids_(256) {
  std::unordered_map<std::string_view, TokenId> ids;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string& token = vocabulary.tokens[i];
    const auto id = static_cast<TokenId>(i);
    ids.emplace(token, id);
    if (token.size() == 1) byte_ids_[static_cast<unsigned char>(token[0])] = id;
  }
  while (size_t{1} << bits_ < 2 * vocabulary.merges.size()) ++bits_;
  pairs_.resize(size_t{1} << bits_);
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const auto [left, right] = vocabulary.merges[i];
    const std::string both = vocabulary.tokens[static_cast<size_t>(left)] +
                             vocabulary.tokens[static_cast<size_t>(right)];
    const uint64_t key = key_of(left, right);
    size_t place = first_place(key);
    while (pairs_[place].rank != kNoMerge) place = (place + 1) & (pairs_.size() - 1);
    pairs_[place] = {key, static_cast<int32_t>(i), ids.at(both)};
  }
}

const BpeMerges::Pair& BpeMerges::find(TokenId left, TokenId right) const {
  const uint64_t key = key_of(left, right);
  for (size_t place = first_place(key);; place = (place + 1) & (pairs_.size() - 1)) {
    const Pair& pair = pairs_[place];
    if (pair.key == key || pair.rank == kNoMerge) return pair;
  }
}

void BpeMerges::merge(std::string_view piece, std::vector<TokenId>& ids) const {
  if (piece.size() <= kShortPieceBytes) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids);
  }
}

void BpeMerges::merge_short(std::string_view piece, std::vector<TokenId>& ids) const {
  std::array<MergingSymbol, kShortPieceBytes> symbols;
  size_t count = piece.size();
  const auto find_merge = [&](size_t i) {
    if (i + 1 == count) {
      symbols[i].rank = kNoMerge;
      symbols[i].result = 0;
    } else {
      const Pair& pair = find(symbols[i].id, symbols[i + 1].id);
      symbols[i].rank = pair.rank;
      symbols[i].result = pair.result;
    }
  };
  for (size_t i = 0; i < count; ++i) {
    symbols[i].id = byte_ids_[static_cast<unsigned char>(piece[i])];
  }
  for (size_t i = 0; i < count; ++i) find_merge(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
      if (symbols[i].rank < symbols[best].rank) best = i;
    }
    if (symbols[best].rank == kNoMerge) break;
    symbols[best].id = symbols[best].result;
    for (size_t i = best + 1; i + 1 < count; ++i) symbols[i] = symbols[i + 1];
    --count;
    find_merge(best);
    if (best > 0) find_merge(best - 1);
  }
  for (size_t i = 0; i < count; ++i) ids.push_back(symbols[i].id);
}

void BpeMerges::merge_long(std::string_view piece, std::vector<TokenId>& ids) const {
  const auto size = static_cast<int64_t>(piece.size());
  std::vector<LinkedSymbol> symbols(piece.size());
  // Places of possible merges, the first to be done on top. An entry whose rank is no longer that
  // of its symbol is out of date.
  using Entry = std::pair<int32_t, int64_t>;
  std::vector<Entry> first_entries;
  const auto at = [&](int64_t place) -> LinkedSymbol& {
    return symbols[static_cast<size_t>(place)];
  };
  const auto find_merge = [&](int64_t place) {
    LinkedSymbol& symbol = at(place);
    symbol.rank = kNoMerge;
    if (symbol.next == size) return false;
    const Pair& pair = find(symbol.id, at(symbol.next).id);
    symbol.rank = pair.rank;
    symbol.result = pair.result;
    return pair.rank != kNoMerge;
  };
  for (int64_t i = 0; i < size; ++i) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(piece[static_cast<size_t>(i)])];
    at(i) = {id, kNoMerge, 0, i - 1, i + 1};
  }
  for (int64_t i = 0; i < size; ++i) {
    if (find_merge(i)) first_entries.emplace_back(at(i).rank, i);
  }
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue(std::greater<>(),
                                                                       std::move(first_entries));
  while (!queue.empty()) {
    const auto [rank, place] = queue.top();
    queue.pop();
    LinkedSymbol& symbol = at(place);
    if (symbol.rank != rank) continue;
    symbol.id = symbol.result;
    LinkedSymbol& merged = at(symbol.next);
    merged.rank = kNoMerge;
    symbol.next = merged.next;
    if (symbol.next < size) at(symbol.next).previous = place;
    if (find_merge(place)) queue.emplace(symbol.rank, place);
    if (symbol.previous >= 0 && find_merge(symbol.previous)) {
      queue.emplace(at(symbol.previous).rank, symbol.previous);
    }
  }
  for (int64_t i = 0; i < size; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace examples
