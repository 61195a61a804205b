// SPDX-License-Identifier: Apache-2.0
//
// These functions measure how well a score separates two kinds of examples: areas under the ROC and
// the precision-recall curve, and the risk of a classifier that answers only where it is confident.
//
// All of them are pure functions of two tensors, which must lie on one device:
//   scores or confidence    [N], floating point, N >= 1. Only their order counts. Infinities are
//                           allowed, NaN is an error.
//   is_positive or correct  [N], bool.
// Examples with equal scores are never separated, so no result depends on the order of the
// examples. The functions compute in float64, wait for the device, and throw c10::Error if a tensor
// is not as described here. docs/metrics.md compares them with scikit-learn.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/unique_consecutive.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/posterior/metrics/checks.hpp>
#include <ivon/version.hpp>
#include <tuple>

IVON_NAMESPACE_BEGIN

/// The risk-coverage curve of a classifier that answers only if its confidence reaches a threshold.
/// The tensors are [K], float64, on the device of the confidences; K is the number of distinct
/// confidences. risk_coverage_curve() makes it.
struct RiskCoverageCurve {
  /// [K], greater than 0 and at most 1, increasing. The fraction of examples that it answers.
  at::Tensor coverage;
  /// [K], 0 to 1. The fraction of wrong answers among these.
  at::Tensor risk;
  /// [K], decreasing. The lowest confidence that it answers.
  at::Tensor threshold;
};

namespace detail {

// What lies at or above each distinct score, from the highest score to the lowest: [K] float64.
struct ScoreCounts {
  at::Tensor threshold;  // the distinct scores
  at::Tensor total;      // the number of examples
  at::Tensor flagged;    // the number of those whose flag is true
};

inline ScoreCounts score_counts(const at::Tensor& scores, const at::Tensor& flags) {
  at::Tensor sorted, order, threshold, inverse, count;
  std::tie(sorted, order) = scores.to(at::kDouble).sort(/*dim=*/0, /*descending=*/true);
  std::tie(threshold, inverse, count) =
      at::unique_consecutive(sorted, /*return_inverse=*/false, /*return_counts=*/true);
  const at::Tensor total = count.cumsum(0);
  const at::Tensor flagged = flags.index_select(0, order).cumsum(0).index_select(0, total - 1);
  return {threshold, total.to(at::kDouble), flagged.to(at::kDouble)};
}

// The counts of each score alone, from the counts of what lies at or above it.
inline at::Tensor differences(const at::Tensor& cumulative) {
  const at::Tensor before = at::constant_pad_nd(cumulative, {1, -1}, 0);
  return cumulative - before;
}

// The counts for functions that need examples of both kinds.
inline ScoreCounts binary_counts(const at::Tensor& scores, const at::Tensor& is_positive) {
  check_scores_and_flags("scores", scores, "is_positive", is_positive);
  const int64_t positives = is_positive.sum().item<int64_t>();
  TORCH_CHECK(
      positives > 0 &&
              positives<scores.size(0), "ivon: is_positive must hold true and false, got only ",
                        positives> 0
          ? "true"
          : "false",
      "; add examples of the other kind");
  return score_counts(scores, is_positive);
}

inline double last(const at::Tensor& values) { return values[-1].item<double>(); }

}  // namespace detail

/// Returns the area under the ROC curve, 0 to 1: the probability that a positive example has a
/// higher score than a negative one, where a tie counts one half (Hanley and McNeil 1982).
///
/// For the detection of unknown inputs by entropy, pass Prediction::entropy as `scores` and "is
/// unknown" as `is_positive`. `scores` is [N], floating point without NaN, and `is_positive` is
/// [N], bool; both are on one device.
///
/// Throws c10::Error if a tensor is not as described, or if all examples are of one kind.
inline double auroc(const at::Tensor& scores, const at::Tensor& is_positive) {
  const c10::NoGradGuard no_grad;
  const detail::ScoreCounts counts = detail::binary_counts(scores, is_positive);
  const at::Tensor positive = detail::differences(counts.flagged);
  const at::Tensor negative = detail::differences(counts.total - counts.flagged);
  // Sums of halves of integers: exact below 2^53.
  const double pairs = (negative * (counts.flagged - positive / 2)).sum().item<double>();
  const double positives = detail::last(counts.flagged);
  return pairs / positives / (detail::last(counts.total) - positives);
}

