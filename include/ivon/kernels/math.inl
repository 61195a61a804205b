// SPDX-License-Identifier: Apache-2.0
// The equations of IVON for a pack of elements: sixteen floats or doubles on a CPU, one on a GPU.
// docs/algorithm.md numbers the steps. Included inside a namespace that has Floats, Doubles, Words
// and Mask.
//
// In formulas m is the mean, h the Hessian diagonal, g the momentum, s = h + delta, and hhat the
// Hessian estimate of this step. Every multiply-add is an explicit FMA, so that a compiler can
// contract nothing and all instruction sets give the same bits.

/// Returns a pack with one value in all lanes.
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

/// The sampled weight theta minus the posterior mean m: normal / sqrt(lambda (h + delta)), where h
/// is the Hessian and `scale` holds lambda (ess) and delta (weight decay).
template <class Pack>
IVON_ALWAYS_INLINE Pack deviation(Pack h, Pack normal, const Scale<Pack>& scale) {
  return normal / sqrt((max(h, scale.floor) + scale.delta) * scale.ess);
}

/// UpdateCoefficients in the pack's precision. The two flags leave out operations that would change
/// nothing; a branch on them costs less, because it always goes the same way. On a GPU memory is
/// the limit, and the branches would cost registers.
template <class Pack>
struct PackedCoefficients {
  Scale<Pack> scale;
#if defined(IVON_CUDA_TEXT)
  static constexpr bool unlimited = false, small_changes = false;
#else
  bool unlimited;      // both clips are infinite, and the mean does not decay
  bool small_changes;  // with damping: hess_clip alone keeps the change of h^2 within its bounds
#endif
#define IVON_COEFFICIENT(name, value) Pack name;
#include <ivon/kernels/coefficient_list.inl>
#undef IVON_COEFFICIENT

  IVON_ALWAYS_INLINE explicit PackedCoefficients(const UpdateCoefficients& c)
      : scale(c.scale)
#if !defined(IVON_CUDA_TEXT)
        ,
        unlimited(c.hess_clip > 1.7e308 && c.clip_radius > 1.7e308 && c.kept_mean == 1),
        small_changes(c.one_minus_beta2 * c.hess_clip <= 0.5 * c.kept_square)
#endif
#define IVON_COEFFICIENT(name, value) , name(all<Pack>(c.name))
#include <ivon/kernels/coefficient_list.inl>
#undef IVON_COEFFICIENT
  {
  }
};

/// Returns the lanes in which one of the values is infinite or NaN. It looks at exponent bits,
/// because under -ffast-math a compiler may remove comparisons of values.
template <class Pack>
IVON_ALWAYS_INLINE Mask not_finite(Pack a, Pack b, Pack c, Pack d) {
  const Words magnitude = set(0x7FFFFFFFu);
  const Words largest = max(max(upper_words(a) & magnitude, upper_words(b) & magnitude),
                            max(upper_words(c) & magnitude, upper_words(d) & magnitude));
  return at_least(largest, set(sizeof(typename Pack::Number) == 4 ? 0x7F800000u : 0x7FF00000u));
}

/// Updates h as step 4 of docs/algorithm.md says. `s` is the old h + delta. Returns hhat - h.
template <class Pack>
IVON_ALWAYS_INLINE Pack update_hess(Pack& h, Pack s, Pack hhat_over_ess,
                                    const PackedCoefficients<Pack>& c) {
  const Pack old_h = max(h, c.scale.floor);
  const Pack change = fms(hhat_over_ess, c.scale.ess, old_h);
  // h' = beta2 h + (1 - beta2) hhat + (1 - beta2)^2 (h - hhat)^2 / (2 s), computed with
  // u = (1 - beta2) (hhat - h).
  Pack limited = change;
  if (!c.unlimited) limited = min(max(change, s * c.minus_hess_clip), s * c.hess_clip);
  const Pack u = limited * c.one_minus_beta2;
  h = max(fma(u, fma(u / s, all<Pack>(0.5), all<Pack>(1.0)), old_h), c.scale.floor);
  return change;
}

/// Updates h with damping, as docs/algorithm.md says under "Damping". Returns hhat.
template <class Pack>
IVON_ALWAYS_INLINE Pack update_damped_hess(Pack& h, Pack hhat_over_ess, Pack gradient,
                                           const PackedCoefficients<Pack>& c) {
  const Pack old_h = max(h, c.smallest_hess);
  const Pack hhat = hhat_over_ess * c.scale.ess;
  const Pack clipped = min(max(hhat, old_h * c.minus_hess_clip), old_h * c.hess_clip);
  // h'^2 is the mean square of D ghat, plus (1 - beta2) h hhat, which changes it at most by the
  // factors 1/4 and 4.
  const Pack square = fma(gradient * gradient, c.square_weight, old_h * old_h * c.kept_square);
  // The FMA with 0 is a product that a compiler cannot contract with the sum below.
  const Pack change = fma(old_h * clipped, c.one_minus_beta2, all<Pack>(0.0));
  Pack bounded = change;
  if (!c.small_changes) {
    bounded = min(max(change, square * all<Pack>(-0.75)), square * all<Pack>(3.0));
  }
  h = max(sqrt(square + bounded), c.smallest_hess);
  return hhat;
}

/// Does steps 2 to 5 of docs/algorithm.md. `average` is the mean of the estimator's statistic over
/// the samples, and `Estimator` is one of kernels/estimators.inl. Returns a value that is finite
/// where hhat is finite. Lanes in which it, m, h or g is not finite must keep their old m, h and g.
template <class Estimator, bool damped, class Pack>
IVON_ALWAYS_INLINE Pack update(Pack& m, Pack& h, Pack& g, Pack average, Pack gradient,
                               const PackedCoefficients<Pack>& c) {
  const Pack s = max(h, c.scale.floor) + c.scale.delta;
  const Pack hhat_over_ess = Estimator::hessian(s, average);
  Pack estimate;  // not finite where hhat is not finite
  if constexpr (damped) {
    estimate = update_damped_hess(h, hhat_over_ess, gradient, c);
  } else {
    estimate = update_hess(h, s, hhat_over_ess, c);
  }
  g = fma(g, c.beta1, gradient * c.one_minus_beta1);
  const Pack direction = fma(g, c.debias, m * c.scale.delta) / (h + c.scale.delta);
  if (c.unlimited) {
    m = fnma(direction, c.step_size, m);
  } else {
    const Pack clipped = min(max(direction, c.minus_clip_radius), c.clip_radius);
    m = fnma(clipped, c.step_size, m * c.kept_mean);
  }
  return estimate;
}
