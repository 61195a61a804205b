// SPDX-License-Identifier: Apache-2.0
// Writes the random words of noise stream 3 to standard output, 32 bits each, until nobody reads
// any more. They come in the order in which a training uses them: sample after sample, parameter
// after parameter, block after block.
//
// Usage: words SEED
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "ivon/kernels/cpu.hpp"

namespace {

using ivon::detail::kNoiseBlock;
using ivon::detail::NoiseDomain;
using ivon::detail::NoiseKey;

// A network of 64 parameters with 65,536 elements each.
constexpr uint32_t kParameters = 64;
constexpr uint32_t kBlocks = 16;

void words_of_block(const NoiseKey& key, uint32_t block, uint32_t (&words)[kNoiseBlock]) {
  ivon::detail::portable::NormalBlock normals(key, block);
  for (int64_t i = 0; i < kNoiseBlock; i += 16) {
    ivon::detail::portable::store(words + i, normals.next_words());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("words: the one argument must be the seed\n", stderr);
    return 2;
  }
  const uint64_t seed = std::strtoull(argv[1], nullptr, 10);
  static uint32_t words[kNoiseBlock];
  for (uint64_t draw = 0;; ++draw) {
    for (uint32_t parameter = 0; parameter < kParameters; ++parameter) {
      const NoiseKey key(seed, draw, NoiseDomain::kTraining, parameter);
      for (uint32_t block = 0; block < kBlocks; ++block) {
        words_of_block(key, block, words);
        if (std::fwrite(words, sizeof words, 1, stdout) != 1) return 0;
      }
    }
  }
}
