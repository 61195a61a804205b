// SPDX-License-Identifier: Apache-2.0
//
// These functions measure whether a classifier is right as often as its probabilities say:
// reliability bins and the expected calibration error (ECE). They take `probs` [N, C] and `targets`
// [N] as the head of classification.hpp describes them, sum in float64 and wait for the device.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/searchsorted.h>

#include <cmath>
#include <cstdint>
#include <ivon/posterior/metrics/checks.hpp>
#include <ivon/posterior/metrics/classification.hpp>
#include <ivon/version.hpp>
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

/// How reliability_bins() and ece() divide the confidences into bins.
enum class Bins {
  /// Bin i is [i / bins, (i + 1) / bins), and the last bin includes 1 (Guo et al. 2017).
  kEqualWidth,
  /// Bins that hold equally many examples, as far as ties allow (Nguyen and O'Connor 2015, arXiv
  /// 1508.05154). An example belongs to bin floor(bins * r / N), where r is the number of examples
  /// with a lower confidence, so that equal confidences share a bin.
  kEqualMass,
};

/// How ece() combines the gaps |accuracy - confidence| of the bins. The weight of a bin is its
/// share of the examples (Kumar et al. 2019, arXiv 1909.10155).
enum class CalibrationNorm {
  /// The weighted mean of the gaps: the usual ECE.
  kL1,
  /// The square root of the weighted mean of the squared gaps.
  kL2,
  /// The largest gap of a bin that is not empty: the maximum calibration error.
  kMax,
};

namespace detail {

// The sums over the examples of each bin, [bins] on the CPU. They add up over batches.
struct BinSums {
  at::Tensor count;       // int64
  at::Tensor confidence;  // float64
  at::Tensor correct;     // float64
};

// The bin of each confidence, int64 of the same shape, on the CPU.
inline at::Tensor equal_width_bin(const at::Tensor& confidence, int64_t bins) {
  // The edges are i / bins for i = 1 .. bins - 1, rounded to the dtype of the confidences. Without
  // the rounding, a confidence of 0.7f, which is less than 0.7, would miss the bin that begins at
  // 0.7.
  const at::Tensor edges = (at::arange(1, bins, at::kDouble) / static_cast<double>(bins))
                               .to(confidence.scalar_type())
                               .to(at::kDouble);
  return at::bucketize(confidence.to(at::kCPU).to(at::kDouble), edges, /*out_int32=*/false,
                       /*right=*/true);
}

inline at::Tensor equal_mass_bin(const at::Tensor& confidence, int64_t bins) {
  const at::Tensor values = confidence.to(at::kCPU).to(at::kDouble).contiguous();
  const at::Tensor lower = at::searchsorted(std::get<0>(values.sort()), values);
  return (lower * bins).floor_divide(values.numel());
}

// `bin` is one-dimensional; `confidence` and `correct` have its shape.
inline BinSums bin_sums(const at::Tensor& bin, const at::Tensor& confidence,
                        const at::Tensor& correct, int64_t bins) {
  // This runs on the CPU because CUDA's weighted bincount is not deterministic.
  return {at::bincount(bin, /*weights=*/{}, bins),
          at::bincount(bin, confidence.to(at::kCPU).to(at::kDouble), bins),
          at::bincount(bin, correct.to(at::kCPU).to(at::kDouble), bins)};
}

inline BinSums top1_bin_sums(const Top1& top, int64_t bins, Bins kind) {
  const at::Tensor bin = kind == Bins::kEqualMass ? equal_mass_bin(top.confidence, bins)
                                                  : equal_width_bin(top.confidence, bins);
  return bin_sums(bin, top.confidence, top.correct, bins);
}

inline ReliabilityBins bin_means(const BinSums& sums) {
  const at::Tensor divisor = sums.count.clamp_min(1).to(at::kDouble);
  return {sums.count, sums.confidence / divisor, sums.correct / divisor};
}

inline double calibration_error(const ReliabilityBins& b, CalibrationNorm norm) {
  const at::Tensor gap = (b.accuracy - b.confidence).abs();
  if (norm == CalibrationNorm::kMax) return gap.max().item<double>();  // empty bins have 0
  const at::Tensor count = b.count.to(at::kDouble);
  const double total = count.sum().item<double>();
  if (norm == CalibrationNorm::kL1) return (gap * count).sum().item<double>() / total;
  return std::sqrt((gap.square() * count).sum().item<double>() / total);
}

}  // namespace detail

/// Sorts the examples into bins by confidence, which is the probability of the most probable class.
///
/// `probs` is [N, C] and `targets` is [N], as for accuracy(). `bins` is at least 1, and `kind`
/// tells where the bins begin. Throws c10::Error if `bins` is less than 1, and where accuracy()
/// does.
inline ReliabilityBins reliability_bins(const at::Tensor& probs, const at::Tensor& targets,
                                        int64_t bins = 15, Bins kind = Bins::kEqualWidth) {
  const c10::NoGradGuard no_grad;
  detail::check_bins(bins);
  detail::check_probs_and_targets(probs, targets);
  return detail::bin_means(detail::top1_bin_sums(detail::top1(probs, targets), bins, kind));
}

/// Returns the expected calibration error, 0 to 1: by default the mean of |accuracy - confidence|
/// over the bins of reliability_bins(), each weighted by its share of the examples (equation 3 of
/// Guo et al. 2017, arXiv 1706.04599).
///
/// `probs` is [N, C] and `targets` is [N], as for accuracy(). `bins` is at least 1; the figure
/// depends on it, and 15 is usual. `norm` combines the bins in another way, and `kind` divides the
/// examples into other bins. Throws c10::Error where reliability_bins() does.
inline double ece(const at::Tensor& probs, const at::Tensor& targets, int64_t bins = 15,
                  CalibrationNorm norm = CalibrationNorm::kL1, Bins kind = Bins::kEqualWidth) {
  const c10::NoGradGuard no_grad;
  return detail::calibration_error(reliability_bins(probs, targets, bins, kind), norm);
}

/// Returns the classwise expected calibration error, 0 to 1 (Kull et al. 2019, arXiv 1910.12656):
/// the mean over the classes c of the ECE of the statement "the class is c with the probability
/// probs[n, c]".
///
/// In contrast to ece(), the probabilities of all classes count, not only those of the most
/// probable ones. The bins have equal widths. `probs` is [N, C] and `targets` is [N], as for
/// accuracy(). Throws c10::Error where reliability_bins() does.
inline double classwise_ece(const at::Tensor& probs, const at::Tensor& targets, int64_t bins = 15) {
  const c10::NoGradGuard no_grad;
  detail::check_bins(bins);
  detail::check_probs_and_targets(probs, targets);
  // The bins of class c have the numbers c * bins to (c + 1) * bins - 1. As each class has the same
  // number of examples, the weighted mean over all bins is the mean over the classes.
  const int64_t classes = probs.size(1);
  const at::Tensor index = at::arange(classes, at::kLong);
  const at::Tensor bin = detail::equal_width_bin(probs, bins) + index * bins;
  const at::Tensor correct = targets.to(at::kCPU).unsqueeze(1) == index;
  const detail::BinSums sums =
      detail::bin_sums(bin.flatten(), probs.flatten(), correct.flatten(), bins * classes);
  return detail::calibration_error(detail::bin_means(sums), CalibrationNorm::kL1);
}

IVON_NAMESPACE_END
