// SPDX-License-Identifier: Apache-2.0
//
// Averages the predictions of a classifier over samples of its weights. What is averaged are the
// class PROBABILITIES p_s of the samples s, not their logits. With H for the entropy, the result is
//   p_bar = mean_s p_s,  entropy = H[p_bar],  mutual information = H[p_bar] - mean_s H[p_s].
// The mutual information separates the disagreement of the samples from the noise in the data.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logaddexp.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <ivon/version.hpp>
#include <limits>
#include <utility>

IVON_NAMESPACE_BEGIN

/// The averaged prediction for inputs whose logits have the shape [..., C], with C classes.
///
/// The tensors are float64 if the logits are float64, and float32 otherwise. They are on the device
/// of the logits and carry no gradient.
struct Prediction {
  /// [..., C], 0 to 1, with the sum 1 over the classes. The mean of the samples' probabilities.
  at::Tensor probs;
  /// [...], in nats, 0 to log C. The entropy of `probs`, which is the whole uncertainty.
  at::Tensor entropy;
  /// [...], in nats, >= 0. `entropy` minus the mean entropy of the samples, which is the mutual
  /// information of the class and the weights: the part of the uncertainty on which the samples
  /// disagree and which more data would remove (Houlsby et al. 2011, arXiv 1112.5745).
  at::Tensor mutual_information;
  /// [...], in nats, 0 to log C. mean_s H[p_s]: the part of the uncertainty on which the samples
  /// agree, the noise in the data. It is `entropy` minus `mutual_information`.
  at::Tensor expected_entropy = {};
  /// [...], 1/C to 1. The largest of `probs`, by which predictions are usually ranked.
  at::Tensor confidence = {};
  /// The number of samples in the average.
  int64_t samples = 0;
};

/// Averages predictions whose logits come one sample at a time. The memory that it keeps does not
/// grow with the number of samples: one tensor [..., C] and one tensor [...].
class PredictionAccumulator {
 public:
  /// Adds one sample. `logits` has the shape [..., C] with C >= 2, is floating point and unbounded.
  /// Shape, dtype and device must be those of the first sample. The sum runs in log space, in
  /// float64 for float64 logits and in float32 otherwise. No gradient is recorded.
  ///
  /// Throws c10::Error if `logits` is not such a tensor; then the sample is not added.
  void add(const at::Tensor& logits) {
    check(logits);
    const c10::NoGradGuard no_grad;
    const at::Tensor log_p =
        at::log_softmax(logits, -1, logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    const at::Tensor entropy = entropy_of(log_p);
    // The sums are not changed in place, because a tensor that was made under InferenceMode cannot
    // be changed in place outside of it.
    log_sum_ = count_ == 0 ? log_p : at::logaddexp(log_sum_, log_p);
    entropy_sum_ = count_ == 0 ? entropy : entropy_sum_ + entropy;
    dtype_ = logits.scalar_type();
    ++count_;
  }

  /// Returns the number of samples that were added, 0 or more.
  int64_t count() const { return count_; }

  /// Returns the average over the samples added so far. More samples may be added afterwards.
  ///
  /// Throws c10::Error if no sample was added.
  Prediction result() const {
    check_any();
    const c10::NoGradGuard no_grad;
    const auto samples = static_cast<double>(count_);
    const at::Tensor log_p = log_probs();
    const at::Tensor entropy = entropy_of(log_p);
    // Entropy is concave, so the difference is >= 0. Where the samples agree, rounding can make it
    // slightly negative.
    const at::Tensor expected_entropy = entropy_sum_ / samples;
    const at::Tensor probs = log_p.exp();
    return {probs,          entropy, (entropy - expected_entropy).clamp_min(0), expected_entropy,
            probs.amax(-1), count_};
  }

  /// Returns the averaged probabilities [..., C] of the samples added so far. Throws c10::Error if
  /// there are none.
  at::Tensor probs() const {
    check_any();
    const c10::NoGradGuard no_grad;
    return log_probs().exp();
  }

 private:
  void check_any() const {
    TORCH_CHECK(count_ > 0, "ivon: a prediction must have at least 1 sample, got 0; call add()");
  }

  // Returns the logs of the averaged probabilities. By rounding, the log of a probability of 1 can
  // come out above 0.
  at::Tensor log_probs() const {
    return (log_sum_ - std::log(static_cast<double>(count_))).clamp_max(0);
  }

  // Returns -sum p log p over the last dimension. The bound on log p turns the product 0 * -inf of
  // an impossible class, which would be NaN, into 0.
  static at::Tensor entropy_of(const at::Tensor& log_p) {
    constexpr double kLowest = std::numeric_limits<float>::lowest();
    return -(log_p.exp() * log_p.clamp_min(kLowest)).sum(-1);
  }

  // Throws c10::Error if `logits` is not as add() needs it.
  void check(const at::Tensor& logits) const {
    TORCH_CHECK(logits.defined(),
                "ivon: logits must be a tensor [..., C], got an undefined tensor; return the "
                "model's output from forward");
    TORCH_CHECK(logits.is_floating_point(), "ivon: logits must be floating point, got ",
                logits.scalar_type(), "; return scores before the softmax, not class indices");
    TORCH_CHECK(logits.dim() >= 1 && logits.size(-1) >= 1,
                "ivon: logits must have the classes as last dimension, got the shape ",
                logits.sizes(), "; return [..., C]");
    TORCH_CHECK(logits.size(-1) >= 2, "ivon: logits must have at least 2 classes, got the shape ",
                logits.sizes(),
                "; for a single sigmoid output z return torch::cat({torch::zeros_like(z), z}, -1)");
    if (count_ == 0) return;
    TORCH_CHECK(logits.sizes() == log_sum_.sizes(), "ivon: logits must have one shape for all ",
                "samples, ", log_sum_.sizes(), ", got ", logits.sizes(),
                "; forward must use the same inputs every time");
    TORCH_CHECK(logits.scalar_type() == dtype_ && logits.device() == log_sum_.device(),
                "ivon: logits must have one dtype and device for all samples, ", dtype_, " on ",
                log_sum_.device(), ", got ", logits.scalar_type(), " on ", logits.device(),
                "; convert them in forward");
  }

  at::Tensor log_sum_;      // [..., C] log of the sum of the samples' probabilities
  at::Tensor entropy_sum_;  // [...] sum of the samples' entropies
  at::ScalarType dtype_ = at::kFloat;
  int64_t count_ = 0;
};

/// Returns the averaged prediction from logits that your program has already. `logits` has the
/// shape [S, ..., C]: S >= 1 samples along the first dimension, C >= 2 classes along the last.
///
/// Throws c10::Error if `logits` has another shape or is not floating point.
inline Prediction prediction_from_logits(const at::Tensor& logits) {
  TORCH_CHECK(logits.defined() && logits.dim() >= 2 && logits.size(0) >= 1,
              "ivon: logits must have the shape [S, ..., C] with S >= 1, got ",
              logits.defined() ? c10::str(logits.sizes()) : "an undefined tensor",
              "; stack the samples along a new first dimension");
  PredictionAccumulator accumulator;
  for (int64_t s = 0; s < logits.size(0); ++s) accumulator.add(logits.select(0, s));
  return accumulator.result();
}

IVON_NAMESPACE_END
