// SPDX-License-Identifier: Apache-2.0
//
// These functions measure how good predicted distributions and intervals of real numbers are.
//
// All tensors are floating point and lie on one device; their dtypes may differ. `targets` is [N]
// with N >= 1 and holds the observed numbers, all finite. What is in the unit of the targets is
// marked so. The functions sum in float64, wait for the device, and throw c10::Error if a tensor is
// not as described. docs/metrics.md tells how the tests check them.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <ivon/posterior/metrics/checks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

namespace detail {

// The sums over one batch; the metrics follow from these sums and the number of examples. The
// tensors have passed the checks.

inline constexpr double kTwoPi = 6.283185307179586477;

inline double squared_error_sum(const at::Tensor& mean, const at::Tensor& targets) {
  return (targets.to(at::kDouble) - mean.to(at::kDouble)).square().sum().item<double>();
}

inline double gaussian_nll_sum(const at::Tensor& mean, const at::Tensor& variance,
                               const at::Tensor& targets) {
  const at::Tensor v = variance.to(at::kDouble);
  const at::Tensor squared = (targets.to(at::kDouble) - mean.to(at::kDouble)).square();
  return 0.5 * (squared / v + v.log() + std::log(kTwoPi)).sum().item<double>();
}

// E|X| for X ~ N(mean, variance), element by element, float64 (the function A of Grimit et al.
// 2006). It is |mean| where the variance is 0.
inline at::Tensor expected_size(const at::Tensor& mean, const at::Tensor& variance) {
  const at::Tensor sigma = variance.sqrt();
  const at::Tensor z = (mean / sigma).nan_to_num(0.0);  // 0 / 0; infinities become large numbers
  return sigma * (z.square() * -0.5).exp() * (2 / std::sqrt(kTwoPi)) +
         mean * (z * std::sqrt(0.5)).erf();
}

// `means` and `variances` are [S, N].
inline double crps_mixture_sum(const at::Tensor& means, const at::Tensor& variances,
                               const at::Tensor& targets) {
  const at::Tensor m = means.to(at::kDouble);
  const at::Tensor v = variances.to(at::kDouble);
  const int64_t components = m.size(0);
  const double count = static_cast<double>(components);
  const double to_target = expected_size(targets.to(at::kDouble) - m, v).sum().item<double>();
  // One component at a time against the later ones, so that the memory is S N and not S^2 N. Two
  // independent draws of the same component are like draws of two equal components.
  double between = expected_size(m - m, v * 2).sum().item<double>();
  for (int64_t i = 0; i + 1 < components; ++i) {
    const at::Tensor later = expected_size(m.slice(0, i + 1) - m[i], v.slice(0, i + 1) + v[i]);
    between += 2 * later.sum().item<double>();
  }
  return to_target / count - between / (2 * count * count);
}

// A Gaussian is a mixture of one component.
inline double crps_gaussian_sum(const at::Tensor& mean, const at::Tensor& variance,
                                const at::Tensor& targets) {
  return crps_mixture_sum(mean.unsqueeze(0), variance.unsqueeze(0), targets);
}

inline void check_interval(const at::Tensor& lower, const at::Tensor& upper) {
  check_no_nan("lower", lower);
  check_no_nan("upper", upper);
  const int64_t crossed = (lower > upper).sum().item<int64_t>();
  TORCH_CHECK(crossed == 0, "ivon: lower must be <= upper, got ", crossed, " of ", lower.numel(),
              " that are not; exchange the bounds");
}

}  // namespace detail

/// Returns the root mean squared error, >= 0, in the unit of the targets.
///
/// `mean` and `targets` are [N] with N >= 1, floating point, finite, on one device. Throws
/// c10::Error if a tensor is not as described.
inline double rmse(const at::Tensor& mean, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_mean_and_targets(mean, targets);
  return std::sqrt(detail::squared_error_sum(mean, targets) / static_cast<double>(targets.size(0)));
}

