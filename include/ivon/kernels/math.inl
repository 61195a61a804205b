// SPDX-License-Identifier: Apache-2.0
// THE equations of IVON for a pack of elements, sixteen floats or sixteen doubles;
// docs/algorithm.md numbers the steps. Included inside a namespace that has Floats, Doubles, Words
// and Mask.
//
// m mean, h hess, g momentum, s = h + delta, hhat the Hessian estimate of this step. Every
// multiply-add is an explicit FMA, so that nothing is left for a compiler to contract: all
// instruction sets give the same bits.

/// One value in all lanes.
template <class Pack>
IVON_ALWAYS_INLINE Pack all(double x) {
  return set(static_cast<typename Pack::Number>(x));
}

/// PosteriorScale in the pack's precision.
template <class Pack>
struct Scale {
  Pack ess, delta, floor;
  IVON_ALWAYS_INLINE explicit Scale(const PosteriorScale& scale)
      : ess(all<Pack>(scale.ess)),
        delta(all<Pack>(scale.weight_decay)),
        floor(all<Pack>(scale.hess_floor)) {}
};

/// theta - m = eps / sqrt(lambda (h + delta)) for standard normals eps.
template <class Pack>
IVON_ALWAYS_INLINE Pack deviation(Pack h, Pack normal, const Scale<Pack>& scale) {
  return normal / sqrt((max(h, scale.floor) + scale.delta) * scale.ess);
}

/// UpdateCoefficients in the pack's precision.
template <class Pack>
struct Coefficients {
  Scale<Pack> scale;
  Pack beta1, one_minus_beta1, rho, hess_clip, minus_hess_clip, debias, step_size, clip, minus_clip;
  IVON_ALWAYS_INLINE explicit Coefficients(const UpdateCoefficients& c)
      : scale(c.scale),
        beta1(all<Pack>(c.beta1)),
        one_minus_beta1(all<Pack>(1.0 - c.beta1)),
        rho(all<Pack>(c.rho)),
        hess_clip(all<Pack>(c.hess_clip)),
        minus_hess_clip(all<Pack>(-c.hess_clip)),
        debias(all<Pack>(c.debias)),
        step_size(all<Pack>(c.step_size)),
        clip(all<Pack>(c.clip_radius)),
        minus_clip(all<Pack>(-c.clip_radius)) {}
};

/// Lanes in which one of the values is infinite or not a number. Looks at exponent bits: under
/// -ffast-math comparisons of values may be optimised away.
template <class Pack>
IVON_ALWAYS_INLINE Mask not_finite(Pack a, Pack b, Pack c, Pack d) {
  const Words magnitude = set(0x7FFFFFFFu);
  const Words largest = max(max(upper_words(a) & magnitude, upper_words(b) & magnitude),
                            max(upper_words(c) & magnitude, upper_words(d) & magnitude));
  return at_least(largest, set(sizeof(typename Pack::Number) == 4 ? 0x7F800000u : 0x7FF00000u));
}

/// What is averaged over the samples of a step.
template <FusedEstimate estimate, class Pack>
IVON_ALWAYS_INLINE Pack statistic(Pack theta_minus_m, Pack gradient) {
  return (estimate == FusedEstimate::kPrice ? theta_minus_m : gradient) * gradient;
}

/// sum + statistic.
template <FusedEstimate estimate, class Pack>
IVON_ALWAYS_INLINE Pack add_statistic(Pack sum, Pack theta_minus_m, Pack gradient) {
  return fma(estimate == FusedEstimate::kPrice ? theta_minus_m : gradient, gradient, sum);
}

/// Steps 2 to 5; `average` is the statistic's. Returns the lanes that must keep their old m, h and
/// g.
template <FusedEstimate estimate, class Pack>
IVON_ALWAYS_INLINE Mask update(Pack& m, Pack& h, Pack& g, Pack average, Pack gradient,
                               const Coefficients<Pack>& c) {
  const Pack old_h = max(h, c.scale.floor);
  const Pack s = old_h + c.scale.delta;
  const Pack hhat_over_ess = estimate == FusedEstimate::kPrice ? s * average : average;
  const Pack change = fms(hhat_over_ess, c.scale.ess, old_h);  // hhat - h

  // h' = beta2 h + rho hhat + rho^2 (h - hhat)^2 / (2 s), with u = rho (hhat - h).
  const Pack u = min(max(change, s * c.minus_hess_clip), s * c.hess_clip) * c.rho;
  h = max(fma(u, fma(u / s, all<Pack>(0.5), all<Pack>(1.0)), old_h), c.scale.floor);
  g = fma(g, c.beta1, gradient * c.one_minus_beta1);
  const Pack direction = fma(g, c.debias, m * c.scale.delta) / (h + c.scale.delta);
  m = fnma(min(max(direction, c.minus_clip), c.clip), c.step_size, m);
  return not_finite(change, h, g, m);
}
