// SPDX-License-Identifier: Apache-2.0
// The fused float32 passes for CPUs: one text (cpu/*.inl) for every instruction set, picked at run
// time. Raw pointers and counts only; no LibTorch.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/cpu/isa.hpp>
#include <ivon/kernels/normal.hpp>
#include <ivon/kernels/tasks.hpp>

namespace ivon::detail {

inline int64_t block_count(int64_t count) { return (count + kNoiseBlock - 1) / kNoiseBlock; }
inline int64_t block_size(int64_t count, int64_t block) {
  const int64_t left = count - block * kNoiseBlock;
  return left < kNoiseBlock ? left : kNoiseBlock;
}
inline int64_t count_bits(uint32_t bits) {
  int64_t count = 0;
  for (; bits != 0; bits &= bits - 1) ++count;
  return count;
}

namespace portable {
// clang-format off
#include <ivon/kernels/cpu/math.inl>
#include <ivon/kernels/cpu/loops.inl>
// clang-format on
}  // namespace portable

#if IVON_X86
IVON_BEGIN_AVX2
namespace avx2 {
// clang-format off
#include <ivon/kernels/cpu/math.inl>
#include <ivon/kernels/cpu/loops.inl>
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
#include <ivon/kernels/cpu/math.inl>
#include <ivon/kernels/cpu/loops.inl>
// clang-format on
}  // namespace avx512
#pragma GCC diagnostic pop
IVON_END_TARGET
#endif

inline void sample_block(Isa isa, const SampleTask& task, int64_t block) {
#if IVON_X86
  if (isa == Isa::kAvx512) return avx512::sample_block(task, block);
  if (isa == Isa::kAvx2) return avx2::sample_block(task, block);
#else
  (void)isa;
#endif
  portable::sample_block(task, block);
}

template <FusedEstimate estimate>
void accumulate_block(Isa isa, const AccumulateTask& task, int64_t block) {
  (void)isa;
  portable::accumulate_block<estimate>(task, block);
}

/// Returns the elements that were left alone because something was not finite.
template <FusedEstimate estimate>
int64_t update_block(Isa isa, const UpdateTask& task, int64_t block) {
#if IVON_X86
  if (isa == Isa::kAvx512) return avx512::update_block<estimate>(task, block);
  if (isa == Isa::kAvx2) return avx2::update_block<estimate>(task, block);
#else
  (void)isa;
#endif
  return portable::update_block<estimate>(task, block);
}

}  // namespace ivon::detail
