// SPDX-License-Identifier: Apache-2.0
// Packs for AVX-512: sixteen floats or words in one register, sixteen doubles in two. The
// operations are those of pack_portable.inl. Sums and products are written as in pack_avx2.inl.

struct Floats {
  using Number = float;
  __m512 v;
};
struct Doubles8 {
  using Number = double;
  __m512d v;
};
struct Words {
  using Number = uint32_t;
  __m512i v;
};
struct Halves {
  __m256i v;
};
using Mask = __mmask16;

IVON_ALWAYS_INLINE Doubles8 operator+(Doubles8 a, Doubles8 b) { return {a.v + b.v}; }
IVON_ALWAYS_INLINE Doubles8 operator-(Doubles8 a, Doubles8 b) { return {a.v - b.v}; }
IVON_ALWAYS_INLINE Doubles8 operator*(Doubles8 a, Doubles8 b) { return {a.v * b.v}; }
IVON_ALWAYS_INLINE Doubles8 operator/(Doubles8 a, Doubles8 b) { return {a.v / b.v}; }
IVON_ALWAYS_INLINE Doubles8 fma(Doubles8 a, Doubles8 b, Doubles8 c) {
  return {_mm512_fmadd_pd(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Doubles8 fnma(Doubles8 a, Doubles8 b, Doubles8 c) {
  return {_mm512_fnmadd_pd(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Doubles8 fms(Doubles8 a, Doubles8 b, Doubles8 c) {
  return {_mm512_fmsub_pd(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Doubles8 sqrt(Doubles8 a) { return {_mm512_sqrt_pd(a.v)}; }
constexpr int kInfiniteOrNan = 0x99;  // both infinities, quiet and signalling NaN
IVON_ALWAYS_INLINE bool all_finite(Doubles8 a) {
  return _mm512_fpclass_pd_mask(a.v, kInfiniteOrNan) == 0;
}
IVON_ALWAYS_INLINE Doubles8 max(Doubles8 a, Doubles8 b) { return {_mm512_max_pd(a.v, b.v)}; }
IVON_ALWAYS_INLINE Doubles8 min(Doubles8 a, Doubles8 b) { return {_mm512_min_pd(a.v, b.v)}; }

#include <ivon/kernels/cpu/pack_pair.inl>

using Doubles = Pair<Doubles8>;

IVON_ALWAYS_INLINE Doubles set(double x) { return {{_mm512_set1_pd(x)}, {_mm512_set1_pd(x)}}; }
IVON_ALWAYS_INLINE Doubles load(const double* p) {
  return {{_mm512_loadu_pd(p)}, {_mm512_loadu_pd(p + 8)}};
}
IVON_ALWAYS_INLINE void store(double* p, Doubles a) {
  _mm512_storeu_pd(p, a.a.v);
  _mm512_storeu_pd(p + 8, a.b.v);
}

IVON_ALWAYS_INLINE Floats set(float x) { return {_mm512_set1_ps(x)}; }
IVON_ALWAYS_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
IVON_ALWAYS_INLINE void store(float* p, Floats a) { _mm512_storeu_ps(p, a.v); }
IVON_ALWAYS_INLINE Floats operator+(Floats a, Floats b) { return {a.v + b.v}; }
IVON_ALWAYS_INLINE Floats operator-(Floats a, Floats b) { return {a.v - b.v}; }
IVON_ALWAYS_INLINE Floats operator*(Floats a, Floats b) { return {a.v * b.v}; }
IVON_ALWAYS_INLINE Floats operator/(Floats a, Floats b) { return {a.v / b.v}; }
IVON_ALWAYS_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Floats fms(Floats a, Floats b, Floats c) {
  return {_mm512_fmsub_ps(a.v, b.v, c.v)};
}
IVON_ALWAYS_INLINE Floats sqrt(Floats a) { return {_mm512_sqrt_ps(a.v)}; }
IVON_ALWAYS_INLINE Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
IVON_ALWAYS_INLINE Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }

IVON_ALWAYS_INLINE Words set(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
IVON_ALWAYS_INLINE Words load(const uint32_t* p) { return {_mm512_loadu_si512(p)}; }
IVON_ALWAYS_INLINE void store(uint32_t* p, Words a) { _mm512_storeu_si512(p, a.v); }
IVON_ALWAYS_INLINE Words operator+(Words a, Words b) { return {_mm512_add_epi32(a.v, b.v)}; }
IVON_ALWAYS_INLINE Words operator-(Words a, Words b) { return {_mm512_sub_epi32(a.v, b.v)}; }
IVON_ALWAYS_INLINE Words operator^(Words a, Words b) { return {_mm512_xor_si512(a.v, b.v)}; }
IVON_ALWAYS_INLINE Words operator&(Words a, Words b) { return {_mm512_and_si512(a.v, b.v)}; }
IVON_ALWAYS_INLINE Words operator|(Words a, Words b) { return {_mm512_or_si512(a.v, b.v)}; }
IVON_ALWAYS_INLINE Words add_longs(Words a, Words b) { return {_mm512_add_epi64(a.v, b.v)}; }
template <int n>
IVON_ALWAYS_INLINE Words shift_longs_left(Words a) {
  return {_mm512_slli_epi64(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words rotate_longs_left(Words a) {
  return {_mm512_rol_epi64(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_left(Words a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right(Words a) {
  return {_mm512_srli_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right_signed(Words a) {
  return {_mm512_srai_epi32(a.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words rotate_left(Words a) {
  return {_mm512_rol_epi32(a.v, n)};
}
IVON_ALWAYS_INLINE void multiply_wide(Words a, uint32_t b, Words& high, Words& low) {
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
  const __m512i even = _mm512_mul_epu32(a.v, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), factor);
  low.v = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  high.v = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}
IVON_ALWAYS_INLINE Floats float_of_int(Words a) { return {_mm512_cvtepi32_ps(a.v)}; }
IVON_ALWAYS_INLINE Floats as_floats(Words a) { return {_mm512_castsi512_ps(a.v)}; }
IVON_ALWAYS_INLINE Words as_words(Floats a) { return {_mm512_castps_si512(a.v)}; }
IVON_ALWAYS_INLINE Words upper_words(Floats a) { return as_words(a); }
IVON_ALWAYS_INLINE Words upper_words(Doubles a) {
  const __m256i low = _mm512_cvtepi64_epi32(_mm512_srli_epi64(_mm512_castpd_si512(a.a.v), 32));
  const __m256i high = _mm512_cvtepi64_epi32(_mm512_srli_epi64(_mm512_castpd_si512(a.b.v), 32));
  return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}
IVON_ALWAYS_INLINE Doubles to_double(Floats a) {
  return {{_mm512_cvtps_pd(_mm512_castps512_ps256(a.v))},
          {_mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1))}};
}

IVON_ALWAYS_INLINE Halves load(const uint16_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
IVON_ALWAYS_INLINE void store(uint16_t* p, Halves a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
}
IVON_ALWAYS_INLINE Words extend(Halves a) { return {_mm512_cvtepu16_epi32(a.v)}; }
IVON_ALWAYS_INLINE Halves truncate(Words a) { return {_mm512_cvtepi32_epi16(a.v)}; }
IVON_ALWAYS_INLINE Floats widen_float16(Halves a) { return {_mm512_cvtph_ps(a.v)}; }
IVON_ALWAYS_INLINE Halves narrow_float16(Floats a) {
  // The mask selects all lanes. The intrinsic without a mask is a macro that causes a warning under
  // -Wsign-conversion.
  constexpr __mmask16 kAllLanes = 0xFFFF;
  return {_mm512_maskz_cvtps_ph(kAllLanes, a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

IVON_ALWAYS_INLINE bool all_finite(Floats a) {
  return _mm512_fpclass_ps_mask(a.v, kInfiniteOrNan) == 0;
}
IVON_ALWAYS_INLINE Mask equal(Words a, Words b) { return _mm512_cmpeq_epu32_mask(a.v, b.v); }
IVON_ALWAYS_INLINE Mask equal(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ);
}
IVON_ALWAYS_INLINE Words max(Words a, Words b) { return {_mm512_max_epu32(a.v, b.v)}; }
IVON_ALWAYS_INLINE Mask at_least(Words a, Words b) { return _mm512_cmpge_epu32_mask(a.v, b.v); }
IVON_ALWAYS_INLINE Floats select(Mask mark, Floats yes, Floats no) {
  return {_mm512_mask_blend_ps(mark, no.v, yes.v)};
}
IVON_ALWAYS_INLINE Words select(Mask mark, Words yes, Words no) {
  return {_mm512_mask_blend_epi32(mark, no.v, yes.v)};
}
IVON_ALWAYS_INLINE Doubles select(Mask mark, Doubles yes, Doubles no) {
  return {{_mm512_mask_blend_pd(static_cast<__mmask8>(mark), no.a.v, yes.a.v)},
          {_mm512_mask_blend_pd(static_cast<__mmask8>(mark >> 8), no.b.v, yes.b.v)}};
}
IVON_ALWAYS_INLINE uint32_t bits(Mask mark) { return mark; }
