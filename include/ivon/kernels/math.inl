// SPDX-License-Identifier: Apache-2.0
// THE equations of IVON for a pack V of elements, sixteen floats or sixteen doubles;
// docs/algorithm.md numbers the steps. Included inside a namespace that has F, D, U and M.
//
// m mean, h hess, g momentum, s = h + delta, hhat the Hessian estimate of this step. Every
// multiply-add is an explicit FMA, so that nothing is left for a compiler to contract: all
// instruction sets give the same bits.

/// One value in all lanes.
template <class V>
IVON_ALWAYS_INLINE V all(double x) {
  return set(static_cast<typename V::Number>(x));
}

/// PosteriorScale in V's precision.
template <class V>
struct Scale {
  V ess, delta, floor;
  IVON_ALWAYS_INLINE explicit Scale(const PosteriorScale& scale)
      : ess(all<V>(scale.ess)),
        delta(all<V>(scale.weight_decay)),
        floor(all<V>(scale.hess_floor)) {}
};

/// theta - m = eps / sqrt(lambda (h + delta)) for standard normals eps.
template <class V>
IVON_ALWAYS_INLINE V deviation(V h, V normal, const Scale<V>& scale) {
  return normal / sqrt((max(h, scale.floor) + scale.delta) * scale.ess);
}

/// UpdateCoefficients in V's precision.
template <class V>
struct Coefficients {
  Scale<V> scale;
  V beta1, one_minus_beta1, rho, hess_clip, minus_hess_clip, debias, step_size, clip, minus_clip;
  IVON_ALWAYS_INLINE explicit Coefficients(const UpdateCoefficients& c)
      : scale(c.scale),
        beta1(all<V>(c.beta1)),
        one_minus_beta1(all<V>(1.0 - c.beta1)),
        rho(all<V>(c.rho)),
        hess_clip(all<V>(c.hess_clip)),
        minus_hess_clip(all<V>(-c.hess_clip)),
        debias(all<V>(c.debias)),
        step_size(all<V>(c.step_size)),
        clip(all<V>(c.clip_radius)),
        minus_clip(all<V>(-c.clip_radius)) {}
};

/// Lanes in which one of the values is infinite or not a number. Looks at exponent bits: under
/// -ffast-math comparisons of values may be optimised away.
template <class V>
IVON_ALWAYS_INLINE M not_finite(V a, V b, V c, V d) {
  const U magnitude = set(0x7FFFFFFFu);
  const U largest = max(max(upper_words(a) & magnitude, upper_words(b) & magnitude),
                        max(upper_words(c) & magnitude, upper_words(d) & magnitude));
  return at_least(largest, set(sizeof(typename V::Number) == 4 ? 0x7F800000u : 0x7FF00000u));
}

/// What is averaged over the samples of a step.
template <FusedEstimate estimate, class V>
IVON_ALWAYS_INLINE V statistic(V theta_minus_m, V gradient) {
  return (estimate == FusedEstimate::kPrice ? theta_minus_m : gradient) * gradient;
}

/// sum + statistic.
template <FusedEstimate estimate, class V>
IVON_ALWAYS_INLINE V add_statistic(V sum, V theta_minus_m, V gradient) {
  return fma(estimate == FusedEstimate::kPrice ? theta_minus_m : gradient, gradient, sum);
}

/// Steps 2 to 5; `average` is the statistic's. Returns the lanes that must keep their old m, h and
/// g.
template <FusedEstimate estimate, class V>
IVON_ALWAYS_INLINE M update(V& m, V& h, V& g, V average, V gradient, const Coefficients<V>& c) {
  const V old_h = max(h, c.scale.floor);
  const V s = old_h + c.scale.delta;
  const V hhat_over_ess = estimate == FusedEstimate::kPrice ? s * average : average;
  const V change = fms(hhat_over_ess, c.scale.ess, old_h);  // hhat - h

  // h' = beta2 h + rho hhat + rho^2 (h - hhat)^2 / (2 s), with u = rho (hhat - h).
  const V u = min(max(change, s * c.minus_hess_clip), s * c.hess_clip) * c.rho;
  h = max(fma(u, fma(u / s, all<V>(0.5), all<V>(1.0)), old_h), c.scale.floor);
  g = fma(g, c.beta1, gradient * c.one_minus_beta1);
  const V direction = fma(g, c.debias, m * c.scale.delta) / (h + c.scale.delta);
  m = fnma(min(max(direction, c.minus_clip), c.clip), c.step_size, m);
  return not_finite(change, h, g, m);
}
