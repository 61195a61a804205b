// SPDX-License-Identifier: Apache-2.0
//
// These classes compute the metrics of data that come in batches: add() takes a batch, and the
// other functions return the figures of all examples so far. The figures are those of the functions
// of the same name on all data at once, up to the rounding of float64 sums.
//
// An add() that throws changes nothing. A copy of an object is independent of it. An object must
// not be used by two threads at once.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ivon/posterior/metrics/calibration.hpp>
#include <ivon/posterior/metrics/checks.hpp>
#include <ivon/posterior/metrics/classification.hpp>
#include <ivon/posterior/metrics/ranking.hpp>
#include <ivon/posterior/metrics/regression.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

namespace detail {

// The divisor of a mean over the examples so far.
inline double examples(int64_t count) {
  TORCH_CHECK(count > 0, "ivon: metrics need at least one example, got ", count,
              "; call add() first");
  return static_cast<double>(count);
}

}  // namespace detail

/// The metrics of a classifier over batches. It keeps sums only: its memory does not grow with the
/// number of examples.
///
/// The figures throw c10::Error as long as no example was added.
class ClassificationMetrics {
 public:
  /// `bins` is the number of equally wide bins of reliability_bins() and ece(), and `top_k` is the
  /// k of top_k_accuracy(). Both are at least 1. Throws c10::Error if one is not.
  explicit ClassificationMetrics(int64_t bins = 15, int64_t top_k = 1) : top_k_(top_k) {
    detail::check_bins(bins);
    TORCH_CHECK(top_k >= 1, "ivon: top_k must be >= 1, got ", top_k, "; 1 and 5 are usual");
    sums_.bins = {at::zeros({bins}, at::kLong), at::zeros({bins}, at::kDouble),
                  at::zeros({bins}, at::kDouble)};
  }

  /// Adds a batch: `probs` is [N, C] and `targets` is [N], as for ivon::accuracy(). C is the same
  /// in each batch and at least `top_k`. Throws c10::Error if it is not, and where
  /// ivon::accuracy() does.
  void add(const at::Tensor& probs, const at::Tensor& targets) {
    const c10::NoGradGuard no_grad;
    detail::check_probs_and_targets(probs, targets);
    detail::check_top_k(top_k_, probs.size(1));
    TORCH_CHECK(sums_.count == 0 || probs.size(1) == sums_.classes, "ivon: probs must have ",
                sums_.classes, " classes as in the batches before, got ", probs.size(1),
                "; use one object for each set of classes");
    const detail::Top1 top = detail::top1(probs, targets);
    const detail::BinSums bins =
        detail::top1_bin_sums(top, sums_.bins.count.numel(), Bins::kEqualWidth);
    Sums next = sums_;
    next.classes = probs.size(1);
    next.count += probs.size(0);
    next.correct += detail::correct_sum(top);
    next.top_k += detail::top_k_sum(probs, targets, top_k_);
    next.nll += detail::nll_sum(probs, targets);
    next.brier += detail::brier_sum(probs, targets);
    // New tensors, so that copies of this object keep theirs.
    next.bins = {sums_.bins.count + bins.count, sums_.bins.confidence + bins.confidence,
                 sums_.bins.correct + bins.correct};
    sums_ = std::move(next);
  }

  /// Returns the number of examples so far.
  int64_t count() const { return sums_.count; }
  /// Returns ivon::accuracy() of the examples so far, 0 to 1.
  double accuracy() const { return sums_.correct / detail::examples(sums_.count); }
  /// Returns ivon::top_k_accuracy() of the examples so far, 0 to 1.
  double top_k_accuracy() const { return sums_.top_k / detail::examples(sums_.count); }
  /// Returns ivon::nll() of the examples so far, in nats per example.
  double nll() const { return sums_.nll / detail::examples(sums_.count); }
  /// Returns ivon::brier() of the examples so far, 0 to 2.
  double brier() const { return sums_.brier / detail::examples(sums_.count); }

  /// Returns ivon::reliability_bins() of the examples so far, with bins of equal width.
  ReliabilityBins reliability_bins() const {
    const c10::NoGradGuard no_grad;
    detail::examples(sums_.count);
    ReliabilityBins bins = detail::bin_means(sums_.bins);
    bins.count = bins.count.clone();  // the caller may write to it
    return bins;
  }

  /// Returns ivon::ece() of the examples so far, 0 to 1, with bins of equal width.
  double ece(CalibrationNorm norm = CalibrationNorm::kL1) const {
    const c10::NoGradGuard no_grad;
    return detail::calibration_error(reliability_bins(), norm);
  }

