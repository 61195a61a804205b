// SPDX-License-Identifier: Apache-2.0
// A pack of two halves, each of which is a register or a pair itself. Every operation is applied to
// both halves. Included inside a namespace that has the registers and their operations.

template <class Register>
struct Pair {
  using Number = typename Register::Number;
  Register a, b;
};

#define IVON_PAIRWISE(operation)                                                             \
  template <class Register>                                                                  \
  IVON_ALWAYS_INLINE Pair<Register> operator operation(Pair<Register> x, Pair<Register> y) { \
    return {x.a operation y.a, x.b operation y.b};                                           \
  }
IVON_PAIRWISE(+)
IVON_PAIRWISE(-)
IVON_PAIRWISE(*)
IVON_PAIRWISE(/)
IVON_PAIRWISE(^)
IVON_PAIRWISE(&)
IVON_PAIRWISE(|)
#undef IVON_PAIRWISE

template <class Register>
IVON_ALWAYS_INLINE Pair<Register> fma(Pair<Register> x, Pair<Register> y, Pair<Register> z) {
  return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> fnma(Pair<Register> x, Pair<Register> y, Pair<Register> z) {
  return {fnma(x.a, y.a, z.a), fnma(x.b, y.b, z.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> fms(Pair<Register> x, Pair<Register> y, Pair<Register> z) {
  return {fms(x.a, y.a, z.a), fms(x.b, y.b, z.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> sqrt(Pair<Register> x) {
  return {sqrt(x.a), sqrt(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> max(Pair<Register> x, Pair<Register> y) {
  return {max(x.a, y.a), max(x.b, y.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> min(Pair<Register> x, Pair<Register> y) {
  return {min(x.a, y.a), min(x.b, y.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> shift_left(Pair<Register> x) {
  return {shift_left<n>(x.a), shift_left<n>(x.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> shift_right(Pair<Register> x) {
  return {shift_right<n>(x.a), shift_right<n>(x.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> shift_right_signed(Pair<Register> x) {
  return {shift_right_signed<n>(x.a), shift_right_signed<n>(x.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> rotate_left(Pair<Register> x) {
  return {rotate_left<n>(x.a), rotate_left<n>(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE Pair<Register> add_longs(Pair<Register> x, Pair<Register> y) {
  return {add_longs(x.a, y.a), add_longs(x.b, y.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> shift_longs_left(Pair<Register> x) {
  return {shift_longs_left<n>(x.a), shift_longs_left<n>(x.b)};
}
template <int n, class Register>
IVON_ALWAYS_INLINE Pair<Register> rotate_longs_left(Pair<Register> x) {
  return {rotate_longs_left<n>(x.a), rotate_longs_left<n>(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE void multiply_wide(Pair<Register> x, uint32_t y, Pair<Register>& high,
                                      Pair<Register>& low) {
  multiply_wide(x.a, y, high.a, low.a);
  multiply_wide(x.b, y, high.b, low.b);
}
template <class Register>
IVON_ALWAYS_INLINE auto float_of_int(Pair<Register> x) -> Pair<decltype(float_of_int(x.a))> {
  return {float_of_int(x.a), float_of_int(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE auto as_floats(Pair<Register> x) -> Pair<decltype(as_floats(x.a))> {
  return {as_floats(x.a), as_floats(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE auto as_words(Pair<Register> x) -> Pair<decltype(as_words(x.a))> {
  return {as_words(x.a), as_words(x.b)};
}
template <class Register>
IVON_ALWAYS_INLINE auto equal(Pair<Register> x, Pair<Register> y)
    -> Pair<decltype(equal(x.a, y.a))> {
  return {equal(x.a, y.a), equal(x.b, y.b)};
}
template <class Register>
IVON_ALWAYS_INLINE auto at_least(Pair<Register> x, Pair<Register> y)
    -> Pair<decltype(at_least(x.a, y.a))> {
  return {at_least(x.a, y.a), at_least(x.b, y.b)};
}
// The sum of the halves is not finite if a number in them is not. It can also overflow where all
// numbers are finite: then false is returned, and the caller must look at them.
template <class Register>
IVON_ALWAYS_INLINE bool all_finite(Pair<Register> x) {
  return all_finite(x.a + x.b);
}
template <class MaskRegister, class Register>
IVON_ALWAYS_INLINE Pair<Register> select(Pair<MaskRegister> mark, Pair<Register> yes,
                                         Pair<Register> no) {
  return {select(mark.a, yes.a, no.a), select(mark.b, yes.b, no.b)};
}
