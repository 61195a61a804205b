// SPDX-License-Identifier: Apache-2.0
//
// Prediction by averaging over the posterior: the class PROBABILITIES of several weight samples are
// averaged, not their logits, and the spread between the samples is told apart from the noise in
// the data:
//   p_bar = mean_s p_s,  entropy = H[p_bar],  mutual information = H[p_bar] - mean_s H[p_s].
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logaddexp.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <ivon/version.hpp>
#include <limits>
#include <utility>

IVON_NAMESPACE_BEGIN

/// For logits [..., C]; float64 where the logits are, float32 otherwise.
struct Prediction {
  at::Tensor probs;               // [..., C], sums to 1 over C
  at::Tensor entropy;             // [...], nats, 0 to log C: the whole uncertainty
  at::Tensor mutual_information;  // [...], nats, >= 0: the part that more data would remove
};

/// Takes the logits of one sample at a time; what it keeps does not grow with the samples.
class PredictionAccumulator {
 public:
  /// logits: [..., C], C >= 2, floating point, of one shape, dtype and device for all samples.
  void add(const at::Tensor& logits) {
    check(logits);
    const c10::NoGradGuard no_grad;
    const at::Tensor log_p =
        at::log_softmax(logits, -1, logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    const at::Tensor entropy = entropy_of(log_p);
    // Not in place: what was made under InferenceMode may be added to outside of it.
    log_sum_ = count_ == 0 ? log_p : at::logaddexp(log_sum_, log_p);
    entropy_sum_ = count_ == 0 ? entropy : entropy_sum_ + entropy;
    dtype_ = logits.scalar_type();
    ++count_;
  }

  int64_t count() const { return count_; }

  /// Needs at least one sample; more may be added afterwards.
  Prediction result() const {
    TORCH_CHECK(count_ > 0, "ivon: a prediction must have at least 1 sample, got 0; call add()");
    const c10::NoGradGuard no_grad;
    const auto samples = static_cast<double>(count_);
    // Rounding may lift the log of a probability of 1 above 0.
    const at::Tensor log_p = (log_sum_ - std::log(samples)).clamp_max(0);
    const at::Tensor entropy = entropy_of(log_p);
    // Entropy is concave, so the difference is >= 0; where the samples agree, what rounding leaves
    // of it may be below.
    const at::Tensor mutual_information = (entropy - entropy_sum_ / samples).clamp_min(0);
    return {log_p.exp(), entropy, mutual_information};
  }

 private:
  // -sum p log p over the last dimension. p = 0 has log p = -inf and counts 0.
  static at::Tensor entropy_of(const at::Tensor& log_p) {
    constexpr double kLowest = std::numeric_limits<float>::lowest();
    return -(log_p.exp() * log_p.clamp_min(kLowest)).sum(-1);
  }

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

/// The same from logits that are there already: [S, ..., C], S >= 1 samples along the first
/// dimension.
inline Prediction prediction_from_logits(const at::Tensor& logits) {
  TORCH_CHECK(logits.defined() && logits.dim() >= 2 && logits.size(0) >= 1,
              "ivon: logits must have the shape [S, ..., C] with S >= 1, got ",
              logits.defined() ? c10::str(logits.sizes()) : "an undefined tensor",
              "; stack the samples along a new first dimension");
  PredictionAccumulator accumulator;
  for (int64_t s = 0; s < logits.size(0); ++s) accumulator.add(logits.select(0, s));
  return accumulator.result();
}

namespace detail {

/// Holds the mean between the samples of a prediction; ivon::IVON has its own.
template <class Optimizer>
auto mean_while_predicting(Optimizer& optimizer) {
  return optimizer.mean_params();
}

}  // namespace detail

/// Averages forward() over `samples` draws of the optimizer's weights. forward takes nothing and
/// returns logits, classes last; it runs without gradients, once per sample. Training is not
/// affected: predictions have noise of their own, and after each sample, thrown exceptions
/// included, the module holds what it held before. Put the model into eval() first if it has
/// dropout.
template <class Optimizer, class Forward>
Prediction predict(Optimizer& optimizer, Forward&& forward, int64_t samples = 16) {
  TORCH_CHECK(samples >= 1, "ivon: samples must be >= 1, got ", samples,
              "; for a prediction at the mean call the model outside a sample");
  const c10::NoGradGuard no_grad;
  PredictionAccumulator accumulator;
  using detail::mean_while_predicting;
  // With sample_on_step the training sample comes back once, after all predictions.
  const auto mean_between = mean_while_predicting(optimizer);
  for (int64_t s = 0; s < samples; ++s) {
    auto sample = optimizer.sampled_params();
    accumulator.add(forward());
  }
  return accumulator.result();
}

IVON_NAMESPACE_END
