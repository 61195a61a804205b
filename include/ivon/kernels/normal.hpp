// SPDX-License-Identifier: Apache-2.0
// The noise of IVON: (seed, domain, draw, parameter, block) -> 4096 standard normals. No LibTorch.
//
// Philox4x32-10 keys sixteen xoshiro128++ lanes, Box-Muller turns their words into normals. Every
// operation is an integer operation or an IEEE-754 binary32 one (FMA, multiply, square root), so
// the same bits come out of every processor, compiler and vector width. docs/noise.md is the
// specification with test vectors; archives name it by `kNoiseStreamId`.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <ivon/kernels/cpu/isa.hpp>

namespace ivon::detail {

inline constexpr int64_t kNoiseStreamId =
    1;  // of docs/noise.md; changes with any bit of the stream
inline constexpr int64_t kNoiseBlock = 4096;  // elements per block; a block can be made alone
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // width of the parameter index

/// Training and prediction draw from separate streams, so that evaluating never changes training.
enum class NoiseDomain : uint32_t { kTraining = 0, kPrediction = 1 };

/// Names the noise of one parameter in one sample.
struct NoiseKey {
  uint64_t seed = 0;
  NoiseDomain domain = NoiseDomain::kTraining;
  uint64_t draw = 0;       // number of the sample within its domain
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters
};

namespace portable {
// clang-format off
#include <ivon/kernels/cpu/pack_portable.inl>
#include <ivon/kernels/cpu/normal.inl>
// clang-format on
}  // namespace portable

#if IVON_X86
IVON_BEGIN_AVX2
namespace avx2 {
// clang-format off
#include <ivon/kernels/cpu/pack_avx2.inl>
#include <ivon/kernels/cpu/normal.inl>
// clang-format on
}  // namespace avx2
IVON_END_TARGET

IVON_BEGIN_AVX512
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // of GCC's own intrinsics (its bug 105593)
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
namespace avx512 {
// clang-format off
#include <ivon/kernels/cpu/pack_avx512.inl>
#include <ivon/kernels/cpu/normal.inl>
// clang-format on
}  // namespace avx512
#pragma GCC diagnostic pop
IVON_END_TARGET
#endif

/// The first `count` normals of one block, 0 <= count <= kNoiseBlock, with a given instruction set.
inline void fill_block(Isa isa, const NoiseKey& key, uint32_t block, float* out, int64_t count) {
#if IVON_X86
  if (isa == Isa::kAvx512) return avx512::fill_block(key, block, out, count);
  if (isa == Isa::kAvx2) return avx2::fill_block(key, block, out, count);
#else
  (void)isa;
#endif
  portable::fill_block(key, block, out, count);
}

/// Writes the normals of the blocks from `first_block` on: out[0 ... count - 1] are the elements
/// kNoiseBlock * first_block + i of the parameter in memory order.
inline void fill_normal(const NoiseKey& key, int64_t first_block, float* out, int64_t count,
                        Isa isa = current_isa()) {
  for (int64_t done = 0; done < count; done += kNoiseBlock) {
    const int64_t size = count - done < kNoiseBlock ? count - done : kNoiseBlock;
    fill_block(isa, key, static_cast<uint32_t>(first_block + done / kNoiseBlock), out + done, size);
  }
}

}  // namespace ivon::detail
