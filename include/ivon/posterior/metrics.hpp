// SPDX-License-Identifier: Apache-2.0
//
// How good a classifier's probabilities are: accuracy, NLL, ECE, Brier score, reliability bins.
// Pure functions of probs [N, C] (floating, rows in [0, 1] that sum to 1, as Prediction::probs of a
// batch) and targets [N] (int64, in [0, C)), both on one device, N >= 1. Sums run in float64.
//
// Conventions, where texts differ:
//   accuracy     of equally probable classes the one with the lowest index is predicted
//   NLL          nats per example; probabilities below the smallest normal float count as that
//   ECE, bins    top-1 confidence, equal widths, bin i is [i / bins, (i + 1) / bins), the last one
//                closed at 1; ECE is the L1 distance, sum_i count_i / N |accuracy_i - confidence_i|
//   Brier        sum over classes, mean over examples: 0 to 2
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

/// A reliability diagram: what was claimed and what came true, bin by bin. On the CPU.
struct ReliabilityBins {
  at::Tensor count;       // [bins] int64: examples whose confidence falls into the bin
  at::Tensor confidence;  // [bins] float64: their mean confidence; 0 where count is 0
  at::Tensor accuracy;    // [bins] float64: the fraction of them that is right; 0 where count is 0
};

namespace detail {

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
  // 16-bit probabilities miss a sum of 1 by up to C roundings of 2^-9.
  const double tolerance = probs.element_size() < 4 ? 2e-2 : 1e-3;
  const at::Tensor sums = probs.sum(1, /*keepdim=*/false, at::kDouble);
  const double off = (sums - 1).abs().max().item<double>();
  const double least = probs.min().item<double>();
  TORCH_CHECK(off <= tolerance, "ivon: the rows of probs must sum to 1 (+-", tolerance,
              "), got a row off by ", off, "; apply softmax to logits first");
  TORCH_CHECK(least >= 0, "ivon: probs must be >= 0, got ", least,
              "; apply softmax to logits first");
}

struct Top1 {
  at::Tensor confidence;  // [N] in the dtype of probs
  at::Tensor correct;     // [N] bool
};

inline Top1 top1(const at::Tensor& probs, const at::Tensor& targets) {
  // max() gives the first index of equal values.
  at::Tensor confidence, predicted;
  std::tie(confidence, predicted) = at::max(probs, 1);
  return {confidence, predicted == targets};
}

}  // namespace detail

/// The fraction of examples whose most probable class is the target.
inline double accuracy(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  return detail::top1(probs, targets).correct.to(at::kDouble).mean().item<double>();
}

/// Mean negative log-likelihood, in nats per example.
inline double nll(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  const at::Tensor of_target = probs.gather(1, targets.unsqueeze(1)).to(at::kDouble);
  // One bound for every dtype, so that a double and a float give the same figure.
  constexpr double kLeast = std::numeric_limits<float>::min();
  return -of_target.clamp_min(kLeast).log().mean().item<double>();
}

/// Mean squared distance between the probabilities and the one-hot target, summed over classes.
inline double brier(const at::Tensor& probs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  detail::check_probs_and_targets(probs, targets);
  at::Tensor residual = probs.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  const at::Tensor index = targets.unsqueeze(1);
  residual.scatter_(1, index, residual.gather(1, index) - 1);
  return residual.square().sum(1).mean().item<double>();
}

/// The examples sorted into bins by confidence; bins >= 1.
inline ReliabilityBins reliability_bins(const at::Tensor& probs, const at::Tensor& targets,
                                        int64_t bins = 15) {
  const c10::NoGradGuard no_grad;
  TORCH_CHECK(bins >= 1, "ivon: bins must be >= 1, got ", bins, "; 15 is usual");
  detail::check_probs_and_targets(probs, targets);
  const detail::Top1 top = detail::top1(probs, targets);
  // The edges i / bins for i = 1 .. bins - 1, rounded to the dtype of the confidences: 0.7f is less
  // than 0.7, yet belongs into the bin that begins there.
  const at::Tensor edges = (at::arange(1, bins, at::kDouble) / static_cast<double>(bins))
                               .to(probs.scalar_type())
                               .to(at::kDouble);
  // On the CPU, since CUDA's weighted bincount is not deterministic.
  const at::Tensor confidence = top.confidence.to(at::kCPU).to(at::kDouble);
  const at::Tensor bin = at::bucketize(confidence, edges, /*out_int32=*/false, /*right=*/true);
  const at::Tensor count = at::bincount(bin, /*weights=*/{}, bins);
  const at::Tensor divisor = count.clamp_min(1).to(at::kDouble);
  return {count, at::bincount(bin, confidence, bins) / divisor,
          at::bincount(bin, top.correct.to(at::kCPU).to(at::kDouble), bins) / divisor};
}

/// Expected calibration error, 0 to 1.
inline double ece(const at::Tensor& probs, const at::Tensor& targets, int64_t bins = 15) {
  const c10::NoGradGuard no_grad;
  const ReliabilityBins b = reliability_bins(probs, targets, bins);
  const at::Tensor gap = (b.accuracy - b.confidence).abs() * b.count.to(at::kDouble);
  return gap.sum().item<double>() / static_cast<double>(probs.size(0));
}

IVON_NAMESPACE_END
