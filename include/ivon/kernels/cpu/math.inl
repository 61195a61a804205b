// SPDX-License-Identifier: Apache-2.0
// THE equations of IVON for a pack of elements; docs/algorithm.md numbers the steps. Included
// inside a namespace that has F, U and M.
//
// m mean, h hess, g momentum, s = h + delta, hhat the Hessian estimate of this step. Every
// multiply-add is an explicit FMA, so that nothing is left for a compiler to contract: all
// instruction sets give the same bits.

/// PosteriorScale in float32, one value in all lanes.
struct Scale {
  F ess, delta, floor;
  IVON_ALWAYS_INLINE explicit Scale(const PosteriorScale& scale)
      : ess(set(static_cast<float>(scale.ess))),
        delta(set(static_cast<float>(scale.weight_decay))),
        floor(set(static_cast<float>(scale.hess_floor))) {}
};

/// theta - m = eps / sqrt(lambda (h + delta)) for standard normals eps.
IVON_ALWAYS_INLINE F deviation(F h, F normal, const Scale& scale) {
  return normal / sqrt((max(h, scale.floor) + scale.delta) * scale.ess);
}

/// UpdateCoefficients in float32.
struct Coefficients {
  Scale scale;
  F beta1, one_minus_beta1, rho, hess_clip, minus_hess_clip, debias, step_size, clip, minus_clip;
  IVON_ALWAYS_INLINE explicit Coefficients(const UpdateCoefficients& c)
      : scale(c.scale),
        beta1(set(static_cast<float>(c.beta1))),
        one_minus_beta1(set(static_cast<float>(1.0 - c.beta1))),
        rho(set(static_cast<float>(c.rho))),
        hess_clip(set(static_cast<float>(c.hess_clip))),
        minus_hess_clip(set(static_cast<float>(-c.hess_clip))),
        debias(set(static_cast<float>(c.debias))),
        step_size(set(static_cast<float>(c.step_size))),
        clip(set(static_cast<float>(c.clip_radius))),
        minus_clip(set(static_cast<float>(-c.clip_radius))) {}
};

/// Lanes in which one of the values is infinite or not a number. Looks at bits: under -ffast-math
/// comparisons of values may be optimised away.
IVON_ALWAYS_INLINE M not_finite(F a, F b, F c, F d) {
  const U magnitude = set(0x7FFFFFFFu);
  const U largest = max(max(as_words(a) & magnitude, as_words(b) & magnitude),
                        max(as_words(c) & magnitude, as_words(d) & magnitude));
  return at_least(largest, set(0x7F800000u));
}

/// What is averaged over the samples of a step.
template <FusedEstimate estimate>
IVON_ALWAYS_INLINE F statistic(F theta_minus_m, F gradient) {
  return estimate == FusedEstimate::kPrice ? theta_minus_m * gradient : gradient * gradient;
}

/// Steps 2 to 5; `average` is the statistic's. Returns the lanes that must keep their old m, h and
/// g.
template <FusedEstimate estimate>
IVON_ALWAYS_INLINE M update(F& m, F& h, F& g, F average, F gradient, const Coefficients& c) {
  const F old_h = max(h, c.scale.floor);
  const F s = old_h + c.scale.delta;
  const F hhat_over_ess = estimate == FusedEstimate::kPrice ? s * average : average;
  const F change = fms(hhat_over_ess, c.scale.ess, old_h);  // hhat - h

  // h' = beta2 h + rho hhat + rho^2 (h - hhat)^2 / (2 s), with u = rho (hhat - h).
  const F u = min(max(change, s * c.minus_hess_clip), s * c.hess_clip) * c.rho;
  h = max(fma(u, fma(u / s, set(0.5f), set(1.0f)), old_h), c.scale.floor);
  g = fma(g, c.beta1, gradient * c.one_minus_beta1);
  const F direction = fma(g, c.debias, m * c.scale.delta) / (h + c.scale.delta);
  m = fnma(min(max(direction, c.minus_clip), c.clip), c.step_size, m);
  return not_finite(change, h, g, m);
}
