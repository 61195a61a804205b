// SPDX-License-Identifier: Apache-2.0
// Packs for NEON: sixteen floats or words in four registers, sixteen doubles in eight. The
// operations are those of pack_portable.inl. Sums and products are written as in pack_avx2.inl.

struct Floats4 {
  using Number = float;
  float32x4_t v;
};
struct Doubles2 {
  using Number = double;
  float64x2_t v;
};
struct Words4 {
  using Number = uint32_t;
  uint32x4_t v;
};
struct Marks4 {
  using Number = void;
  uint32x4_t v;  // all bits of a marked lane are 1
};

IVON_ALWAYS_INLINE Floats4 operator+(Floats4 x, Floats4 y) { return {x.v + y.v}; }
IVON_ALWAYS_INLINE Floats4 operator-(Floats4 x, Floats4 y) { return {x.v - y.v}; }
IVON_ALWAYS_INLINE Floats4 operator*(Floats4 x, Floats4 y) { return {x.v * y.v}; }
IVON_ALWAYS_INLINE Floats4 operator/(Floats4 x, Floats4 y) { return {x.v / y.v}; }
// max and min return y if x or y is NaN. NEON's own instructions would return NaN.
IVON_ALWAYS_INLINE Floats4 max(Floats4 x, Floats4 y) {
  return {vbslq_f32(vcgtq_f32(x.v, y.v), x.v, y.v)};
}
IVON_ALWAYS_INLINE Floats4 min(Floats4 x, Floats4 y) {
  return {vbslq_f32(vcltq_f32(x.v, y.v), x.v, y.v)};
}
IVON_ALWAYS_INLINE Floats4 sqrt(Floats4 x) { return {vsqrtq_f32(x.v)}; }
IVON_ALWAYS_INLINE Floats4 fma(Floats4 x, Floats4 y, Floats4 z) {
  return {vfmaq_f32(z.v, x.v, y.v)};
}
IVON_ALWAYS_INLINE Floats4 fnma(Floats4 x, Floats4 y, Floats4 z) {
  return {vfmsq_f32(z.v, x.v, y.v)};
}
IVON_ALWAYS_INLINE Floats4 fms(Floats4 x, Floats4 y, Floats4 z) {
  return {vfmaq_f32(vnegq_f32(z.v), x.v, y.v)};
}

IVON_ALWAYS_INLINE Doubles2 operator+(Doubles2 x, Doubles2 y) { return {x.v + y.v}; }
IVON_ALWAYS_INLINE Doubles2 operator-(Doubles2 x, Doubles2 y) { return {x.v - y.v}; }
IVON_ALWAYS_INLINE Doubles2 operator*(Doubles2 x, Doubles2 y) { return {x.v * y.v}; }
IVON_ALWAYS_INLINE Doubles2 operator/(Doubles2 x, Doubles2 y) { return {x.v / y.v}; }
IVON_ALWAYS_INLINE Doubles2 max(Doubles2 x, Doubles2 y) {
  return {vbslq_f64(vcgtq_f64(x.v, y.v), x.v, y.v)};
}
IVON_ALWAYS_INLINE Doubles2 min(Doubles2 x, Doubles2 y) {
  return {vbslq_f64(vcltq_f64(x.v, y.v), x.v, y.v)};
}
IVON_ALWAYS_INLINE Doubles2 sqrt(Doubles2 x) { return {vsqrtq_f64(x.v)}; }
IVON_ALWAYS_INLINE Doubles2 fma(Doubles2 x, Doubles2 y, Doubles2 z) {
  return {vfmaq_f64(z.v, x.v, y.v)};
}
IVON_ALWAYS_INLINE Doubles2 fnma(Doubles2 x, Doubles2 y, Doubles2 z) {
  return {vfmsq_f64(z.v, x.v, y.v)};
}
IVON_ALWAYS_INLINE Doubles2 fms(Doubles2 x, Doubles2 y, Doubles2 z) {
  return {vfmaq_f64(vnegq_f64(z.v), x.v, y.v)};
}

