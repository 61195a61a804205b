// SPDX-License-Identifier: Apache-2.0
// Macros that compile code for an instruction set without any compiler flag of the user, and the
// choice of the instruction set for this processor. This file does not use LibTorch.
#pragma once

#include <cstdlib>
#include <ivon/kernels/inline.hpp>
#include <ivon/version.hpp>
#include <stdexcept>
#include <string>

// Clang applies -ffast-math of the command line to the multiply-adds and roots of its intrinsics
// and builtins, even between IVON_BEGIN_PRECISE and IVON_END_PRECISE. This changes the bits of the
// noise.
#if defined(__clang__) && defined(__FAST_MATH__)
#error "ivon: clang's -ffast-math changes the noise; compile what includes ivon without it"
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define IVON_X86 1
#else
#define IVON_X86 0
#endif
#if defined(__GNUC__) && defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#include <arm_neon.h>
#define IVON_NEON 1
#else
#define IVON_NEON 0
#endif

// Functions between IVON_BEGIN_PRECISE and IVON_END_PRECISE round every operation as written, even
// if the user compiles with -ffast-math (GCC) or -ffp-contract=fast (clang). Without such a flag
// GCC gets no pragma, because with the pragma it would not inline these functions into others. A
// program that GCC links with -ffast-math still flushes subnormal numbers to zero. The noise has
// none, but a value of the state that is smaller than 1.2e-38 becomes 0.
// clang-format off
#if defined(__clang__)
#define IVON_BEGIN_PRECISE \
  _Pragma("float_control(push)") _Pragma("float_control(precise, on)") _Pragma("clang fp contract(off)")
#define IVON_END_PRECISE _Pragma("float_control(pop)")
#elif defined(__GNUC__) && (defined(__FAST_MATH__) || __FINITE_MATH_ONLY__ || \
      defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__))
#define IVON_BEGIN_PRECISE _Pragma("GCC push_options") _Pragma("GCC optimize(\"no-fast-math\")")
#define IVON_END_PRECISE _Pragma("GCC pop_options")
#elif defined(_MSC_VER)
#define IVON_BEGIN_PRECISE __pragma(float_control(precise, on, push)) __pragma(fp_contract(off))
#define IVON_END_PRECISE __pragma(float_control(pop))
#else
#define IVON_BEGIN_PRECISE
#define IVON_END_PRECISE
#endif

// Functions between IVON_BEGIN_<SET> and IVON_END_TARGET are compiled for that instruction set.
#if defined(__clang__)
#define IVON_BEGIN_AVX2 \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,f16c\"))), apply_to = function)")
#define IVON_BEGIN_AVX512 \
  _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512dq,avx2,fma,f16c\"))), apply_to = function)")
#define IVON_END_TARGET _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define IVON_BEGIN_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma,f16c\")")
#define IVON_BEGIN_AVX512 \
  _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512dq,avx2,fma,f16c\")")
#define IVON_END_TARGET _Pragma("GCC pop_options")
#endif
// clang-format on

IVON_NAMESPACE_BEGIN
namespace detail {

enum class Isa { kPortable, kAvx2, kAvx512, kNeon };

inline const char* isa_name(Isa isa) {
  return isa == Isa::kAvx512 ? "avx512"
         : isa == Isa::kAvx2 ? "avx2"
         : isa == Isa::kNeon ? "neon"
                             : "portable";
}

/// The instruction sets of this build, ordered from the least preferred to the most preferred.
#if IVON_X86
inline constexpr Isa kBuiltIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};
#elif IVON_NEON
inline constexpr Isa kBuiltIsas[] = {Isa::kPortable, Isa::kNeon};  // every AArch64 has NEON
#else
inline constexpr Isa kBuiltIsas[] = {Isa::kPortable};
#endif

/// Whether this processor can run an instruction set of this build.
inline bool runs_here(Isa isa) {
#if IVON_X86
  if (isa == Isa::kAvx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  }
  if (isa == Isa::kAvx2) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
#endif
  return isa == Isa::kPortable || (IVON_NEON && isa == Isa::kNeon);
}

inline Isa best_isa() {
  Isa best = Isa::kPortable;
  for (const Isa isa : kBuiltIsas) {
    if (runs_here(isa)) best = isa;
  }
  return best;
}

/// Returns the instruction set in use: the one that the environment variable IVON_CPU_ISA names, or
/// the best one of the processor if the variable is not set. The variable is read once. Throws
/// std::invalid_argument if this build or this processor does not have the named one.
inline Isa current_isa() {
  static const Isa chosen = [] {
    const char* wanted = std::getenv("IVON_CPU_ISA");
    if (!wanted || !*wanted) return best_isa();
    std::string names;
    for (const Isa isa : kBuiltIsas) {
      if (!runs_here(isa)) continue;
      if (std::string(wanted) == isa_name(isa)) return isa;
      names += std::string(names.empty() ? "" : ", ") + isa_name(isa);
    }
    throw std::invalid_argument(
        "ivon: IVON_CPU_ISA must name an instruction set of this processor (" + names + "), got '" +
        wanted + "'; unset it to get " + isa_name(best_isa()));
  }();
  return chosen;
}

}  // namespace detail
IVON_NAMESPACE_END
