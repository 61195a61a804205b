// SPDX-License-Identifier: Apache-2.0
// Makes the noise of IVON: 4096 standard normals for each seed, domain, draw, parameter and block.
// This file does not use LibTorch.
//
// Stream 3 is for CPUs: Philox4x32-10 seeds eight lanes of xoroshiro128+, and Box-Muller turns
// their words into normals. Trainings that began with stream 1 go on with it: there the lanes are
// sixteen of xoshiro128++. Stream 2 is for CUDA devices: Philox4x32-10 makes the words of four
// elements at a time, and Box-Muller turns them into normals. Every operation is an integer
// operation or an IEEE-754 binary32 one (FMA, multiply, square root), so the same bits come out of
// every processor, compiler and vector width. docs/noise.md is the specification with test vectors.
// Archives store the number of the CPU's stream and that of the CUDA devices' stream.
#pragma once

#include <cstdint>
#include <ivon/kernels/cpu.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Writes the normals of the blocks from `first_block` on. For 0 <= i < count, out[i] belongs to
/// element kNoiseBlock * first_block + i of the parameter in memory order.
inline void fill_normal(const NoiseKey& key, int64_t first_block, float* out, int64_t count,
                        Isa isa = current_isa()) {
  for (int64_t done = 0; done < count; done += kNoiseBlock) {
    const int64_t size = count - done < kNoiseBlock ? count - done : kNoiseBlock;
    fill_block(isa, key, static_cast<uint32_t>(first_block + done / kNoiseBlock), out + done, size);
  }
}

/// Does the same as fill_normal for the noise stream of CUDA devices.
inline void fill_normal_cuda(const NoiseKey& key, int64_t first_block, float* out, int64_t count,
                             Isa isa = current_isa()) {
  fill_quads(isa, key, static_cast<uint64_t>(first_block) * (kNoiseBlock / 4), out, count);
}

}  // namespace detail
IVON_NAMESPACE_END
