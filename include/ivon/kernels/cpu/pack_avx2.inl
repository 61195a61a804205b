// SPDX-License-Identifier: Apache-2.0
// Packs for AVX2: sixteen floats or words in two registers, sixteen doubles in four. The operations
// are those of pack_portable.inl. Sums and products are written as C++ operators, so that they
// follow the floating-point rules that IVON_BEGIN_PRECISE sets.

struct Floats8 {
  using Number = float;
  __m256 v;
};
struct Doubles4 {
  using Number = double;
  __m256d v;
};
struct Words8 {
  using Number = uint32_t;
  __m256i v;
};
struct Marks8 {
  using Number = void;
  __m256i v;  // all bits of a marked lane are 1
};

IVON_ALWAYS_INLINE Floats8 operator+(Floats8 x, Floats8 y) { return {x.v + y.v}; }
IVON_ALWAYS_INLINE Floats8 operator-(Floats8 x, Floats8 y) { return {x.v - y.v}; }
IVON_ALWAYS_INLINE Floats8 operator*(Floats8 x, Floats8 y) { return {x.v * y.v}; }
IVON_ALWAYS_INLINE Floats8 operator/(Floats8 x, Floats8 y) { return {x.v / y.v}; }
IVON_ALWAYS_INLINE Floats8 max(Floats8 x, Floats8 y) { return {_mm256_max_ps(x.v, y.v)}; }
IVON_ALWAYS_INLINE Floats8 min(Floats8 x, Floats8 y) { return {_mm256_min_ps(x.v, y.v)}; }
IVON_ALWAYS_INLINE Floats8 sqrt(Floats8 x) { return {_mm256_sqrt_ps(x.v)}; }
IVON_ALWAYS_INLINE Floats8 fma(Floats8 x, Floats8 y, Floats8 z) {
  return {_mm256_fmadd_ps(x.v, y.v, z.v)};
}
IVON_ALWAYS_INLINE Floats8 fnma(Floats8 x, Floats8 y, Floats8 z) {
  return {_mm256_fnmadd_ps(x.v, y.v, z.v)};
}
IVON_ALWAYS_INLINE Floats8 fms(Floats8 x, Floats8 y, Floats8 z) {
  return {_mm256_fmsub_ps(x.v, y.v, z.v)};
}

IVON_ALWAYS_INLINE Doubles4 operator+(Doubles4 x, Doubles4 y) { return {x.v + y.v}; }
IVON_ALWAYS_INLINE Doubles4 operator-(Doubles4 x, Doubles4 y) { return {x.v - y.v}; }
IVON_ALWAYS_INLINE Doubles4 operator*(Doubles4 x, Doubles4 y) { return {x.v * y.v}; }
IVON_ALWAYS_INLINE Doubles4 operator/(Doubles4 x, Doubles4 y) { return {x.v / y.v}; }
IVON_ALWAYS_INLINE Doubles4 max(Doubles4 x, Doubles4 y) { return {_mm256_max_pd(x.v, y.v)}; }
IVON_ALWAYS_INLINE Doubles4 min(Doubles4 x, Doubles4 y) { return {_mm256_min_pd(x.v, y.v)}; }
IVON_ALWAYS_INLINE Doubles4 sqrt(Doubles4 x) { return {_mm256_sqrt_pd(x.v)}; }
IVON_ALWAYS_INLINE Doubles4 fma(Doubles4 x, Doubles4 y, Doubles4 z) {
  return {_mm256_fmadd_pd(x.v, y.v, z.v)};
}
IVON_ALWAYS_INLINE Doubles4 fnma(Doubles4 x, Doubles4 y, Doubles4 z) {
  return {_mm256_fnmadd_pd(x.v, y.v, z.v)};
}
IVON_ALWAYS_INLINE Doubles4 fms(Doubles4 x, Doubles4 y, Doubles4 z) {
  return {_mm256_fmsub_pd(x.v, y.v, z.v)};
}

