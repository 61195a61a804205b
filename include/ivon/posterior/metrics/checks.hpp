// SPDX-License-Identifier: Apache-2.0
//
// The checks of the metrics' arguments. Each throws c10::Error with the rule, the value and the
// remedy, and waits for the device.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/version.hpp>
#include <string>

IVON_NAMESPACE_BEGIN

namespace detail {

inline std::string shape_text(const at::Tensor& tensor) {
  return tensor.defined() ? c10::str(tensor.sizes()) : "an undefined tensor";
}

// The same device as `other`, whose name is `other_name`.
inline void check_device(const char* name, const at::Tensor& values, const char* other_name,
                         const at::Tensor& other) {
  TORCH_CHECK(values.device() == other.device(), "ivon: ", name, " must be on the device of ",
              other_name, ", ", other.device(), ", got ", values.device(), "; move one of them");
}

// Throws c10::Error if the tensors are not as the head of classification.hpp describes them.
inline void check_probs_and_targets(const at::Tensor& probs, const at::Tensor& targets) {
  TORCH_CHECK(probs.defined() && probs.dim() == 2 && probs.numel() > 0,
              "ivon: probs must have the shape [N, C] with N, C >= 1, got ", shape_text(probs),
              "; flatten leading dimensions with probs.flatten(0, -2)");
  TORCH_CHECK(probs.is_floating_point(), "ivon: probs must be floating point, got ",
              probs.scalar_type(), "; pass probabilities, not labels");
  TORCH_CHECK(targets.defined() && targets.dim() == 1 && targets.size(0) == probs.size(0),
              "ivon: targets must have the shape [", probs.size(0), "], got ", shape_text(targets),
              "; give one class index for each row of probs");
  TORCH_CHECK(targets.scalar_type() == at::kLong, "ivon: targets must be int64, got ",
              targets.scalar_type(), "; use targets.to(torch::kLong)");
  check_device("targets", targets, "probs", probs);
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

inline void check_bins(int64_t bins) {
  TORCH_CHECK(bins >= 1, "ivon: bins must be >= 1, got ", bins, "; 15 is usual");
}

inline void check_top_k(int64_t k, int64_t classes) {
  TORCH_CHECK(k >= 1 && k <= classes, "ivon: k must be in [1, ", classes, "], got ", k,
              "; use at most the number of classes");
}

// A number from 0 to 1; `name` and `remedy` go into the message.
inline void check_fraction(const char* name, double value, bool zero_allowed, const char* remedy) {
  TORCH_CHECK((zero_allowed ? value >= 0 : value > 0) && value <= 1, "ivon: ", name, " must be in ",
              zero_allowed ? "[" : "(", "0, 1], got ", value, "; ", remedy);
}

inline void check_floating(const char* name, const at::Tensor& values) {
  TORCH_CHECK(values.is_floating_point(), "ivon: ", name, " must be floating point, got ",
              values.scalar_type(), "; convert with to(torch::kDouble)");
}

// Shape [N] with N >= 1, floating point. NaN and infinities pass.
inline void check_vector(const char* name, const at::Tensor& values) {
  TORCH_CHECK(values.defined() && values.dim() == 1 && values.numel() > 0, "ivon: ", name,
              " must have the shape [N] with N >= 1, got ", shape_text(values),
              "; flatten other shapes with flatten()");
  check_floating(name, values);
}

inline void check_no_nan(const char* name, const at::Tensor& values) {
  const int64_t count = values.isnan().sum().item<int64_t>();
  TORCH_CHECK(count == 0, "ivon: ", name, " must not hold NaN, got ", count, " of ", values.numel(),
              "; drop these examples before");
}

inline void check_finite(const char* name, const at::Tensor& values) {
  const int64_t count = values.numel() - values.isfinite().sum().item<int64_t>();
  TORCH_CHECK(count == 0, "ivon: ", name, " must be finite, got ", count, " of ", values.numel(),
              " that are not; drop these examples before");
}

// What the functions of ranking.hpp take: `scores` [N] without NaN and `flags` [N] bool.
inline void check_scores_and_flags(const char* scores_name, const at::Tensor& scores,
                                   const char* flags_name, const at::Tensor& flags) {
  check_vector(scores_name, scores);
  TORCH_CHECK(flags.defined() && flags.sizes() == scores.sizes(), "ivon: ", flags_name,
              " must have the shape [", scores.size(0), "], got ", shape_text(flags),
              "; give one bool for each of ", scores_name);
  TORCH_CHECK(flags.scalar_type() == at::kBool, "ivon: ", flags_name, " must be bool, got ",
              flags.scalar_type(), "; compare with a value, for example labels == 1");
  check_device(flags_name, flags, scores_name, scores);
  check_no_nan(scores_name, scores);
}

// What the functions of regression.hpp take beside `targets`, which check_vector() has passed:
// floating point, of the shape of `targets` and on its device.
inline void check_like_targets(const char* name, const at::Tensor& values,
                               const at::Tensor& targets) {
  TORCH_CHECK(values.defined() && values.sizes() == targets.sizes(), "ivon: ", name,
              " must have the shape of targets, ", targets.sizes(), ", got ", shape_text(values),
              "; use flatten() or expand_as()");
  check_floating(name, values);
  check_device(name, values, "targets", targets);
}

// The finite targets of a regression and their predicted means.
inline void check_mean_and_targets(const at::Tensor& mean, const at::Tensor& targets) {
  check_vector("targets", targets);
  check_like_targets("mean", mean, targets);
  check_finite("targets", targets);
  check_finite("mean", mean);
}

// Finite and > 0, or >= 0 where `zero_allowed`.
inline void check_variance_range(const char* name, const at::Tensor& variance, bool zero_allowed) {
  check_finite(name, variance);
  const double least = variance.min().item<double>();
  TORCH_CHECK(zero_allowed ? least >= 0 : least > 0, "ivon: ", name, " must be ",
              zero_allowed ? ">= 0" : "> 0", ", got ", least,
              "; pass variances, not their logarithms");
}

inline void check_gaussians(const at::Tensor& mean, const at::Tensor& variance,
                            const at::Tensor& targets, bool zero_variance_allowed) {
  check_mean_and_targets(mean, targets);
  check_like_targets("variance", variance, targets);
  check_variance_range("variance", variance, zero_variance_allowed);
}

// One tensor [S, N] of a mixture's components, S >= 1.
inline void check_components(const char* name, const at::Tensor& values,
                             const at::Tensor& targets) {
  TORCH_CHECK(values.defined() && values.dim() == 2 && values.size(0) > 0 &&
                  values.size(1) == targets.size(0),
              "ivon: ", name, " must have the shape [S, ", targets.size(0), "] with S >= 1, got ",
              shape_text(values), "; stack one row for each component");
  check_floating(name, values);
  check_device(name, values, "targets", targets);
  check_finite(name, values);
}

}  // namespace detail

IVON_NAMESPACE_END
