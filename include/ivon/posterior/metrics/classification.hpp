// SPDX-License-Identifier: Apache-2.0
//
// These functions measure how good a classifier's probabilities are: accuracy, top-k accuracy,
// negative log-likelihood (NLL) and Brier score.
//
// All of them are pure functions of the same two tensors, which must lie on one device:
//   probs    [N, C], floating point, N >= 1, C >= 1; each row is >= 0 and sums to 1. The field
//            Prediction::probs of a batch is such a tensor.
//   targets  [N], int64, class indices in [0, C).
// They sum in float64 and wait for the device. They throw c10::Error if a tensor is not as
// described here; a row may miss the sum of 1 by 1e-3, or by 2e-2 in a 16-bit type. NaN is an error
// as well. docs/metrics.md compares the conventions with those of torchmetrics and scikit-learn.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/max.h>

#include <cstdint>
#include <ivon/posterior/metrics/checks.hpp>
#include <ivon/version.hpp>
#include <limits>
#include <tuple>

IVON_NAMESPACE_BEGIN

namespace detail {

// The sums over one batch; the metrics are these sums over the number of examples. The tensors have
// passed check_probs_and_targets().

// The most probable class of each example.
struct Top1 {
  at::Tensor confidence;  // [N] in the dtype of probs: the probability of that class
  at::Tensor correct;     // [N] bool: whether that class is the target
};

inline Top1 top1(const at::Tensor& probs, const at::Tensor& targets) {
  // max() returns the first index of equal values.
  at::Tensor confidence, predicted;
  std::tie(confidence, predicted) = at::max(probs, 1);
  return {confidence, predicted == targets};
}

inline double correct_sum(const Top1& top) { return top.correct.sum().item().toDouble(); }

// The number of examples for which fewer than k classes come before the target.
inline double top_k_sum(const at::Tensor& probs, const at::Tensor& targets, int64_t k) {
  const at::Tensor index = targets.unsqueeze(1);
  const at::Tensor of_target = probs.gather(1, index);
  const at::Tensor lower = at::arange(probs.size(1), index.options()).unsqueeze(0) < index;
  const at::Tensor before = (probs > of_target).logical_or(probs.eq(of_target).logical_and(lower));
  return (before.sum(1) < k).sum().item().toDouble();
}

inline double nll_sum(const at::Tensor& probs, const at::Tensor& targets) {
  const at::Tensor of_target = probs.gather(1, targets.unsqueeze(1)).to(at::kDouble);
  // The bound is the same for every dtype, so that doubles and floats give the same figure.
  constexpr double kLeast = std::numeric_limits<float>::min();
  return -of_target.clamp_min(kLeast).log().sum().item<double>();
}

inline double brier_sum(const at::Tensor& probs, const at::Tensor& targets) {
  at::Tensor residual = probs.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  const at::Tensor index = targets.unsqueeze(1);
  residual.scatter_(1, index, residual.gather(1, index) - 1);
  return residual.square().sum(1).sum().item<double>();
}

}  // namespace detail

/// Returns the fraction of examples whose most probable class is the target, 0 to 1.
///
/// `probs` is [N, C] with N >= 1 and C >= 1, floating point; each row is >= 0 and sums to 1.
/// `targets` is [N], int64, with class indices in [0, C). Both are on one device. Among equally
/// probable classes the one with the lowest index counts as predicted.
///
/// Throws c10::Error if a tensor is not as described or holds NaN. A row may miss the sum of 1 by
/// 1e-3, or by 2e-2 if `probs` is of a 16-bit type.
inline double accuracy(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  return detail::correct_sum(detail::top1(probs, targets)) / static_cast<double>(probs.size(0));
}

/// Returns the fraction of examples whose target is among the `k` most probable classes, 0 to 1.
///
/// Among equally probable classes those with the lowest indices come first, so that `k` = 1 gives
/// accuracy(). `probs` is [N, C] and `targets` is [N], as for accuracy(). `k` is 1 to C. Throws
/// c10::Error if `k` is not, and where accuracy() does.
inline double top_k_accuracy(const at::Tensor& probs, const at::Tensor& targets, int64_t k) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  detail::check_top_k(k, probs.size(1));
  return detail::top_k_sum(probs, targets, k) / static_cast<double>(probs.size(0));
}

/// Returns the mean negative log-likelihood of the targets, in nats per example: the mean of
/// -log(probs[n, targets[n]]).
///
/// A probability below the smallest normal float, 1.18e-38, counts as that number, so the result is
/// at most about 87.3. `probs` is [N, C] and `targets` is [N], as for accuracy(), which also tells
/// what is thrown.
inline double nll(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  return detail::nll_sum(probs, targets) / static_cast<double>(probs.size(0));
}

/// Returns the Brier score, 0 to 2: the squared distance between the probabilities and the one-hot
/// target, summed over the classes and averaged over the examples (Brier 1950).
///
/// Some texts average over the classes as well, or use only one of two classes; their figures are
/// smaller. `probs` is [N, C] and `targets` is [N], as for accuracy(), which also tells what is
/// thrown.
inline double brier(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  return detail::brier_sum(probs, targets) / static_cast<double>(probs.size(0));
}

IVON_NAMESPACE_END
