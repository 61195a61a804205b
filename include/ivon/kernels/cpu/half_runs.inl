// SPDX-License-Identifier: Apache-2.0
// Converts arrays of bfloat16 and float16 to float and back. The arrays must have room up to the
// next multiple of sixteen elements. Included inside a namespace that has kernels/half.inl.

template <Dtype dtype>
inline void widen_run(const uint16_t* halves, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) store(out + i, widen<dtype>(load(halves + i)));
}
inline void widen_run(Dtype dtype, const uint16_t* halves, float* out, int64_t count) {
  if (dtype == Dtype::kBFloat16) return widen_run<Dtype::kBFloat16>(halves, out, count);
  widen_run<Dtype::kFloat16>(halves, out, count);
}

template <Dtype dtype>
inline void adopt_run(const float* wide, const uint16_t* shown, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    store(out + i, adopted<dtype>(Floats(load(wide + i)), widen<dtype>(load(shown + i))));
  }
}
inline void adopt_run(Dtype dtype, const float* wide, const uint16_t* shown, float* out,
                      int64_t count) {
  if (dtype == Dtype::kBFloat16) {
    return adopt_run<Dtype::kBFloat16>(wide, shown, out, count);
  }
  adopt_run<Dtype::kFloat16>(wide, shown, out, count);
}

template <Dtype dtype>
inline void narrow_run(const float* values, uint16_t* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) store(out + i, narrow<dtype>(load(values + i)));
}
inline void narrow_run(Dtype dtype, const float* values, uint16_t* out, int64_t count) {
  if (dtype == Dtype::kBFloat16) return narrow_run<Dtype::kBFloat16>(values, out, count);
  narrow_run<Dtype::kFloat16>(values, out, count);
}
