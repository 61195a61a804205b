// SPDX-License-Identifier: Apache-2.0
// A text that becomes token ids, with the time that it takes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "common/text/tokenizer.hpp"

namespace gpt2_benchmark {

struct Encoded {
  int64_t bytes = 0;
  int64_t tokens = 0;
  double seconds = 0;
  // The sum of (i + 1) ids[i] modulo 2^64, by which it is seen whether two sides found the same.
  uint64_t checksum = 0;
};

class Encoding {
 public:
  // Throws std::runtime_error for a folder without the files of a vocabulary.
  explicit Encoding(const std::filesystem::path& vocabulary);

  // The whole file in one call, on the calling thread. Throws std::runtime_error if the file cannot
  // be read.
  Encoded encode(const std::filesystem::path& text) const;

 private:
  std::unique_ptr<examples::Tokenizer> tokenizer_;
};

}  // namespace gpt2_benchmark
