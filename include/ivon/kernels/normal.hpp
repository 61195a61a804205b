// SPDX-License-Identifier: Apache-2.0
// The noise of IVON: (seed, domain, draw, parameter, block) -> 4096 standard normals. No LibTorch.
//
// Stream 1, of CPUs: Philox4x32-10 keys sixteen xoshiro128++ lanes, Box-Muller turns their words
// into normals. Stream 2, of CUDA devices: Philox4x32-10 gives the words of four elements each.
// Every operation is an integer operation or an IEEE-754 binary32 one (FMA, multiply, square root),
// so the same bits come out of every processor, compiler and vector width. docs/noise.md is the
// specification with test vectors; archives name both.
#pragma once

#include <cstdint>
#include <ivon/kernels/cpu.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Writes the normals of the blocks from `first_block` on: out[0 ... count - 1] are the elements
/// kNoiseBlock * first_block + i of the parameter in memory order.
inline void fill_normal(const NoiseKey& key, int64_t first_block, float* out, int64_t count,
                        Isa isa = current_isa()) {
  for (int64_t done = 0; done < count; done += kNoiseBlock) {
    const int64_t size = count - done < kNoiseBlock ? count - done : kNoiseBlock;
    fill_block(isa, key, static_cast<uint32_t>(first_block + done / kNoiseBlock), out + done, size);
  }
}

/// The same of the stream that CUDA devices draw.
inline void fill_normal_cuda(const NoiseKey& key, int64_t first_block, float* out, int64_t count,
                             Isa isa = current_isa()) {
  fill_quads(isa, key, static_cast<uint64_t>(first_block) * (kNoiseBlock / 4), out, count);
}

}  // namespace detail
IVON_NAMESPACE_END