IVON_ALWAYS_INLINE Words4 operator+(Words4 x, Words4 y) { return {vaddq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words4 operator-(Words4 x, Words4 y) { return {vsubq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words4 operator^(Words4 x, Words4 y) { return {veorq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words4 operator&(Words4 x, Words4 y) { return {vandq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words4 operator|(Words4 x, Words4 y) { return {vorrq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Words4 max(Words4 x, Words4 y) { return {vmaxq_u32(x.v, y.v)}; }
template <int n>
IVON_ALWAYS_INLINE Words4 shift_left(Words4 x) {
  return {vshlq_n_u32(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words4 shift_right(Words4 x) {
  return {vshrq_n_u32(x.v, n)};
}
template <int n>
IVON_ALWAYS_INLINE Words4 shift_right_signed(Words4 x) {
  return {vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(x.v), n))};
}
template <int n>
IVON_ALWAYS_INLINE Words4 rotate_left(Words4 x) {
  return {vsliq_n_u32(vshrq_n_u32(x.v, 32 - n), x.v, n)};
}
IVON_ALWAYS_INLINE uint64x2_t longs(Words4 x) { return vreinterpretq_u64_u32(x.v); }
IVON_ALWAYS_INLINE Words4 add_longs(Words4 x, Words4 y) {
  return {vreinterpretq_u32_u64(vaddq_u64(longs(x), longs(y)))};
}
template <int n>
IVON_ALWAYS_INLINE Words4 shift_longs_left(Words4 x) {
  return {vreinterpretq_u32_u64(vshlq_n_u64(longs(x), n))};
}
template <int n>
IVON_ALWAYS_INLINE Words4 rotate_longs_left(Words4 x) {
  return {vreinterpretq_u32_u64(vsliq_n_u64(vshrq_n_u64(longs(x), 64 - n), longs(x), n))};
}
IVON_ALWAYS_INLINE void multiply_wide(Words4 x, uint32_t y, Words4& high, Words4& low) {
  const uint32x4_t a = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x.v), y));
  const uint32x4_t b = vreinterpretq_u32_u64(vmull_n_u32(vget_high_u32(x.v), y));
  low.v = vuzp1q_u32(a, b);
  high.v = vuzp2q_u32(a, b);
}
IVON_ALWAYS_INLINE Floats4 float_of_int(Words4 x) {
  return {vcvtq_f32_s32(vreinterpretq_s32_u32(x.v))};
}
IVON_ALWAYS_INLINE Floats4 as_floats(Words4 x) { return {vreinterpretq_f32_u32(x.v)}; }
IVON_ALWAYS_INLINE Words4 as_words(Floats4 x) { return {vreinterpretq_u32_f32(x.v)}; }

IVON_ALWAYS_INLINE Marks4 equal(Words4 x, Words4 y) { return {vceqq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Marks4 equal(Floats4 x, Floats4 y) { return {vceqq_f32(x.v, y.v)}; }
IVON_ALWAYS_INLINE bool all_finite(Floats4 x) {
  const uint32x4_t exponent = vdupq_n_u32(0x7F800000);
  const uint32x4_t found = vandq_u32(vreinterpretq_u32_f32(x.v), exponent);
  return vmaxvq_u32(vceqq_u32(found, exponent)) == 0;
}
IVON_ALWAYS_INLINE bool all_finite(Doubles2 x) {
  const uint64x2_t exponent = vdupq_n_u64(0x7FF0000000000000);
  const uint64x2_t found = vandq_u64(vreinterpretq_u64_f64(x.v), exponent);
  return vmaxvq_u32(vreinterpretq_u32_u64(vceqq_u64(found, exponent))) == 0;
}
IVON_ALWAYS_INLINE Marks4 at_least(Words4 x, Words4 y) { return {vcgeq_u32(x.v, y.v)}; }
IVON_ALWAYS_INLINE Floats4 select(Marks4 mark, Floats4 yes, Floats4 no) {
  return {vbslq_f32(mark.v, yes.v, no.v)};
}
IVON_ALWAYS_INLINE Words4 select(Marks4 mark, Words4 yes, Words4 no) {
  return {vbslq_u32(mark.v, yes.v, no.v)};
}

#include <ivon/kernels/cpu/pack_pair.inl>

using Floats = Pair<Pair<Floats4>>;
using Doubles = Pair<Pair<Pair<Doubles2>>>;
using Words = Pair<Pair<Words4>>;
using Mask = Pair<Pair<Marks4>>;
struct Halves {
  uint16x8_t a, b;
};

IVON_ALWAYS_INLINE Floats set(float x) {
  const Pair<Floats4> half{{vdupq_n_f32(x)}, {vdupq_n_f32(x)}};
  return {half, half};
}
IVON_ALWAYS_INLINE Floats load(const float* p) {
  return {{{vld1q_f32(p)}, {vld1q_f32(p + 4)}}, {{vld1q_f32(p + 8)}, {vld1q_f32(p + 12)}}};
}
IVON_ALWAYS_INLINE void store(float* p, Floats x) {
  vst1q_f32(p, x.a.a.v);
  vst1q_f32(p + 4, x.a.b.v);
  vst1q_f32(p + 8, x.b.a.v);
  vst1q_f32(p + 12, x.b.b.v);
}
IVON_ALWAYS_INLINE Doubles set(double x) {
  const Pair<Doubles2> quarter{{vdupq_n_f64(x)}, {vdupq_n_f64(x)}};
  return {{quarter, quarter}, {quarter, quarter}};
}
IVON_ALWAYS_INLINE Pair<Pair<Doubles2>> load_eight(const double* p) {
  return {{{vld1q_f64(p)}, {vld1q_f64(p + 2)}}, {{vld1q_f64(p + 4)}, {vld1q_f64(p + 6)}}};
}
IVON_ALWAYS_INLINE Doubles load(const double* p) { return {load_eight(p), load_eight(p + 8)}; }
IVON_ALWAYS_INLINE void store_eight(double* p, Pair<Pair<Doubles2>> x) {
  vst1q_f64(p, x.a.a.v);
  vst1q_f64(p + 2, x.a.b.v);
  vst1q_f64(p + 4, x.b.a.v);
  vst1q_f64(p + 6, x.b.b.v);
}
IVON_ALWAYS_INLINE void store(double* p, Doubles x) {
  store_eight(p, x.a);
  store_eight(p + 8, x.b);
}
IVON_ALWAYS_INLINE Words set(uint32_t x) {
  const Pair<Words4> half{{vdupq_n_u32(x)}, {vdupq_n_u32(x)}};
  return {half, half};
}
IVON_ALWAYS_INLINE Words load(const uint32_t* p) {
  return {{{vld1q_u32(p)}, {vld1q_u32(p + 4)}}, {{vld1q_u32(p + 8)}, {vld1q_u32(p + 12)}}};
}
IVON_ALWAYS_INLINE void store(uint32_t* p, Words x) {
  vst1q_u32(p, x.a.a.v);
  vst1q_u32(p + 4, x.a.b.v);
  vst1q_u32(p + 8, x.b.a.v);
  vst1q_u32(p + 12, x.b.b.v);
}
IVON_ALWAYS_INLINE Halves load(const uint16_t* p) { return {vld1q_u16(p), vld1q_u16(p + 8)}; }
IVON_ALWAYS_INLINE void store(uint16_t* p, Halves x) {
  vst1q_u16(p, x.a);
  vst1q_u16(p + 8, x.b);
}

IVON_ALWAYS_INLINE Pair<Words4> extend(uint16x8_t x) {
  return {{vmovl_u16(vget_low_u16(x))}, {vmovl_u16(vget_high_u16(x))}};
}
IVON_ALWAYS_INLINE Words extend(Halves x) { return {extend(x.a), extend(x.b)}; }
IVON_ALWAYS_INLINE uint16x8_t truncate(Pair<Words4> x) {
  return vcombine_u16(vmovn_u32(x.a.v), vmovn_u32(x.b.v));
}
IVON_ALWAYS_INLINE Halves truncate(Words x) { return {truncate(x.a), truncate(x.b)}; }
IVON_ALWAYS_INLINE Pair<Floats4> widen_float16(uint16x8_t x) {
  const float16x8_t halves = vreinterpretq_f16_u16(x);
  return {{vcvt_f32_f16(vget_low_f16(halves))}, {vcvt_f32_f16(vget_high_f16(halves))}};
}
IVON_ALWAYS_INLINE Floats widen_float16(Halves x) {
  return {widen_float16(x.a), widen_float16(x.b)};
}
IVON_ALWAYS_INLINE uint16x8_t narrow_float16(Pair<Floats4> x) {
  return vreinterpretq_u16_f16(vcombine_f16(vcvt_f16_f32(x.a.v), vcvt_f16_f32(x.b.v)));
}
IVON_ALWAYS_INLINE Halves narrow_float16(Floats x) {
  return {narrow_float16(x.a), narrow_float16(x.b)};
}

IVON_ALWAYS_INLINE Pair<Doubles2> to_double(Floats4 x) {
  return {{vcvt_f64_f32(vget_low_f32(x.v))}, {vcvt_high_f64_f32(x.v)}};
}
IVON_ALWAYS_INLINE Pair<Pair<Doubles2>> to_double(Pair<Floats4> x) {
  return {to_double(x.a), to_double(x.b)};
}
IVON_ALWAYS_INLINE Doubles to_double(Floats x) { return {to_double(x.a), to_double(x.b)}; }
IVON_ALWAYS_INLINE Words upper_words(Floats x) { return as_words(x); }
IVON_ALWAYS_INLINE Words4 upper_words(Pair<Doubles2> x) {
  return {vuzp2q_u32(vreinterpretq_u32_f64(x.a.v), vreinterpretq_u32_f64(x.b.v))};
}
IVON_ALWAYS_INLINE Words upper_words(Doubles x) {
  return {{upper_words(x.a.a), upper_words(x.a.b)}, {upper_words(x.b.a), upper_words(x.b.b)}};
}
IVON_ALWAYS_INLINE Pair<Doubles2> select(Marks4 mark, Pair<Doubles2> yes, Pair<Doubles2> no) {
  const int32x4_t wide = vreinterpretq_s32_u32(mark.v);
  const uint64x2_t low = vreinterpretq_u64_s64(vmovl_s32(vget_low_s32(wide)));
  const uint64x2_t high = vreinterpretq_u64_s64(vmovl_high_s32(wide));
  return {{vbslq_f64(low, yes.a.v, no.a.v)}, {vbslq_f64(high, yes.b.v, no.b.v)}};
}
IVON_ALWAYS_INLINE uint32_t bits(Marks4 mark) {
  constexpr uint32_t kLaneBits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(mark.v, vld1q_u32(kLaneBits)));
}
IVON_ALWAYS_INLINE uint32_t bits(Mask mark) {
  return bits(mark.a.a) | bits(mark.a.b) << 4 | bits(mark.b.a) << 8 | bits(mark.b.b) << 12;
}