/// Returns the area under the precision-recall curve as the average precision, greater than 0 and
/// at most 1: the sum over the distinct thresholds, from the highest on, of the precision times the
/// increase of the recall. There is no interpolation between thresholds.
///
/// `scores` is [N] and `is_positive` is [N], as for auroc(), which also tells what is thrown.
inline double aupr(const at::Tensor& scores, const at::Tensor& is_positive) {
  const c10::NoGradGuard no_grad;
  const detail::ScoreCounts counts = detail::binary_counts(scores, is_positive);
  const at::Tensor precision = counts.flagged / counts.total;
  return (precision * detail::differences(counts.flagged)).sum().item<double>() /
         detail::last(counts.flagged);
}

/// Returns the false-positive rate, 0 to 1, at the highest threshold whose true-positive rate is at
/// least `tpr`. With the default this is the figure "FPR at 95 % TPR" of Liang et al. (2018, arXiv
/// 1706.02690) and later papers.
///
/// An example counts as called positive if its score is at or above the threshold, and the
/// thresholds are the scores that occur. `scores` is [N] and `is_positive` is [N], as for auroc().
/// `tpr` is greater than 0 and at most 1. Throws c10::Error if it is not, and where auroc() does.
inline double fpr_at_tpr(const at::Tensor& scores, const at::Tensor& is_positive,
                         double tpr = 0.95) {
  const c10::NoGradGuard no_grad;
  detail::check_fraction("tpr", tpr, /*zero_allowed=*/false, "0.95 is usual");
  const detail::ScoreCounts counts = detail::binary_counts(scores, is_positive);
  const double positives = detail::last(counts.flagged);
  const int64_t first = (counts.flagged / positives < tpr).sum().item<int64_t>();
  const at::Tensor negative = counts.total - counts.flagged;
  return negative[first].item<double>() / detail::last(negative);
}

/// Returns the curve of coverage and risk at each distinct confidence, from the highest on
/// (El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017, arXiv 1705.08500).
///
/// `confidence` is [N], floating point without NaN, N >= 1; `correct` is [N], bool, and tells
/// whether the prediction is right. Both are on one device. Throws c10::Error if a tensor is not as
/// described. All predictions may be right, or all wrong.
inline RiskCoverageCurve risk_coverage_curve(const at::Tensor& confidence,
                                             const at::Tensor& correct) {
  const c10::NoGradGuard no_grad;
  detail::check_scores_and_flags("confidence", confidence, "correct", correct);
  const detail::ScoreCounts counts = detail::score_counts(confidence, correct);
  return {counts.total / detail::last(counts.total), (counts.total - counts.flagged) / counts.total,
          counts.threshold};
}

/// Returns the area under the risk-coverage curve, 0 to 1: the mean over k = 1 .. N of the error
/// rate among the k most confident examples (Geifman et al. 2019, arXiv 1805.08206). Smaller is
/// better.
///
/// Where equal confidences leave open which examples these are, the error rate is its expected
/// value over all orders of the tied examples. `confidence` is [N] and `correct` is [N], as for
/// risk_coverage_curve(), which also tells what is thrown.
inline double aurc(const at::Tensor& confidence, const at::Tensor& correct) {
  const c10::NoGradGuard no_grad;
  detail::check_scores_and_flags("confidence", confidence, "correct", correct);
  const detail::ScoreCounts counts = detail::score_counts(confidence, correct.logical_not());
  // In a group of g tied examples with e errors, the first j of them hold e * j / g errors on
  // average.
  const at::Tensor size = detail::differences(counts.total);
  const at::Tensor share = detail::differences(counts.flagged) / size;
  const auto of_example = [&size](const at::Tensor& of_group) {
    return at::repeat_interleave(of_group, size.to(at::kLong));
  };
  const at::Tensor k = at::arange(1, confidence.size(0) + 1, size.options());
  const at::Tensor errors =
      of_example(counts.flagged) - of_example(share) * (of_example(counts.total) - k);
  return (errors / k).mean().item<double>();
}

/// Returns the largest coverage, 0 to 1, at which the error rate is at most `risk`: the largest
/// point of risk_coverage_curve() whose risk is not higher, or 0 if there is none (the selection
/// with guaranteed risk of Geifman and El-Yaniv 2017, arXiv 1705.08500, without their confidence
/// bound).
///
/// `confidence` is [N] and `correct` is [N], as for risk_coverage_curve(). `risk` is 0 to 1. Throws
/// c10::Error if it is not, and where risk_coverage_curve() does.
inline double coverage_at_risk(const at::Tensor& confidence, const at::Tensor& correct,
                               double risk) {
  const c10::NoGradGuard no_grad;
  detail::check_fraction("risk", risk, /*zero_allowed=*/true, "give the error rate to allow");
  const RiskCoverageCurve curve = risk_coverage_curve(confidence, correct);
  return curve.coverage.masked_fill(curve.risk > risk, 0).max().item<double>();
}

IVON_NAMESPACE_END
