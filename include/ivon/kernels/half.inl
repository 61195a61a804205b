// SPDX-License-Identifier: Apache-2.0
// Converts bfloat16 and float16 to float and back. Rounds to nearest, ties to even; NaN stays NaN.
// Included inside a namespace that has packs, among them Halves with sixteen bits in each lane.

IVON_ALWAYS_INLINE Floats widen_bfloat16(Halves halves) {
  return as_floats(shift_left<16>(extend(halves)));
}

IVON_ALWAYS_INLINE Halves narrow_bfloat16(Floats x) {
  const Words word = as_words(x);
  const Words odd = shift_right<16>(word) & set(1u);
  const Words rounded = shift_right<16>(word + set(0x7FFFu) + odd);
  const Mask nan = at_least(word & set(0x7FFFFFFFu), set(0x7F800001u));
  return truncate(select(nan, set(0x7FC0u), rounded));
}

template <Dtype dtype>
IVON_ALWAYS_INLINE Floats widen(Halves halves) {
  return dtype == Dtype::kBFloat16 ? widen_bfloat16(halves) : widen_float16(halves);
}
template <Dtype dtype>
IVON_ALWAYS_INLINE Halves narrow(Floats x) {
  return dtype == Dtype::kBFloat16 ? narrow_bfloat16(x) : narrow_float16(x);
}

/// Returns the mean in full precision. It is `wide` where `shown` is its rounding. Elsewhere the
/// program wrote `shown`, which then is the mean.
template <Dtype dtype>
IVON_ALWAYS_INLINE Floats adopted(Floats wide, Floats shown) {
  return select(equal(widen<dtype>(narrow<dtype>(wide)), shown), wide, shown);
}
