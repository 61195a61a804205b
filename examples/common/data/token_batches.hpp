// SPDX-License-Identifier: Apache-2.0
// Batches for training a language model: pieces of a token file that begin at random places.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "common/data/token_file.hpp"

namespace examples {

struct TokenBatch {
  torch::Tensor inputs;   // int64 [n, context]
  torch::Tensor targets;  // int64 [n, context]: the token that follows each input
};

class TokenBatches {
 public:
  // `file` must outlive this. Throws std::invalid_argument naming the file, both numbers and the
  // remedy if it has fewer than context + 1 tokens, or if context < 1.
  TokenBatches(const TokenFile& file, int64_t context, uint64_t seed);

  // The pieces with the numbers `rows` (int64 [n], on any device) of `epoch`. Where a piece begins
  // is a function of seed, epoch and number alone, uniform over all places with context + 1 tokens,
  // so that a resumed training goes on with the pieces of the uninterrupted one.
  TokenBatch random(const torch::Tensor& rows, int64_t epoch, const torch::Device& device) const;

  // Returns the pieces `first` to first + n - 1 of `count` pieces that are spread evenly over the
  // file; fewer where `count` ends. The same for every call. Piece 0 begins where the file begins.
  // The last of two or more pieces ends where the file ends. Pieces do not overlap if
  // count <= whole_pieces().
  TokenBatch spread(int64_t first, int64_t n, int64_t count, const torch::Device& device) const;

  // The number of pieces that do not overlap.
  int64_t whole_pieces() const { return (file_.size() - 1) / context_; }

  int64_t context() const { return context_; }

 private:
  TokenBatch pieces(const std::vector<int64_t>& starts, const torch::Device& device) const;

  const TokenFile& file_;
  int64_t context_;
  uint64_t seed_;
};

}  // namespace examples
