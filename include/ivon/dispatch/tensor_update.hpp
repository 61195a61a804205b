// SPDX-License-Identifier: Apache-2.0
// The equations of IVON as tensor expressions, for any device and dtype. Tests compare all kernels
// with them.
//
// In formulas m is the mean, h the Hessian diagonal, g the momentum, s = h + delta (`damped_hess`),
// and hhat the Hessian estimate of this step. All tensors of one call have one shape, device and
// dtype (float32 or float64), except where a comment says otherwise. Only + - * / sqrt and
// comparisons are used, each of which rounds once, so results do not depend on the number of
// threads. Callers must hold a NoGradGuard.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::aten {

/// The prior of one parameter. If `delta` is undefined, it is that of weight_decay: delta =
/// weight_decay and the mean 0. Otherwise `delta` is the prior's precision over lambda, and
/// weight_decay is 0.
struct Prior {
  at::Tensor mean;   // undefined: 0
  at::Tensor delta;  // of the parameter's shape or 0-dimensional
};

/// Returns h + delta.
inline at::Tensor plus_delta(const at::Tensor& hess, const PosteriorScale& scale,
                             const Prior& prior) {
  return prior.delta.defined() ? hess + prior.delta : hess + scale.weight_decay;
}

/// Returns h, at least as large as PosteriorScale says.
inline at::Tensor floored_hess(const at::Tensor& hess, const PosteriorScale& scale,
                               const Prior& prior) {
  if (!prior.delta.defined()) return hess.clamp_min(scale.hess_floor);
  return at::maximum(hess, prior.delta * (PosteriorScale::kFloorOfDelta - 1) + scale.hess_floor);
}

/// Returns h + delta, which is > 0.
inline at::Tensor damped_hess(const at::Tensor& hess, const PosteriorScale& scale,
                              const Prior& prior = {}) {
  return plus_delta(floored_hess(hess, scale, prior), scale, prior);
}

/// Returns theta - m = eps / sqrt(lambda (h + delta)) for standard normals eps.
inline at::Tensor deviation(const at::Tensor& hess, const at::Tensor& normals,
                            const PosteriorScale& scale, const Prior& prior = {}) {
  return normals / (damped_hess(hess, scale, prior) * scale.ess).sqrt();
}

/// Writes theta, rounded to its own dtype.
inline void sample(const at::Tensor& mean, const at::Tensor& hess, const at::Tensor& normals,
                   const PosteriorScale& scale, const at::Tensor& theta, const Prior& prior = {}) {
  theta.copy_(mean + deviation(hess, normals, scale, prior));
}

/// Returns the float32 mean of a bfloat16 or float16 parameter as a new tensor. Where the parameter
/// holds the rounding of `mean`, this is `mean`. Elsewhere the program wrote to the parameter, and
/// what it wrote is the mean.
inline at::Tensor adopted(const at::Tensor& parameter, const at::Tensor& mean) {
  return at::where(parameter == mean.to(parameter.scalar_type()), mean,
                   parameter.to(mean.scalar_type()));
}

/// Returns h' as step 4 of docs/algorithm.md says.
inline at::Tensor without_damping(const at::Tensor& hess, const at::Tensor& hhat,
                                  const UpdateCoefficients& c, const Prior& prior) {
  const at::Tensor h = floored_hess(hess, c.scale, prior);
  const at::Tensor s = plus_delta(h, c.scale, prior);
  // h' = beta2 h + (1 - beta2) hhat + (1 - beta2)^2 (h - hhat)^2 / (2 s), computed with
  // u = (1 - beta2) (hhat - h).
  at::Tensor change = hhat - h;
  if (std::isfinite(c.hess_clip)) {
    const at::Tensor bound = s * c.hess_clip;
    change = at::minimum(at::maximum(change, -bound), bound);
  }
  const at::Tensor u = change * c.one_minus_beta2;
  return floored_hess(h + u * (u / s * 0.5 + 1.0), c.scale, prior);
}

/// Returns h' as docs/algorithm.md says under "Damping".
inline at::Tensor with_damping(const at::Tensor& hess, const at::Tensor& hhat,
                               const at::Tensor& gradient, const UpdateCoefficients& c) {
  const at::Tensor h = hess.clamp_min(c.smallest_hess);
  const at::Tensor square = h * h * c.kept_square + gradient * gradient * c.square_weight;
  at::Tensor clipped = hhat;
  if (std::isfinite(c.hess_clip)) {
    const at::Tensor bound = h * c.hess_clip;
    clipped = at::minimum(at::maximum(hhat, -bound), bound);
  }
  const at::Tensor change = h * clipped * c.one_minus_beta2;
  const at::Tensor bounded = at::minimum(at::maximum(change, square * -0.75), square * 3.0);
  return (square + bounded).sqrt().clamp_min(c.smallest_hess);
}

/// Returns the direction of the step, before it is clipped: the debiased (g + delta m) / (h +
/// delta), with the distance from the prior's mean in place of m.
inline at::Tensor step_direction(const at::Tensor& mean, const at::Tensor& hess,
                                 const at::Tensor& momentum, const UpdateCoefficients& c,
                                 const Prior& prior = {}) {
  const at::Tensor distance = prior.mean.defined() ? mean - prior.mean : mean;
  const at::Tensor pull =
      prior.delta.defined() ? distance * prior.delta : distance * c.scale.weight_decay;
  return (momentum * c.debias + pull) / plus_delta(hess, c.scale, prior);
}

/// Updates m, h and g in place from the averages over the samples of the step: the gradient and the
/// estimator's statistic. An element whose gradient, hhat or result is not finite keeps all three
/// and is counted in `skipped` (int64, 0-dim, same device).
template <class Estimator>
void update(const at::Tensor& mean, const at::Tensor& hess, const at::Tensor& momentum,
            const at::Tensor& gradient, const at::Tensor& statistic, const UpdateCoefficients& c,
            const at::Tensor& skipped, const Prior& prior = {}) {
  const at::Tensor hhat =
      Estimator::hessian(damped_hess(hess, c.scale, prior), statistic) * c.scale.ess;
  const at::Tensor new_hess =
      is_damped(c) ? with_damping(hess, hhat, gradient, c) : without_damping(hess, hhat, c, prior);
  const at::Tensor new_momentum = momentum * c.beta1 + gradient * c.one_minus_beta1;

  at::Tensor direction = step_direction(mean, new_hess, new_momentum, c, prior);
  if (std::isfinite(c.clip_radius)) direction = direction.clamp(-c.clip_radius, c.clip_radius);
  const at::Tensor new_mean = mean * c.kept_mean - direction * c.step_size;

  const at::Tensor finite = at::isfinite(hhat)
                                .logical_and_(at::isfinite(new_hess))
                                .logical_and_(at::isfinite(new_momentum))
                                .logical_and_(at::isfinite(new_mean));
  // All memory is allocated before the first write, so that a lack of memory leaves everything
  // unchanged.
  const at::Tensor left_alone = finite.logical_not().sum();
  const at::Tensor kept_hess = at::where(finite, new_hess, hess);
  const at::Tensor kept_momentum = at::where(finite, new_momentum, momentum);
  const at::Tensor kept_mean = at::where(finite, new_mean, mean);
  skipped.add_(left_alone);
  hess.copy_(kept_hess);
  momentum.copy_(kept_momentum);
  mean.copy_(kept_mean);
}

}  // namespace detail::aten
IVON_NAMESPACE_END
