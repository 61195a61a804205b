// SPDX-License-Identifier: Apache-2.0
//
// Learns from one data set after another, and from parts of the data in different places: the
// posterior of one training is the prior of the next. Also chooses the weight decay from the
// posterior itself.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/options.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// Makes a posterior the prior of an optimizer's parameters: each parameter of the module that the
/// optimizer trains gets the prior N(mean, 1 / precision) that `prior` has under its name. The
/// module's weights stay; apply prior.apply_mean(module) first to start from the prior's mean.
///
/// IVON::set_priors() describes what a prior does. Throws c10::Error as that function does, if
/// `prior` does not fit the module (see Posterior), or if it covers a parameter that the optimizer
/// does not train.
template <class Estimator, class Module>
void set_prior(IVON<Estimator>& optimizer, const Posterior& prior, Module& module) {
  std::vector<ParameterPrior> priors;
  const detail::BoundModule bound = prior.bind(module);
  for (const auto& entry : bound.entries()) {
    priors.push_back({entry.parameter(), entry.mean, entry.precision});
  }
  optimizer.set_priors(priors);
}

/// Returns the prior for the next data set: the mean of `posterior`, and the precision s0 + gamma
/// (s
/// - s0), where s is its precision and s0 that of its own prior. With `gamma` = 1 this is the
/// posterior itself, which is exact Bayesian updating; a smaller one forgets a part of what the
/// data have taught (CoVON, arXiv 2606.24007). `gamma` is > 0 and <= 1.
///
/// Throws c10::Error if `gamma` is out of range, or if it is below 1 and a parameter has no prior.
inline Posterior next_prior(const Posterior& posterior, double gamma = 1) {
  TORCH_CHECK(gamma > 0 && gamma <= 1, "ivon: gamma must be > 0 and <= 1, got ", gamma,
              "; 1 forgets nothing");
  const detail::PlainTensors plain;
  std::vector<PosteriorParameter> parameters;
  for (const PosteriorParameter& from : posterior.parameters()) {
    at::Tensor precision = from.precision;
    if (gamma < 1) {
      TORCH_CHECK(from.prior_precision.defined(), "ivon: gamma < 1 needs a prior, but '", from.name,
                  "' has none; train with weight_decay > 0 or with set_prior()");
      precision = from.prior_precision + (precision - from.prior_precision) * gamma;
    }
    parameters.push_back({from.name, from.mean, precision});
  }
  return Posterior(std::move(parameters), {}, posterior.left_out());
}

/// Sets the weight_decay of each group to the value that makes the group's posterior most probable
/// under the prior (empirical Bayes): ess weight_decay = P / sum(m^2 + v) over the P weights of the
/// group with means m and variances v, which minimises KL(q || prior) with respect to the prior's
/// precision. Call it every few epochs. Groups whose parameters were not sampled yet and parameters
/// with a prior of their own are left alone. Returns the new value of each group, or the old one.
template <class Estimator>
std::vector<double> set_empirical_weight_decay(IVON<Estimator>& optimizer) {
  const detail::PlainTensors plain;
  std::vector<double> values;
  for (auto& group : optimizer.param_groups()) {
    auto& options = static_cast<IVONOptions&>(group.options());
    const detail::PosteriorScale scale = detail::posterior_scale(options);
    double count = 0, squares = 0;
    for (const at::Tensor& parameter : group.params()) {
      if (!parameter.requires_grad() || parameter.numel() == 0) continue;
      if (optimizer.state().count(parameter.unsafeGetTensorImpl()) == 0) continue;
      const IVONParamState& state = optimizer.param_state(parameter);
      if (state.prior_precision().defined()) continue;
      const at::Tensor variance =
          (detail::aten::damped_hess(state.hess(), scale) * scale.ess).reciprocal();
      const at::Tensor mean = optimizer.mean(parameter);
      squares += (mean.square() + variance).sum(at::kDouble).template item<double>();
      count += static_cast<double>(parameter.numel());
    }
    if (count > 0) options.weight_decay(count / squares / options.ess());
    values.push_back(options.weight_decay());
  }
  return values;
}

IVON_NAMESPACE_END