/// Returns the mean negative log-density of the targets under Gaussians, in nats per example: the
/// mean of log(2 pi variance) / 2 + (target - mean)^2 / (2 variance).
///
/// The result depends on the unit of the targets and can be negative. `mean`, `variance` and
/// `targets` are [N] with N >= 1, floating point, finite, on one device. The variances are greater
/// than 0; they are those of the targets, so they include the noise of the observations. Throws
/// c10::Error if a tensor is not as described.
inline double gaussian_nll(const at::Tensor& mean, const at::Tensor& variance,
                           const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_gaussians(mean, variance, targets, /*zero_variance_allowed=*/false);
  return detail::gaussian_nll_sum(mean, variance, targets) / static_cast<double>(targets.size(0));
}

/// Returns the mean continuous ranked probability score (CRPS) of Gaussians, >= 0, in the unit of
/// the targets: the mean of the integral of (F(x) - [x >= target])^2 over x, where F is the
/// predicted distribution function, in closed form (section 4.2 of Gneiting and Raftery 2007, with
/// the sign changed so that smaller is better).
///
/// The shapes and dtypes are those of gaussian_nll(). A variance may be 0; the example then
/// contributes |target - mean|. Throws c10::Error if a tensor is not as described.
inline double crps_gaussian(const at::Tensor& mean, const at::Tensor& variance,
                            const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_gaussians(mean, variance, targets, /*zero_variance_allowed=*/true);
  return detail::crps_gaussian_sum(mean, variance, targets) / static_cast<double>(targets.size(0));
}

/// Returns the mean CRPS of mixtures of S equally weighted Gaussians, >= 0, in the unit of the
/// targets, in closed form (Grimit et al. 2006). The predictions of S samples of the posterior are
/// such a mixture.
///
/// `means` and `variances` are [S, N] with S >= 1, `targets` is [N] with N >= 1; all are floating
/// point, finite and on one device. A variance may be 0: with all variances 0 the result is the
/// CRPS of the empirical distribution of the means. The time is proportional to S^2 N, and the
/// memory to S N. Throws c10::Error if a tensor is not as described.
inline double crps_mixture(const at::Tensor& means, const at::Tensor& variances,
                           const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_vector("targets", targets);
  detail::check_finite("targets", targets);
  detail::check_components("means", means, targets);
  detail::check_components("variances", variances, targets);
  TORCH_CHECK(means.sizes() == variances.sizes(), "ivon: variances must have the shape of means, ",
              means.sizes(), ", got ", variances.sizes(), "; use variances.expand_as(means)");
  detail::check_variance_range("variances", variances, /*zero_allowed=*/true);
  return detail::crps_mixture_sum(means, variances, targets) / static_cast<double>(targets.size(0));
}

/// Returns the fraction of targets that lie in their interval, 0 to 1. Both bounds belong to the
/// interval.
///
/// `lower`, `upper` and `targets` are [N] with N >= 1, floating point, on one device, and lower <=
/// upper. A bound may be infinite. Throws c10::Error if a tensor is not as described or holds NaN.
inline double interval_coverage(const at::Tensor& lower, const at::Tensor& upper,
                                const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_vector("targets", targets);
  detail::check_like_targets("lower", lower, targets);
  detail::check_like_targets("upper", upper, targets);
  detail::check_finite("targets", targets);
  detail::check_interval(lower, upper);
  const at::Tensor inside = (lower <= targets).logical_and(targets <= upper);
  return inside.to(at::kDouble).mean().item<double>();
}

/// Returns the mean width of intervals, >= 0, in the unit of the targets.
///
/// `lower` and `upper` are [N] with N >= 1, floating point, finite, on one device, and lower <=
/// upper. Throws c10::Error if a tensor is not as described.
inline double interval_width(const at::Tensor& lower, const at::Tensor& upper) {
  const c10::NoGradGuard no_grad;
  detail::check_vector("lower", lower);
  detail::check_vector("upper", upper);
  TORCH_CHECK(lower.sizes() == upper.sizes(), "ivon: upper must have the shape of lower, ",
              lower.sizes(), ", got ", upper.sizes(), "; give one pair of bounds an example");
  detail::check_device("upper", upper, "lower", lower);
  detail::check_finite("lower", lower);
  detail::check_finite("upper", upper);
  detail::check_interval(lower, upper);
  return (upper.to(at::kDouble) - lower.to(at::kDouble)).mean().item<double>();
}

IVON_NAMESPACE_END
