// SPDX-License-Identifier: Apache-2.0
// Hash tables from short pieces of text to token ids. Most pieces of a text are short and occur
// many times, so that finding them here spares nearly all merging.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/text/tokenizer.hpp"

namespace examples {

// Bytes of the longest piece that has a key.
inline constexpr size_t kMaxPieceKey = 15;

// The bytes of a piece, filled up with zeros, and its length as byte 15. All zeros is no key.
struct PieceKey {
  uint64_t low = 0, high = 0;

  bool operator==(const PieceKey& other) const { return low == other.low && high == other.high; }

  // A number below 2^bits.
  size_t hash(int bits) const {
    const uint64_t mixed = (low ^ high * 0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93;
    return static_cast<size_t>((mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93 >> (64 - bits));
  }
};

namespace piece_detail {

struct KeyMask {
  PieceKey keep, length;
};

inline std::array<KeyMask, kMaxPieceKey + 1> key_masks() {
  std::array<KeyMask, kMaxPieceKey + 1> masks;
  for (size_t bytes = 0; bytes < masks.size(); ++bytes) {
    unsigned char keep[16] = {}, length[16] = {};
    std::memset(keep, 0xFF, bytes);
    length[15] = static_cast<unsigned char>(bytes);
    std::memcpy(&masks[bytes].keep, keep, 16);
    std::memcpy(&masks[bytes].length, length, 16);
  }
  return masks;
}

inline const std::array<KeyMask, kMaxPieceKey + 1> kKeyMasks = key_masks();

}  // namespace piece_detail

// The key of the `bytes` bytes at `piece`, 1 to kMaxPieceKey. The text goes on to `end`; bytes
// after the piece are read if they are there, which is faster than copying as many as the piece
// has.
inline PieceKey piece_key(const char* piece, size_t bytes, const char* end) {
  PieceKey key;
  if (end - piece >= 16) {
    std::memcpy(&key, piece, 16);
    const PieceKey& keep = piece_detail::kKeyMasks[bytes].keep;
    key.low &= keep.low;
    key.high &= keep.high;
  } else {
    std::memcpy(&key, piece, bytes);
  }
  key.low |= piece_detail::kKeyMasks[bytes].length.low;
  key.high |= piece_detail::kKeyMasks[bytes].length.high;
  return key;
}

inline PieceKey piece_key(std::string_view piece) {
  std::array<char, 16> padded{};
  const size_t bytes = std::min(piece.size(), kMaxPieceKey);
  std::memcpy(padded.data(), piece.data(), bytes);
  return piece_key(padded.data(), bytes, padded.data() + padded.size());
}

// The pieces that become a single token. Filled once, then only read.
class WholeTokens {
 public:
  explicit WholeTokens(size_t capacity) {
    while (size_t{1} << bits_ < 2 * capacity) ++bits_;
    slots_.resize(size_t{1} << bits_);
  }

  void add(const PieceKey& key, TokenId id) {
    size_t i = key.hash(bits_);
    while (slots_[i].id >= 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {key, id};
  }

  // -1 for a piece that was not added.
  TokenId find(const PieceKey& key) const {
    for (size_t i = key.hash(bits_);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key || slots_[i].id < 0) return slots_[i].id;
    }
  }

 private:
  struct Slot {
    PieceKey key;
    TokenId id = -1;
  };
  int bits_ = 1;
  std::vector<Slot> slots_;
};

// Pieces that were met before, with their ids. A new piece takes the place of an earlier one.
class PieceCache {
 public:
  // Forgets everything if it was filled for another tokenizer.
  void use_for(uint64_t tokenizer) {
    if (tokenizer == tokenizer_) return;
    entries_.assign(size_t{1} << kBits, Entry{});
    tokenizer_ = tokenizer;
  }

  // Appends the ids of the piece if they are known, and says whether they are.
  bool append(const PieceKey& key, std::vector<TokenId>& ids) const {
    const Entry& entry = entries_[key.hash(kBits)];
    if (!(entry.key == key)) return false;
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return true;
  }

  void add(const PieceKey& key, const TokenId* ids, size_t count) {
    Entry& entry = entries_[key.hash(kBits)];
    if (count > entry.ids.size()) return;
    entry.key = key;
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.ids.data(), ids, count * sizeof(TokenId));
  }

 private:
  static constexpr int kBits = 14;  // 16,384 entries of 48 bytes
  struct Entry {
    PieceKey key;
    std::array<TokenId, 7> ids{};
    uint8_t count = 0;
  };
  uint64_t tokenizer_ = 0;
  std::vector<Entry> entries_;
};

// The calling thread's cache for a tokenizer with this number > 0. Each thread has one cache, so
// that threads that use one tokenizer do not wait for each other.
inline PieceCache& piece_cache_of(uint64_t tokenizer) {
  thread_local PieceCache cache;
  cache.use_for(tokenizer);
  return cache;
}

}  // namespace examples
