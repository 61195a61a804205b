// SPDX-License-Identifier: Apache-2.0
// Arrays of bfloat16 and float16 to floats and back. Arrays have room for the next multiple of
// sixteen. Included inside a namespace that has kernels/half.inl.

template <Element element>
inline void widen_run(const uint16_t* halves, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) store(out + i, widen<element>(load(halves + i)));
}
inline void widen_run(Element element, const uint16_t* halves, float* out, int64_t count) {
  if (element == Element::kBFloat16) return widen_run<Element::kBFloat16>(halves, out, count);
  widen_run<Element::kFloat16>(halves, out, count);
}

template <Element element>
inline void adopt_run(const float* wide, const uint16_t* shown, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    store(out + i, adopted<element>(Floats(load(wide + i)), widen<element>(load(shown + i))));
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
