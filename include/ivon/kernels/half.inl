// SPDX-License-Identifier: Apache-2.0
// bfloat16 and float16 to floats and back, to nearest even; not-a-number stays so. Included inside
// a namespace that has a pack with Halves, sixteen bits a lane.

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

template <Element element>
IVON_ALWAYS_INLINE Floats widen(Halves halves) {
  return element == Element::kBFloat16 ? widen_bfloat16(halves) : widen_float16(halves);
}
template <Element element>
IVON_ALWAYS_INLINE Halves narrow(Floats x) {
  return element == Element::kBFloat16 ? narrow_bfloat16(x) : narrow_float16(x);
}

/// The mean in full precision: `wide` where `shown` is its rounding, else `shown`, which was
/// written from outside.
template <Element element>
IVON_ALWAYS_INLINE Floats adopted(Floats wide, Floats shown) {
  return select(equal(widen<element>(narrow<element>(wide)), shown), wide, shown);
}
