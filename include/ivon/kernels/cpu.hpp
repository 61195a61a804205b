// SPDX-License-Identifier: Apache-2.0
// The fused passes for CPUs. One text (cpu/*.inl) is compiled for every instruction set, and the
// set is chosen at run time. The passes take raw pointers and counts; this file does not use
// LibTorch.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/cpu/isa.hpp>
#include <ivon/kernels/cpu/parts.hpp>
#include <ivon/kernels/estimators.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>
#include <type_traits>

IVON_NAMESPACE_BEGIN
namespace detail {

inline int64_t count_bits(uint32_t bits) {
  int64_t count = 0;
  for (; bits != 0; bits &= bits - 1) ++count;
  return count;
}

/// Returns the lowest `count` bits of `bits`: all if count >= 32, none if count <= 0.
inline uint32_t first_bits(uint32_t bits, int64_t count) {
  if (count <= 0) return 0;
  return count >= 32 ? bits : bits & ((uint32_t{1} << count) - 1);
}

IVON_BEGIN_PRECISE
namespace portable {
// clang-format off
#include <ivon/kernels/scalar.inl>
#include <ivon/kernels/cpu/pack_portable.inl>
#include <ivon/kernels/cpu/all.inl>
// clang-format on
}  // namespace portable

#if IVON_X86
IVON_BEGIN_AVX2
namespace avx2 {
// clang-format off
#include <ivon/kernels/cpu/pack_avx2.inl>
#include <ivon/kernels/cpu/all.inl>
// clang-format on
}  // namespace avx2
IVON_END_TARGET

IVON_BEGIN_AVX512
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC's intrinsics cause it (GCC bug 105593)
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
namespace avx512 {
// clang-format off
#include <ivon/kernels/cpu/pack_avx512.inl>
#include <ivon/kernels/cpu/all.inl>
// clang-format on
}  // namespace avx512
#pragma GCC diagnostic pop
IVON_END_TARGET
#endif

#if IVON_NEON
namespace neon {
// clang-format off
#include <ivon/kernels/cpu/pack_neon.inl>
#include <ivon/kernels/cpu/all.inl>
// clang-format on
}  // namespace neon
#endif
IVON_END_PRECISE

// Returns what `call` returns in the namespace of `isa`.
#if IVON_X86
#define IVON_RUN_WITH(isa, call)                \
  if (isa == Isa::kAvx512) return avx512::call; \
  if (isa == Isa::kAvx2) return avx2::call;     \
  return portable::call
#elif IVON_NEON
#define IVON_RUN_WITH(isa, call)            \
  if (isa == Isa::kNeon) return neon::call; \
  return portable::call
#else
#define IVON_RUN_WITH(isa, call) \
  (void)isa;                     \
  return portable::call
#endif

/// Draws one block of theta.
inline void sample_block(Isa isa, const SampleTask& task, int64_t block) {
  IVON_RUN_WITH(isa, sample_block(task, block));
}

/// Adds one block of one sample to the sums.
template <class Estimator>
void accumulate_block(Isa isa, const AccumulateTask& task, int64_t block) {
  IVON_RUN_WITH(isa, accumulate_block<Estimator>(task, block));
}

/// Updates one block. Returns the number of elements that were skipped because a value was not
/// finite.
template <class Estimator>
int64_t update_block(Isa isa, const UpdateTask& task, int64_t block) {
  IVON_RUN_WITH(isa, update_block<Estimator>(task, block));
}

/// Does update_block of `task` and then sample_block of `next`. If both are float32 and share
/// theta, it makes one pass over memory, with the same bits as two.
template <class Estimator>
int64_t step_block(Isa isa, const UpdateTask& task, const SampleTask& next, int64_t block) {
  IVON_RUN_WITH(isa, step_block<Estimator>(task, next, block));
}

/// Writes the first `count` normals of one block, 0 <= count <= kNoiseBlock.
inline void fill_block(Isa isa, const NoiseKey& key, uint32_t block, float* out, int64_t count) {
  IVON_RUN_WITH(isa, fill_block(key, block, out, count));
}
/// Writes `count` normals of noise stream 2, from quad `first_quad` on. A quad is four elements.
inline void fill_quads(Isa isa, const NoiseKey& key, uint64_t first_quad, float* out,
                       int64_t count) {
  IVON_RUN_WITH(isa, fill_quads(key, first_quad, out, count));
}
#undef IVON_RUN_WITH

}  // namespace detail
IVON_NAMESPACE_END