IVON_ALWAYS_INLINE Words8 operator+(Words8 x, Words8 y) { return {_mm256_add_epi32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words8 operator-(Words8 x, Words8 y) { return {_mm256_sub_epi32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words8 operator^(Words8 x, Words8 y) { return {_mm256_xor_si256(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words8 operator&(Words8 x, Words8 y) { return {_mm256_and_si256(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words8 operator|(Words8 x, Words8 y) { return {_mm256_or_si256(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words8 max(Words8 x, Words8 y) { return {_mm256_max_epu32(x.v, y.v)}; }
template <int n>
IVON_ALWAYS_INLINE Words8 shift_left(Words8 x) {
  return {_mm256_slli_epi32(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words8 shift_right(Words8 x) {
  return {_mm256_srli_epi32(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words8 shift_right_signed(Words8 x) {
  return {_mm256_srai_epi32(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words8 rotate_left(Words8 x) {
  return shift_left<n>(x) ^ shift_right<32 - n>(x);
}
IVON_ALWAYS_INLINE Words8 add_longs(Words8 x, Words8 y) { return {_mm256_add_epi64(x.v, y.v)}; }
template <int n>
IVON_ALWAYS_INLINE Words8 shift_longs_left(Words8 x) {
  return {_mm256_slli_epi64(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words8 rotate_longs_left(Words8 x) {
  if constexpr (n == 24) {  // whole bytes can be moved by one instruction
    const __m256i bytes = _mm256_setr_epi8(5, 6, 7, 0, 1, 2, 3, 4, 13, 14, 15, 8, 9, 10, 11, 12, 5,
                                           6, 7, 0, 1, 2, 3, 4, 13, 14, 15, 8, 9, 10, 11, 12);
    return {_mm256_shuffle_epi8(x.v, bytes)};
  } else {
    return {_mm256_xor_si256(_mm256_slli_epi64(x.v, n), _mm256_srli_epi64(x.v, 64 - n))};
  }
}
IVON_ALWAYS_INLINE void multiply_wide(Words8 x, uint32_t y, Words8& high, Words8& low) {
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(y));
  const __m256i even = _mm256_mul_epu32(x.v, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x.v, 32), factor);
  low.v = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  high.v = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
IVON_ALWAYS_INLINE Floats8 float_of_int(Words8 x) { return {_mm256_cvtepi32_ps(x.v)}; }
IVON_ALWAYS_INLINE Floats8 as_floats(Words8 x) { return {_mm256_castsi256_ps(x.v)}; }
IVON_ALWAYS_INLINE Words8 as_words(Floats8 x) { return {_mm256_castps_si256(x.v)}; }

IVON_ALWAYS_INLINE Marks8 equal(Words8 x, Words8 y) { return {_mm256_cmpeq_epi32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Marks8 equal(Floats8 x, Floats8 y) {
  return {_mm256_castps_si256(_mm256_cmp_ps(x.v, y.v, _CMP_EQ_OQ))};
}
IVON_ALWAYS_INLINE bool all_finite(Floats8 x) {
  const __m256i exponent = _mm256_set1_epi32(0x7F800000);
  const __m256i found = _mm256_and_si256(_mm256_castps_si256(x.v), exponent);
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32(found, exponent)) == 0;
}
IVON_ALWAYS_INLINE bool all_finite(Doubles4 x) {
  const __m256i exponent = _mm256_set1_epi64x(0x7FF0000000000000);
  const __m256i found = _mm256_and_si256(_mm256_castpd_si256(x.v), exponent);
  return _mm256_movemask_epi8(_mm256_cmpeq_epi64(found, exponent)) == 0;
}
IVON_ALWAYS_INLINE Marks8 at_least(Words8 x, Words8 y) { return equal(max(x, y), x); }
IVON_ALWAYS_INLINE Floats8 select(Marks8 mark, Floats8 yes, Floats8 no) {
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_castsi256_ps(mark.v))};
}
IVON_ALWAYS_INLINE Words8 select(Marks8 mark, Words8 yes, Words8 no) {
  return {_mm256_blendv_epi8(no.v, yes.v, mark.v)};
}

#include <ivon/kernels/cpu/pack_pair.inl>

using Floats = Pair<Floats8>;
using Doubles = Pair<Pair<Doubles4>>;
using Words = Pair<Words8>;
using Mask = Pair<Marks8>;
struct Halves {
  __m256i v;
};

IVON_ALWAYS_INLINE Floats set(float x) { return {{_mm256_set1_ps(x)}, {_mm256_set1_ps(x)}}; }
IVON_ALWAYS_INLINE Floats load(const float* p) {
  return {{_mm256_loadu_ps(p)}, {_mm256_loadu_ps(p + 8)}};
}
IVON_ALWAYS_INLINE void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.a.v);
  _mm256_storeu_ps(p + 8, x.b.v);
}
IVON_ALWAYS_INLINE Doubles set(double x) {
  const Pair<Doubles4> half{{_mm256_set1_pd(x)}, {_mm256_set1_pd(x)}};
  return {half, half};
}
IVON_ALWAYS_INLINE Doubles load(const double* p) {
  return {{{_mm256_loadu_pd(p)}, {_mm256_loadu_pd(p + 4)}},
          {{_mm256_loadu_pd(p + 8)}, {_mm256_loadu_pd(p + 12)}}};
}
IVON_ALWAYS_INLINE void store(double* p, Doubles x) {
  _mm256_storeu_pd(p, x.a.a.v);
  _mm256_storeu_pd(p + 4, x.a.b.v);
  _mm256_storeu_pd(p + 8, x.b.a.v);
  _mm256_storeu_pd(p + 12, x.b.b.v);
}
IVON_ALWAYS_INLINE Words set(uint32_t x) {
  const __m256i all = _mm256_set1_epi32(static_cast<int>(x));
  return {{all}, {all}};
}
IVON_ALWAYS_INLINE Words load(const uint32_t* p) {
  return {{_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))},
          {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))}};
}
IVON_ALWAYS_INLINE void store(uint32_t* p, Words x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a.v);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b.v);
}
IVON_ALWAYS_INLINE Halves load(const uint16_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
IVON_ALWAYS_INLINE void store(uint16_t* p, Halves x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.v);
}

IVON_ALWAYS_INLINE __m128i lower(__m256i x) { return _mm256_castsi256_si128(x); }
IVON_ALWAYS_INLINE __m128i upper(__m256i x) { return _mm256_extracti128_si256(x, 1); }
IVON_ALWAYS_INLINE Words extend(Halves x) {
  return {{_mm256_cvtepu16_epi32(lower(x.v))}, {_mm256_cvtepu16_epi32(upper(x.v))}};
}
IVON_ALWAYS_INLINE Halves truncate(Words x) {
  const Words low = x & set(0xFFFFu);
  return {_mm256_permute4x64_epi64(_mm256_packus_epi32(low.a.v, low.b.v), 0xD8)};
}
IVON_ALWAYS_INLINE Floats widen_float16(Halves x) {
  return {{_mm256_cvtph_ps(lower(x.v))}, {_mm256_cvtph_ps(upper(x.v))}};
}
IVON_ALWAYS_INLINE Halves narrow_float16(Floats x) {
  return {_mm256_set_m128i(_mm256_cvtps_ph(x.b.v, _MM_FROUND_TO_NEAREST_INT),
                           _mm256_cvtps_ph(x.a.v, _MM_FROUND_TO_NEAREST_INT))};
}

IVON_ALWAYS_INLINE Pair<Doubles4> to_double(Floats8 x) {
  return {{_mm256_cvtps_pd(_mm256_castps256_ps128(x.v))},
          {_mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1))}};
}
IVON_ALWAYS_INLINE Doubles to_double(Floats x) { return {to_double(x.a), to_double(x.b)}; }
IVON_ALWAYS_INLINE Words upper_words(Floats x) { return as_words(x); }
IVON_ALWAYS_INLINE Words8 upper_words(Pair<Doubles4> x) {
  const __m256 odd = _mm256_shuffle_ps(_mm256_castpd_ps(x.a.v), _mm256_castpd_ps(x.b.v), 0xDD);
  return {_mm256_permute4x64_epi64(_mm256_castps_si256(odd), 0xD8)};
}
IVON_ALWAYS_INLINE Words upper_words(Doubles x) { return {upper_words(x.a), upper_words(x.b)}; }
IVON_ALWAYS_INLINE Doubles4 select(__m128i mark, Doubles4 yes, Doubles4 no) {
  return {_mm256_blendv_pd(no.v, yes.v, _mm256_castsi256_pd(_mm256_cvtepi32_epi64(mark)))};
}
IVON_ALWAYS_INLINE Pair<Doubles4> select(Marks8 mark, Pair<Doubles4> yes, Pair<Doubles4> no) {
  return {select(lower(mark.v), yes.a, no.a), select(upper(mark.v), yes.b, no.b)};
}
IVON_ALWAYS_INLINE uint32_t bits(Mask mark) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mark.a.v))) |
         static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mark.b.v))) << 8;
}
