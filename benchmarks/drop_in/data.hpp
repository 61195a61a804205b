// SPDX-License-Identifier: Apache-2.0
// The data of the tasks. All are read once for each process and kept in memory.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/data/fashion_mnist.hpp"
#include "common/data/in_memory.hpp"

namespace drop_in {

/// Returns Fashion-MNIST: images [n, 1, 28, 28], float32, standardised to mean 0 and variance 1
/// over the training set; labels [n], int64. 60,000 images are to train and 10,000 to test.
using examples::FashionMnist;
const FashionMnist& fashion_mnist();

/// A text as numbers of its characters or words: the first nine tenths to train, the rest to
/// validate.
struct Text {
  torch::Tensor train;       // [tokens], int64
  torch::Tensor validation;  // [tokens], int64
  int64_t vocabulary = 0;
};
/// The characters of the King James Bible (from `data`/text.txt).
const Text& characters(const std::filesystem::path& data);
/// Its words, in lower case, punctuation marks as words of their own; the 8,000 most frequent, and
/// one number for all others.
const Text& words(const std::filesystem::path& data);

/// A table for regression: columns [n, k], float32, and target [n], both standardised over the
/// training rows.
struct Table {
  examples::InMemory train;
  examples::InMemory test;
};
/// Prices (logarithm) of 53,940 diamonds from `data`/diamonds.csv; cut, color and clarity as
/// one-hot columns. A fixed tenth of the rows is the test set.
const Table& diamonds(const std::filesystem::path& data);

/// Random batches of row numbers: every epoch is another permutation. The order depends on the seed
/// alone, so that it is the same for all optimizers.
class Batches {
 public:
  Batches(int64_t rows, int64_t batch_size, uint64_t seed);
  /// Returns the row numbers [batch_size], int64, of the next batch; the rest of an epoch that does
  /// not fill a batch is left out.
  torch::Tensor next();

 private:
  int64_t rows_, batch_size_, position_;
  std::mt19937_64 generator_;
  torch::Tensor order_;
};

/// Random windows of `length` + 1 tokens: returns [batch_size, length + 1], int64.
torch::Tensor random_windows(const torch::Tensor& tokens, int64_t batch_size, int64_t length,
                             std::mt19937_64& generator);

}  // namespace drop_in
