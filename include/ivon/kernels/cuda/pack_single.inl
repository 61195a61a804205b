// SPDX-License-Identifier: Apache-2.0
// A pack of one element, for a thread of a GPU. It has the operations that
// kernels/{math,box_muller,half}.inl need of a pack. Included inside a namespace, on the host after
// scalar.inl. For a GPU the operations are intrinsics that round to nearest under any compiler
// flags, so that results have the same bits as on CPUs.

#if defined(IVON_CUDA_TEXT)
IVON_ALWAYS_INLINE float add(float a, float b) { return __fadd_rn(a, b); }
IVON_ALWAYS_INLINE float multiply(float a, float b) { return __fmul_rn(a, b); }
IVON_ALWAYS_INLINE float divide(float a, float b) { return __fdiv_rn(a, b); }
IVON_ALWAYS_INLINE float square_root(float a) { return __fsqrt_rn(a); }
IVON_ALWAYS_INLINE float rounded_once(float a, float b, float c) { return __fmaf_rn(a, b, c); }
IVON_ALWAYS_INLINE double add(double a, double b) { return __dadd_rn(a, b); }
IVON_ALWAYS_INLINE double multiply(double a, double b) { return __dmul_rn(a, b); }
IVON_ALWAYS_INLINE double divide(double a, double b) { return __ddiv_rn(a, b); }
IVON_ALWAYS_INLINE double square_root(double a) { return __dsqrt_rn(a); }
IVON_ALWAYS_INLINE double rounded_once(double a, double b, double c) { return __fma_rn(a, b, c); }
IVON_ALWAYS_INLINE uint32_t word_of(float a) { return __float_as_uint(a); }
IVON_ALWAYS_INLINE float float_of(uint32_t a) { return __uint_as_float(a); }
IVON_ALWAYS_INLINE uint32_t upper_word_of(double a) {
  return static_cast<uint32_t>(__double2hiint(a));
}
IVON_ALWAYS_INLINE uint32_t widened_float16(uint32_t half) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(static_cast<uint16_t>(half)));
  return word_of(wide);
}
IVON_ALWAYS_INLINE uint32_t narrowed_float16(uint32_t word) {
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(float_of(word)));
  return half;
}
#else
template <class T>
IVON_ALWAYS_INLINE T add(T a, T b) {
  return a + b;
}
template <class T>
IVON_ALWAYS_INLINE T multiply(T a, T b) {
  return a * b;
}
template <class T>
IVON_ALWAYS_INLINE T divide(T a, T b) {
  return a / b;
}
IVON_ALWAYS_INLINE uint32_t word_of(float a) {
  uint32_t word;
  std::memcpy(&word, &a, sizeof(word));
  return word;
}
IVON_ALWAYS_INLINE float float_of(uint32_t a) {
  float x;
  std::memcpy(&x, &a, sizeof(x));
  return x;
}
IVON_ALWAYS_INLINE uint32_t upper_word_of(double a) {
  uint64_t word;
  std::memcpy(&word, &a, sizeof(word));
  return static_cast<uint32_t>(word >> 32);
}
IVON_ALWAYS_INLINE uint32_t widened_float16(uint32_t half) { return widen_float16(half); }
IVON_ALWAYS_INLINE uint32_t narrowed_float16(uint32_t word) { return narrow_float16(word); }
#endif

/// A pack of one number of type T.
template <class T>
struct One {
  using Number = T;
  T v;
};
using Floats = One<float>;
using Doubles = One<double>;
using Words = One<uint32_t>;
using Halves = One<uint16_t>;
struct Mask {
  bool v;
};

template <class T>
IVON_ALWAYS_INLINE One<T> set(T x) {
  return {x};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator+(One<T> a, One<T> b) {
  return {add(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator-(One<T> a, One<T> b) {
  return {add(a.v, -b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator*(One<T> a, One<T> b) {
  return {multiply(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator/(One<T> a, One<T> b) {
  return {divide(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fma(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(a.v, b.v, c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fnma(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(-a.v, b.v, c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fms(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(a.v, b.v, -c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> sqrt(One<T> a) {
  return {square_root(a.v)};
}
// max and min return b if a or b is NaN, as on CPUs.
template <class T>
IVON_ALWAYS_INLINE One<T> max(One<T> a, One<T> b) {
  return a.v > b.v ? a : b;
}
template <class T>
IVON_ALWAYS_INLINE One<T> min(One<T> a, One<T> b) {
  return a.v < b.v ? a : b;
}

IVON_ALWAYS_INLINE Words operator+(Words a, Words b) { return {a.v + b.v}; }
IVON_ALWAYS_INLINE Words operator-(Words a, Words b) { return {a.v - b.v}; }
IVON_ALWAYS_INLINE Words operator^(Words a, Words b) { return {a.v ^ b.v}; }
IVON_ALWAYS_INLINE Words operator&(Words a, Words b) { return {a.v & b.v}; }
template <int n>
IVON_ALWAYS_INLINE Words shift_left(Words a) {
  return {a.v << n};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right(Words a) {
  return {a.v >> n};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right_signed(Words a) {
  return {static_cast<uint32_t>(static_cast<int32_t>(a.v) >> n)};
}
IVON_ALWAYS_INLINE void multiply_wide(Words a, uint32_t b, Words& high, Words& low) {
  const uint64_t product = uint64_t{b} * a.v;
  high.v = static_cast<uint32_t>(product >> 32);
  low.v = static_cast<uint32_t>(product);
}
IVON_ALWAYS_INLINE Floats float_of_int(Words a) {
  return {static_cast<float>(static_cast<int32_t>(a.v))};
}
IVON_ALWAYS_INLINE Floats as_floats(Words a) { return {float_of(a.v)}; }
IVON_ALWAYS_INLINE Words as_words(Floats a) { return {word_of(a.v)}; }
// Returns the 32 bits of a number that contain sign and exponent.
IVON_ALWAYS_INLINE Words upper_words(Floats a) { return as_words(a); }
IVON_ALWAYS_INLINE Words upper_words(Doubles a) { return {upper_word_of(a.v)}; }

IVON_ALWAYS_INLINE Words extend(Halves a) { return {a.v}; }
IVON_ALWAYS_INLINE Halves truncate(Words a) { return {static_cast<uint16_t>(a.v)}; }
IVON_ALWAYS_INLINE Floats widen_float16(Halves a) { return as_floats(Words{widened_float16(a.v)}); }
IVON_ALWAYS_INLINE Halves narrow_float16(Floats a) {
  return truncate(Words{narrowed_float16(word_of(a.v))});
}

template <class T>
IVON_ALWAYS_INLINE Mask equal(One<T> a, One<T> b) {
  return {a.v == b.v};
}
IVON_ALWAYS_INLINE Mask at_least(Words a, Words b) { return {a.v >= b.v}; }
template <class T>
IVON_ALWAYS_INLINE One<T> select(Mask mark, One<T> yes, One<T> no) {
  return mark.v ? yes : no;
}