 private:
  struct Sums {
    int64_t classes = 0;
    int64_t count = 0;
    double correct = 0;
    double top_k = 0;
    double nll = 0;
    double brier = 0;
    detail::BinSums bins;
  };

  int64_t top_k_;
  Sums sums_;
};

/// The ranking metrics over batches. The figures need all scores, so it keeps 9 bytes for each
/// example in the host's memory (up to twice as much while it grows). Each figure sorts the scores.
class RankingMetrics {
 public:
  /// Adds a batch: `scores` is [N] and `is_positive` is [N], as for ivon::auroc(); they may all be
  /// of one kind. Throws c10::Error if a tensor is not as described, and std::bad_alloc.
  void add(const at::Tensor& scores, const at::Tensor& is_positive) {
    const c10::NoGradGuard no_grad;
    detail::check_scores_and_flags("scores", scores, "is_positive", is_positive);
    const at::Tensor values = scores.to(at::kCPU).to(at::kDouble).contiguous();
    const at::Tensor flags = is_positive.to(at::kCPU).contiguous();
    const auto* first_value = values.const_data_ptr<double>();
    const auto* first_flag = flags.const_data_ptr<bool>();
    const auto before = static_cast<std::ptrdiff_t>(scores_.size());
    scores_.insert(scores_.end(), first_value, first_value + values.numel());
    try {
      is_positive_.insert(is_positive_.end(), first_flag, first_flag + flags.numel());
    } catch (...) {
      scores_.erase(scores_.begin() + before, scores_.end());
      throw;
    }
  }

  /// Returns the number of examples so far.
  int64_t count() const { return static_cast<int64_t>(scores_.size()); }
  /// Returns ivon::auroc() of the examples so far, 0 to 1. Throws c10::Error if all examples are of
  /// one kind or none was added.
  double auroc() const { return ivon::auroc(scores(), is_positive()); }
  /// Returns ivon::aupr() of the examples so far, greater than 0 and at most 1. Throws as auroc().
  double aupr() const { return ivon::aupr(scores(), is_positive()); }
  /// Returns ivon::fpr_at_tpr() of the examples so far, 0 to 1. Throws as auroc(), and if `tpr` is
  /// not greater than 0 and at most 1.
  double fpr_at_tpr(double tpr = 0.95) const {
    return ivon::fpr_at_tpr(scores(), is_positive(), tpr);
  }

 private:
  // Views of the vectors, which only read.
  at::Tensor scores() const {
    detail::examples(count());
    return at::from_blob(const_cast<double*>(scores_.data()), {count()}, at::kDouble);
  }
  at::Tensor is_positive() const {
    return at::from_blob(const_cast<unsigned char*>(is_positive_.data()), {count()}, at::kBool);
  }

  std::vector<double> scores_;
  std::vector<unsigned char> is_positive_;  // 0 or 1: std::vector<bool> has no contiguous bytes
};

/// The metrics of a regression with Gaussian predictions over batches. It keeps sums only.
///
/// The figures throw c10::Error as long as no example was added.
class RegressionMetrics {
 public:
  /// Adds a batch: `mean`, `variance` and `targets` are [N], as for ivon::gaussian_nll(), with
  /// variances greater than 0. Throws c10::Error where that function does.
  void add(const at::Tensor& mean, const at::Tensor& variance, const at::Tensor& targets) {
    const c10::NoGradGuard no_grad;
    detail::check_gaussians(mean, variance, targets, /*zero_variance_allowed=*/false);
    const double squared_error = detail::squared_error_sum(mean, targets);
    const double nll = detail::gaussian_nll_sum(mean, variance, targets);
    const double crps = detail::crps_gaussian_sum(mean, variance, targets);
    count_ += targets.size(0);
    squared_error_ += squared_error;
    nll_ += nll;
    crps_ += crps;
  }

  /// Returns the number of examples so far.
  int64_t count() const { return count_; }
  /// Returns ivon::rmse() of the examples so far, >= 0, in the unit of the targets.
  double rmse() const { return std::sqrt(squared_error_ / detail::examples(count_)); }
  /// Returns ivon::gaussian_nll() of the examples so far, in nats per example.
  double gaussian_nll() const { return nll_ / detail::examples(count_); }
  /// Returns ivon::crps_gaussian() of the examples so far, >= 0, in the unit of the targets.
  double crps() const { return crps_ / detail::examples(count_); }

 private:
  int64_t count_ = 0;
  double squared_error_ = 0;
  double nll_ = 0;
  double crps_ = 0;
};

IVON_NAMESPACE_END
