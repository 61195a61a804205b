// SPDX-License-Identifier: Apache-2.0
// Packs of two halves, each a register or a pair itself: every operation goes to both. Included
// inside a namespace that has the registers.

template <class R>
struct Pair {
  using Number = typename R::Number;
  R a, b;
};

#define IVON_PAIRWISE(operation)                                        \
  template <class R>                                                    \
  IVON_ALWAYS_INLINE Pair<R> operator operation(Pair<R> x, Pair<R> y) { \
    return {x.a operation y.a, x.b operation y.b};                      \
  }
IVON_PAIRWISE(+)
IVON_PAIRWISE(-)
IVON_PAIRWISE(*)
IVON_PAIRWISE(/)
IVON_PAIRWISE(^)
IVON_PAIRWISE(&)
#undef IVON_PAIRWISE

template <class R>
IVON_ALWAYS_INLINE Pair<R> fma(Pair<R> x, Pair<R> y, Pair<R> z) {
  return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)};
}
template <class R>
IVON_ALWAYS_INLINE Pair<R> fnma(Pair<R> x, Pair<R> y, Pair<R> z) {
  return {fnma(x.a, y.a, z.a), fnma(x.b, y.b, z.b)};
}
template <class R>
IVON_ALWAYS_INLINE Pair<R> fms(Pair<R> x, Pair<R> y, Pair<R> z) {
  return {fms(x.a, y.a, z.a), fms(x.b, y.b, z.b)};
}
template <class R>
IVON_ALWAYS_INLINE Pair<R> sqrt(Pair<R> x) {
  return {sqrt(x.a), sqrt(x.b)};
}
template <class R>
IVON_ALWAYS_INLINE Pair<R> max(Pair<R> x, Pair<R> y) {
  return {max(x.a, y.a), max(x.b, y.b)};
}
template <class R>
IVON_ALWAYS_INLINE Pair<R> min(Pair<R> x, Pair<R> y) {
  return {min(x.a, y.a), min(x.b, y.b)};
}
template <int n, class R>
IVON_ALWAYS_INLINE Pair<R> shift_left(Pair<R> x) {
  return {shift_left<n>(x.a), shift_left<n>(x.b)};
}
template <int n, class R>
IVON_ALWAYS_INLINE Pair<R> shift_right(Pair<R> x) {
  return {shift_right<n>(x.a), shift_right<n>(x.b)};
}
template <int n, class R>
IVON_ALWAYS_INLINE Pair<R> shift_right_signed(Pair<R> x) {
  return {shift_right_signed<n>(x.a), shift_right_signed<n>(x.b)};
}
template <int n, class R>
IVON_ALWAYS_INLINE Pair<R> rotate_left(Pair<R> x) {
  return {rotate_left<n>(x.a), rotate_left<n>(x.b)};
}
template <class R>
IVON_ALWAYS_INLINE void multiply_wide(Pair<R> x, uint32_t y, Pair<R>& high, Pair<R>& low) {
  multiply_wide(x.a, y, high.a, low.a);
  multiply_wide(x.b, y, high.b, low.b);
}
template <class R>
IVON_ALWAYS_INLINE auto float_of_int(Pair<R> x) -> Pair<decltype(float_of_int(x.a))> {
  return {float_of_int(x.a), float_of_int(x.b)};
}
template <class R>
IVON_ALWAYS_INLINE auto as_floats(Pair<R> x) -> Pair<decltype(as_floats(x.a))> {
  return {as_floats(x.a), as_floats(x.b)};
}
template <class R>
IVON_ALWAYS_INLINE auto as_words(Pair<R> x) -> Pair<decltype(as_words(x.a))> {
  return {as_words(x.a), as_words(x.b)};
}
template <class R>
IVON_ALWAYS_INLINE auto equal(Pair<R> x, Pair<R> y) -> Pair<decltype(equal(x.a, y.a))> {
  return {equal(x.a, y.a), equal(x.b, y.b)};
}
template <class R>
IVON_ALWAYS_INLINE auto at_least(Pair<R> x, Pair<R> y) -> Pair<decltype(at_least(x.a, y.a))> {
  return {at_least(x.a, y.a), at_least(x.b, y.b)};
}
template <class N, class R>
IVON_ALWAYS_INLINE Pair<R> select(Pair<N> mark, Pair<R> yes, Pair<R> no) {
  return {select(mark.a, yes.a, no.a), select(mark.b, yes.b, no.b)};
}
