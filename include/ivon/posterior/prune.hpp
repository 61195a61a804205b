// SPDX-License-Identifier: Apache-2.0
// Removes the weights that the posterior knows least about.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// Among which weights prune() looks for those with the lowest signal-to-noise ratio.
enum class PruneScope {
  kAllParameters,  ///< all weights of the posterior together
  kEachParameter   ///< the weights of each parameter on their own, the same fraction of each
};

/// The precision of a pruned weight, in float32 as in float64. Its noise has the standard deviation
/// 2^-60, about 1e-18, which no sum with weights of usual size notices. A larger precision would
/// overflow when it is tempered, merged or converted to float32.
inline constexpr double kPrunedPrecision = 0x1p120;

namespace detail {

/// Returns which elements are the `fraction` with the lowest values: a bool tensor in the shape of
/// `values`, of one dimension, with floor(fraction * count) times true. Of equal values the first
/// are taken.
inline at::Tensor lowest(const at::Tensor& values, double fraction) {
  const auto count =
      static_cast<int64_t>(std::floor(fraction * static_cast<double>(values.numel())));
  const at::Tensor order = at::argsort(values, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  at::Tensor chosen = at::zeros(values.sizes(), values.options().dtype(at::kBool));
  chosen.index_fill_(0, order.slice(0, 0, count), true);
  return chosen;
}

}  // namespace detail

/// Returns the posterior without the `fraction` of weights that have the lowest signal-to-noise
/// ratio |mean| sqrt(precision) (Graves 2011, "Practical variational inference for neural
/// networks"; Blundell et al. 2015, arXiv 1505.05424). Exactly
/// floor(fraction * count) weights get the mean 0 and the precision kPrunedPrecision; of equal
/// ratios the first in the order of the posterior are taken. All other weights and the prior stay,
/// and so does the effective sample size. The noise of the result starts from its beginning with
/// the seed 0.
///
/// `fraction` is between 0 and 1. Besides the result, whose means and precisions are new tensors,
/// this needs on the CPU 24 bytes for each float32 weight that is ranked and 32 for a float64 one:
/// for all weights with kAllParameters, for those of one parameter at a time with kEachParameter.
///
/// The result's kl() is very large or infinite: a weight without noise has no density.
///
/// Throws c10::Error if `fraction` is outside of [0, 1].
inline Posterior prune(const Posterior& q, double fraction,
                       PruneScope scope = PruneScope::kAllParameters) {
  TORCH_CHECK(fraction >= 0 && fraction <= 1, "ivon: fraction must be in [0, 1], got ", fraction,
              "; it is the share of weights to remove");
  const detail::PlainTensors plain;
  std::vector<PosteriorParameter> parameters = q.parameters();
  const auto ratios = [&](const PosteriorParameter& p) {
    return q.signal_to_noise(p.name).reshape({-1});
  };
  at::Tensor chosen;  // of all weights, one after the other; only for kAllParameters
  if (scope == PruneScope::kAllParameters && !parameters.empty()) {
    std::vector<at::Tensor> all;
    all.reserve(parameters.size());
    for (const PosteriorParameter& p : parameters) {
      all.push_back(ratios(p).to(parameters.front().mean.device()));
    }
    const at::Tensor joined = at::cat(all);
    all.clear();
    chosen = detail::lowest(joined, fraction);
  }
  int64_t begin = 0;
  for (PosteriorParameter& p : parameters) {
    const int64_t end = begin + p.mean.numel();
    const at::Tensor mask = chosen.defined() ? chosen.slice(0, begin, end).to(p.mean.device())
                                             : detail::lowest(ratios(p), fraction);
    begin = end;
    p.mean = p.mean.masked_fill(mask.view(p.mean.sizes()), 0);
    p.precision = p.precision.masked_fill(mask.view(p.mean.sizes()), kPrunedPrecision);
  }
  const std::optional<double> ess = q.has_ess() ? std::optional<double>(q.ess()) : std::nullopt;
  return Posterior(std::move(parameters), ess, q.left_out());
}

IVON_NAMESPACE_END
