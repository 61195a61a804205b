// SPDX-License-Identifier: Apache-2.0
// bfloat16 and float16 arrays to floats and back, to nearest even; not-a-number stays so. Arrays
// have room for the next multiple of sixteen. Included inside a namespace that has a pack.

IVON_ALWAYS_INLINE F widen_bfloat16(H halves) { return as_floats(shift_left<16>(extend(halves))); }

IVON_ALWAYS_INLINE H narrow_bfloat16(F x) {
  const U word = as_words(x);
  const U odd = shift_right<16>(word) & set(1u);
  const U rounded = shift_right<16>(word + set(0x7FFFu) + odd);
  const M nan = at_least(word & set(0x7FFFFFFFu), set(0x7F800001u));
  return truncate(select(nan, set(0x7FC0u), rounded));
}

template <Element element>
IVON_ALWAYS_INLINE F widen(H halves) {
  return element == Element::kBFloat16 ? widen_bfloat16(halves) : widen_float16(halves);
}
template <Element element>
IVON_ALWAYS_INLINE H narrow(F x) {
  return element == Element::kBFloat16 ? narrow_bfloat16(x) : narrow_float16(x);
}

template <Element element>
inline void widen_run(const uint16_t* halves, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) store(out + i, widen<element>(load(halves + i)));
}
inline void widen_run(Element element, const uint16_t* halves, float* out, int64_t count) {
  if (element == Element::kBFloat16) return widen_run<Element::kBFloat16>(halves, out, count);
  widen_run<Element::kFloat16>(halves, out, count);
}

/// The mean in full precision: `wide` where `shown` is its rounding, else `shown`.
template <Element element>
inline void adopt_run(const float* wide, const uint16_t* shown, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const F w = load(wide + i);
    const F s = widen<element>(load(shown + i));
    store(out + i, select(equal(widen<element>(narrow<element>(w)), s), w, s));
  }
}
inline void adopt_run(Element element, const float* wide, const uint16_t* shown, float* out,
                      int64_t count) {
  if (element == Element::kBFloat16) {
    return adopt_run<Element::kBFloat16>(wide, shown, out, count);
  }
  adopt_run<Element::kFloat16>(wide, shown, out, count);
}

template <Element element>
inline void narrow_run(const float* values, uint16_t* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) store(out + i, narrow<element>(load(values + i)));
}
inline void narrow_run(Element element, const float* values, uint16_t* out, int64_t count) {
  if (element == Element::kBFloat16) return narrow_run<Element::kBFloat16>(values, out, count);
  narrow_run<Element::kFloat16>(values, out, count);
}
