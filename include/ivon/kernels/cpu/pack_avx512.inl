// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes in one AVX-512 register; operations as in pack_portable.inl.

struct F {
  __m512 v;
};
struct U {
  __m512i v;
};
using M = __mmask16;

IVON_ALWAYS_INLINE F set(float x) { return {_mm512_set1_ps(x)}; }
IVON_ALWAYS_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
IVON_ALWAYS_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
IVON_ALWAYS_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
IVON_ALWAYS_INLINE F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
IVON_ALWAYS_INLINE F fms(F a, F b, F c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
IVON_ALWAYS_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
IVON_ALWAYS_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }

IVON_ALWAYS_INLINE U set(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
IVON_ALWAYS_INLINE U load(const uint32_t* p) { return {_mm512_loadu_si512(p)}; }
IVON_ALWAYS_INLINE void store(uint32_t* p, U a) { _mm512_storeu_si512(p, a.v); }
IVON_ALWAYS_INLINE U operator+(U a, U b) { return {_mm512_add_epi32(a.v, b.v)}; }
IVON_ALWAYS_INLINE U operator-(U a, U b) { return {_mm512_sub_epi32(a.v, b.v)}; }
IVON_ALWAYS_INLINE U operator^(U a, U b) { return {_mm512_xor_si512(a.v, b.v)}; }
IVON_ALWAYS_INLINE U operator&(U a, U b) { return {_mm512_and_si512(a.v, b.v)}; }
template <int n>
IVON_ALWAYS_INLINE U shift_left(U a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE U shift_right(U a) {
  return {_mm512_srli_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE U shift_right_signed(U a) {
  return {_mm512_srai_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE U rotate_left(U a) {
  return {_mm512_rol_epi32(a.v, n)};
}
IVON_ALWAYS_INLINE void multiply_wide(U a, uint32_t b, U& high, U& low) {
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
  const __m512i even = _mm512_mul_epu32(a.v, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), factor);
  low.v = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  high.v = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}
IVON_ALWAYS_INLINE F float_of_int(U a) { return {_mm512_cvtepi32_ps(a.v)}; }
IVON_ALWAYS_INLINE F as_floats(U a) { return {_mm512_castsi512_ps(a.v)}; }
IVON_ALWAYS_INLINE U as_words(F a) { return {_mm512_castps_si512(a.v)}; }

IVON_ALWAYS_INLINE M equal(U a, U b) { return _mm512_cmpeq_epu32_mask(a.v, b.v); }
IVON_ALWAYS_INLINE U max(U a, U b) { return {_mm512_max_epu32(a.v, b.v)}; }
IVON_ALWAYS_INLINE M at_least(U a, U b) { return _mm512_cmpge_epu32_mask(a.v, b.v); }
IVON_ALWAYS_INLINE F select(M mark, F yes, F no) {
  return {_mm512_mask_blend_ps(mark, no.v, yes.v)};
}
IVON_ALWAYS_INLINE uint32_t bits(M mark) { return mark; }
