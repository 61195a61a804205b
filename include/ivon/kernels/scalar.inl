// SPDX-License-Identifier: Apache-2.0
// Operations on one number for which C++ has no operator: fused multiply-add, square root and the
// conversions of float16. For code on the host. Included inside a namespace.

// Uses the compiler's builtins where it has them, because the functions of <cmath> obey the user's
// floating-point flags.
#if defined(__GNUC__)
IVON_ALWAYS_INLINE float rounded_once(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
IVON_ALWAYS_INLINE double rounded_once(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
IVON_ALWAYS_INLINE float square_root(float a) { return __builtin_sqrtf(a); }
IVON_ALWAYS_INLINE double square_root(double a) { return __builtin_sqrt(a); }
#else
template <class T>
IVON_ALWAYS_INLINE T rounded_once(T a, T b, T c) {
  return std::fma(a, b, c);
}
template <class T>
IVON_ALWAYS_INLINE T square_root(T a) {
  return std::sqrt(a);
}
#endif
inline uint32_t widen_float16(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  uint32_t magnitude = half & 0x7FFFu;
  if (magnitude > 0x7C00u) return sign | 0x7FC00000u | magnitude << 13;  // a quiet NaN
  if (magnitude == 0x7C00u) return sign | 0x7F800000u;
  if (magnitude >= 0x0400u) return sign | ((magnitude << 13) + (112u << 23));
  if (magnitude == 0) return sign;
  uint32_t exponent = 113;  // subnormal: shifts the leading bit to its place
  for (; (magnitude & 0x0400u) == 0; --exponent) magnitude <<= 1;
  return sign | exponent << 23 | (magnitude & 0x03FFu) << 13;
}
inline uint32_t narrow_float16(uint32_t word) {
  const uint32_t sign = word >> 16 & 0x8000u;
  const uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u | (magnitude >> 13 & 0x03FFu);  // a quiet NaN
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and more round to infinity
  uint32_t value = magnitude - (112u << 23);            // in units of 2^-13 of the last place
  uint32_t dropped = 13;
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal
    if (magnitude <= 0x33000000u) return sign;
    value = (magnitude & 0x007FFFFFu) | 0x00800000u;
    dropped = 126 - (magnitude >> 23);
  }
  const uint32_t kept = value >> dropped;
  const uint32_t half = 1u << (dropped - 1);
  const uint32_t rest = value & ((half << 1) - 1);
  return sign | (kept + (rest > half || (rest == half && (kept & 1u) != 0) ? 1u : 0u));
}
