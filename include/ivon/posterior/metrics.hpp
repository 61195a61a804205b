// SPDX-License-Identifier: Apache-2.0
//
// These functions measure how good a classifier's probabilities are: accuracy, negative
// log-likelihood (NLL), Brier score, expected calibration error (ECE) and reliability bins.
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
#include <ATen/ops/bincount.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/max.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/version.hpp>
#include <limits>
#include <tuple>

IVON_NAMESPACE_BEGIN

/// The data of a reliability diagram: for each bin of confidence, how confident the model was and
/// how often it was right. All tensors are on the CPU. reliability_bins() makes it.
struct ReliabilityBins {
  /// [bins], int64. The number of examples whose confidence falls into the bin. The sum is N.
  at::Tensor count;
  /// [bins], float64, 0 to 1. The mean confidence of these examples, or 0 where `count` is 0.
  at::Tensor confidence;
  /// [bins], float64, 0 to 1. The fraction of these examples that is predicted right, or 0 where
  /// `count` is 0.
  at::Tensor accuracy;
};

namespace detail {

// Throws c10::Error if the tensors are not as the head of this file describes them.
inline void check_probs_and_targets(const at::Tensor& probs, const at::Tensor& targets) {
  TORCH_CHECK(probs.defined() && probs.dim() == 2 && probs.numel() > 0,
              "ivon: probs must have the shape [N, C] with N, C >= 1, got ",
              probs.defined() ? c10::str(probs.sizes()) : "an undefined tensor",
              "; flatten leading dimensions with probs.flatten(0, -2)");
  TORCH_CHECK(probs.is_floating_point(), "ivon: probs must be floating point, got ",
              probs.scalar_type(), "; pass probabilities, not labels");
  TORCH_CHECK(targets.defined() && targets.dim() == 1 && targets.size(0) == probs.size(0),
              "ivon: targets must have the shape [", probs.size(0), "], got ",
              targets.defined() ? c10::str(targets.sizes()) : "an undefined tensor",
              "; give one class index for each row of probs");
  TORCH_CHECK(targets.scalar_type() == at::kLong, "ivon: targets must be int64, got ",
              targets.scalar_type(), "; use targets.to(torch::kLong)");
  TORCH_CHECK(targets.device() == probs.device(), "ivon: targets must be on the device of probs, ",
              probs.device(), ", got ", targets.device(), "; move one of them");
  const int64_t lowest = targets.min().item<int64_t>();
  const int64_t highest = targets.max().item<int64_t>();
  TORCH_CHECK(lowest >= 0 && highest < probs.size(1), "ivon: targets must be in [0, ",
              probs.size(1), "), got ", lowest < 0 ? lowest : highest,
              "; drop examples without a class before");
  // The sum of 16-bit probabilities can miss 1 by as much as C roundings of 2^-9.
  const double tolerance = probs.element_size() < 4 ? 2e-2 : 1e-3;
  const at::Tensor sums = probs.sum(1, /*keepdim=*/false, at::kDouble);
  const double off = (sums - 1).abs().max().item<double>();
  const double least = probs.min().item<double>();
  TORCH_CHECK(off <= tolerance, "ivon: the rows of probs must sum to 1 (+-", tolerance,
              "), got a row off by ", off, "; apply softmax to logits first");
  TORCH_CHECK(least >= 0, "ivon: probs must be >= 0, got ", least,
              "; apply softmax to logits first");
}

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
  return detail::top1(probs, targets).correct.to(at::kDouble).mean().item<double>();
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
  const at::Tensor of_target = probs.gather(1, targets.unsqueeze(1)).to(at::kDouble);
  // The bound is the same for every dtype, so that doubles and floats give the same figure.
  constexpr double kLeast = std::numeric_limits<float>::min();
  return -of_target.clamp_min(kLeast).log().mean().item<double>();
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
  at::Tensor residual = probs.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  const at::Tensor index = targets.unsqueeze(1);
  residual.scatter_(1, index, residual.gather(1, index) - 1);
  return residual.square().sum(1).mean().item<double>();
}

/// Sorts the examples into bins by confidence, which is the probability of the most probable class.
///
/// The bins have equal widths: bin i is [i / bins, (i + 1) / bins), and the last one includes 1.
/// `probs` is [N, C] and `targets` is [N], as for accuracy(). `bins` is at least 1. Throws
/// c10::Error if `bins` is less than 1, and where accuracy() does.
inline ReliabilityBins reliability_bins(const at::Tensor& probs, const at::Tensor& targets,
                                        int64_t bins = 15) {
  const c10::NoGradGuard no_grad;
  TORCH_CHECK(bins >= 1, "ivon: bins must be >= 1, got ", bins, "; 15 is usual");
  detail::check_probs_and_targets(probs, targets);
  const detail::Top1 top = detail::top1(probs, targets);
  // The edges are i / bins for i = 1 .. bins - 1, rounded to the dtype of the confidences. Without
  // the rounding, a confidence of 0.7f, which is less than 0.7, would miss the bin that begins at
  // 0.7.
  const at::Tensor edges = (at::arange(1, bins, at::kDouble) / static_cast<double>(bins))
                               .to(probs.scalar_type())
                               .to(at::kDouble);
  // This runs on the CPU because CUDA's weighted bincount is not deterministic.
  const at::Tensor confidence = top.confidence.to(at::kCPU).to(at::kDouble);
  const at::Tensor bin = at::bucketize(confidence, edges, /*out_int32=*/false, /*right=*/true);
  const at::Tensor count = at::bincount(bin, /*weights=*/{}, bins);
  const at::Tensor divisor = count.clamp_min(1).to(at::kDouble);
  return {count, at::bincount(bin, confidence, bins) / divisor,
          at::bincount(bin, top.correct.to(at::kCPU).to(at::kDouble), bins) / divisor};
}

/// Returns the expected calibration error, 0 to 1: the mean of |accuracy - confidence| over the
/// bins of reliability_bins(), each weighted by its share of the examples (equation 3 of Guo et al.
/// 2017, arXiv 1706.04599).
///
/// `probs` is [N, C] and `targets` is [N], as for accuracy(). `bins` is at least 1; the figure
/// depends on it, and 15 is usual. Throws c10::Error where reliability_bins() does.
inline double ece(const at::Tensor& probs, const at::Tensor& targets, int64_t bins = 15) {
  const c10::NoGradGuard no_grad;
  const ReliabilityBins b = reliability_bins(probs, targets, bins);
  const at::Tensor gap = (b.accuracy - b.confidence).abs() * b.count.to(at::kDouble);
  return gap.sum().item<double>() / static_cast<double>(probs.size(0));
}

IVON_NAMESPACE_END
