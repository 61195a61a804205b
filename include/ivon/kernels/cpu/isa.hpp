// SPDX-License-Identifier: Apache-2.0
// Instruction sets: how code is compiled for one without any flag of the user's, and which one this
// processor runs. No LibTorch.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define IVON_X86 1
#else
#define IVON_X86 0
#endif

#if defined(__GNUC__)
#define IVON_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define IVON_ALWAYS_INLINE inline
#endif

// Functions between IVON_BEGIN_... and IVON_END_TARGET are compiled for that instruction set.
// clang-format off
#if defined(__clang__)
#define IVON_BEGIN_AVX2 \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define IVON_BEGIN_AVX512 \
  _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512dq,avx2,fma\"))), apply_to = function)")
#define IVON_END_TARGET _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define IVON_BEGIN_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define IVON_BEGIN_AVX512 \
  _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512dq,avx2,fma\")")
#define IVON_END_TARGET _Pragma("GCC pop_options")
#endif
// clang-format on

namespace ivon::detail {

enum class Isa { kPortable, kAvx2, kAvx512 };

inline const char* isa_name(Isa isa) {
  return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "portable";
}

inline Isa best_isa() {
#if IVON_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return Isa::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
  return Isa::kPortable;
}

/// The instruction set in use: the processor's best, or a lesser one named by the environment
/// variable IVON_CPU_ISA (portable, avx2, avx512). Read once. Throws std::invalid_argument for
/// another name or one that this processor lacks.
inline Isa current_isa() {
  static const Isa chosen = [] {
    const char* wanted = std::getenv("IVON_CPU_ISA");
    if (!wanted || !*wanted) return best_isa();
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
      if (std::string(wanted) == isa_name(isa) && isa <= best_isa()) return isa;
    }
    throw std::invalid_argument(std::string("ivon: IVON_CPU_ISA must be portable, avx2 or avx512, "
                                            "as far as the processor has it, got '") +
                                wanted + "'; the best here is " + isa_name(best_isa()));
  }();
  return chosen;
}

}  // namespace ivon::detail
