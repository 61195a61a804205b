// SPDX-License-Identifier: Apache-2.0
// The passes over one parameter as tensor expressions: draw a sample, and update from a sample or
// from sums.
#pragma once

#include <ATen/core/Tensor.h>

#include <ivon/dispatch/normals.hpp>
#include <ivon/dispatch/tensor_update.hpp>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// What the update of one parameter uses: one sample and its gradient, or sums over several
/// samples.
struct Evidence {
  StatisticFrom from;
  Drawing drawing;
  at::Tensor theta;          // the sample; not read with kSums
  at::Tensor gradient;       // at theta, in the parameter's dtype and memory order; not with kSums
  at::Tensor gradient_sum;   // kSums: over the samples, in the state's dtype
  at::Tensor statistic_sum;  // kSums: the sum of the estimator's statistic over the samples
  double samples = 1;
};

namespace aten {

/// Returns m in the state's dtype. For bfloat16 and float16 parameters it is a new tensor.
inline at::Tensor full_mean(const PosteriorTensors& posterior) {
  return posterior.wide_mean.defined() ? adopted(posterior.mean, posterior.wide_mean)
                                       : posterior.mean;
}

inline Prior prior_of(const at::Tensor& mean, const at::Tensor& precision,
                      const PosteriorScale& scale) {
  if (!precision.defined()) return {};
  return {mean, precision / scale.ess};
}
inline Prior prior_of(const PosteriorTensors& posterior, const PosteriorScale& scale) {
  return prior_of(posterior.prior_mean, posterior.prior_precision, scale);
}

inline void draw(const PosteriorTensors& posterior, const at::Tensor& theta,
                 const Drawing& drawing) {
  const at::Tensor normals =
      standard_normal(posterior.mean, drawing.noise, posterior.hess.scalar_type());
  sample(full_mean(posterior), posterior.hess, normals, drawing.scale, theta,
         prior_of(posterior, drawing.scale));
}

/// Returns theta - m of one sample in the state's dtype, or an undefined tensor for an estimator
/// that does not read it.
template <class E>
at::Tensor deviation_of(const PosteriorTensors& posterior, const Evidence& evidence) {
  if constexpr (!E::kUsesDeviation) return {};
  const auto dtype = posterior.hess.scalar_type();
  if (evidence.from != StatisticFrom::kNoise) {
    return evidence.theta.to(dtype) - full_mean(posterior);
  }
  // The noise has the memory order of the sample, because the memory order of the mean may have
  // changed since.
  const at::Tensor normals = standard_normal(evidence.theta, evidence.drawing.noise, dtype);
  return deviation(posterior.hess, normals, evidence.drawing.scale,
                   prior_of(posterior, evidence.drawing.scale));
}

template <class E>
void update_from(const PosteriorTensors& posterior, const at::Tensor& momentum,
                 const Evidence& evidence, const UpdateCoefficients& coefficients,
                 const at::Tensor& skipped) {
  const bool sums = evidence.from == StatisticFrom::kSums;
  const auto dtype = posterior.hess.scalar_type();
  const at::Tensor gradient =
      sums ? evidence.gradient_sum / evidence.samples : evidence.gradient.to(dtype);
  const at::Tensor average = sums ? evidence.statistic_sum / evidence.samples
                                  : E::statistic(deviation_of<E>(posterior, evidence), gradient);
  const at::Tensor mean = full_mean(posterior);
  update<E>(mean, posterior.hess, momentum, gradient, average, coefficients, skipped,
            prior_of(posterior, coefficients.scale));
  if (posterior.wide_mean.defined()) {
    posterior.wide_mean.copy_(mean);
    posterior.mean.copy_(mean);
  }
}

}  // namespace aten

}  // namespace detail
IVON_NAMESPACE_END
