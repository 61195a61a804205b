// SPDX-License-Identifier: Apache-2.0
// Chooses the formulas that the passes of one instruction set use for an estimator. Included inside
// a namespace that has kernels/estimators.inl and packs.

/// Applies a user's estimator to single numbers, one lane after the other. The user's functions are
/// compiled for the instruction set of the command line, so they cannot use packs of a larger one.
template <class Estimator>
struct LaneByLane {
  static constexpr bool kUsesDeviation = Estimator::kUsesDeviation;

  template <class Pack>
  IVON_ALWAYS_INLINE static Pack statistic(const Pack& deviation, const Pack& gradient) {
    using T = typename Pack::Number;
    T d[16], g[16];
    store(d, deviation);
    store(g, gradient);
    for (int i = 0; i < 16; ++i) g[i] = Estimator::statistic(d[i], g[i]);
    return load(g);
  }
  template <class Pack>
  IVON_ALWAYS_INLINE static Pack add_statistic(const Pack& sum, const Pack& deviation,
                                               const Pack& gradient) {
    using T = typename Pack::Number;
    T s[16], d[16], g[16];
    store(s, sum);
    store(d, deviation);
    store(g, gradient);
    for (int i = 0; i < 16; ++i) s[i] = Estimator::add_statistic(s[i], d[i], g[i]);
    return load(s);
  }
  template <class Pack>
  IVON_ALWAYS_INLINE static Pack hessian(const Pack& damped_hess, const Pack& average) {
    using T = typename Pack::Number;
    T h[16], a[16];
    store(h, damped_hess);
    store(a, average);
    for (int i = 0; i < 16; ++i) h[i] = Estimator::hessian(h[i], a[i]);
    return load(h);
  }
};

/// Chooses the formulas for an estimator: those of this namespace for an estimator of the library,
/// and LaneByLane for a user's estimator.
template <class Estimator>
struct CompiledHere {
  using Type = LaneByLane<Estimator>;
};
#define IVON_DETAIL_COMPILED_HERE(name) \
  template <>                           \
  struct CompiledHere<ivon::name> {     \
    using Type = name;                  \
  };
IVON_DETAIL_ESTIMATORS(IVON_DETAIL_COMPILED_HERE)
#undef IVON_DETAIL_COMPILED_HERE
