// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes in two AVX2 registers; operations as in pack_portable.inl.

struct F {
  __m256 a, b;
};
struct U {
  __m256i a, b;
};
struct M {
  __m256i a, b;  // all ones: yes
};

IVON_ALWAYS_INLINE F set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
IVON_ALWAYS_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
IVON_ALWAYS_INLINE void store(float* p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
IVON_ALWAYS_INLINE F operator+(F x, F y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
IVON_ALWAYS_INLINE F operator-(F x, F y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
IVON_ALWAYS_INLINE F operator*(F x, F y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
IVON_ALWAYS_INLINE F operator/(F x, F y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
IVON_ALWAYS_INLINE F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
IVON_ALWAYS_INLINE F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
IVON_ALWAYS_INLINE F fma(F x, F y, F z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
IVON_ALWAYS_INLINE F fnma(F x, F y, F z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
IVON_ALWAYS_INLINE F fms(F x, F y, F z) {
  return {_mm256_fmsub_ps(x.a, y.a, z.a), _mm256_fmsub_ps(x.b, y.b, z.b)};
}
IVON_ALWAYS_INLINE F sqrt(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }

IVON_ALWAYS_INLINE U set(uint32_t x) {
  return {_mm256_set1_epi32(static_cast<int>(x)), _mm256_set1_epi32(static_cast<int>(x))};
}
IVON_ALWAYS_INLINE U load(const uint32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
IVON_ALWAYS_INLINE void store(uint32_t* p, U x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
IVON_ALWAYS_INLINE U operator+(U x, U y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
IVON_ALWAYS_INLINE U operator-(U x, U y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
IVON_ALWAYS_INLINE U operator^(U x, U y) {
  return {_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)};
}
IVON_ALWAYS_INLINE U operator&(U x, U y) {
  return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
IVON_ALWAYS_INLINE U max(U x, U y) {
  return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)};
}
template <int n>
IVON_ALWAYS_INLINE U shift_left(U x) {
  return {_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
template <int n>
IVON_ALWAYS_INLINE U shift_right(U x) {
  return {_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)};
}
template <int n>
IVON_ALWAYS_INLINE U shift_right_signed(U x) {
  return {_mm256_srai_epi32(x.a, n), _mm256_srai_epi32(x.b, n)};
}
template <int n>
IVON_ALWAYS_INLINE U rotate_left(U x) {
  return shift_left<n>(x) ^ shift_right<32 - n>(x);
}
IVON_ALWAYS_INLINE void multiply_wide(__m256i x, __m256i factor, __m256i& high, __m256i& low) {
  const __m256i even = _mm256_mul_epu32(x, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), factor);
  low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
IVON_ALWAYS_INLINE void multiply_wide(U x, uint32_t y, U& high, U& low) {
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(y));
  multiply_wide(x.a, factor, high.a, low.a);
  multiply_wide(x.b, factor, high.b, low.b);
}
IVON_ALWAYS_INLINE F float_of_int(U x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
IVON_ALWAYS_INLINE F as_floats(U x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
IVON_ALWAYS_INLINE U as_words(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }

IVON_ALWAYS_INLINE M equal(U x, U y) {
  return {_mm256_cmpeq_epi32(x.a, y.a), _mm256_cmpeq_epi32(x.b, y.b)};
}
IVON_ALWAYS_INLINE M at_least(U x, U y) {
  const U larger = max(x, y);
  return equal(larger, x);
}
IVON_ALWAYS_INLINE F select(M mark, F yes, F no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_castsi256_ps(mark.a)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_castsi256_ps(mark.b))};
}
IVON_ALWAYS_INLINE uint32_t bits(M mark) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mark.a))) |
         static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mark.b))) << 8;
}
