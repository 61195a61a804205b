// SPDX-License-Identifier: Apache-2.0
// One named tensor of a posterior: mean, precision and prior.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/where.h>
#include <c10/util/Exception.h>

#include <ivon/version.hpp>
#include <string>

IVON_NAMESPACE_BEGIN

/// One parameter of a Posterior. All tensors are dense, lie on one device and have the type of
/// `mean`.
struct PosteriorParameter {
  /// The name that the module's named_parameters() gives; not empty.
  std::string name;
  /// The mean m, float32 or float64, finite, of any shape.
  at::Tensor mean;
  /// The precision s = 1 / variance, finite and > 0, in the shape of `mean`.
  at::Tensor precision;
  /// The prior's mean m0 in the shape of `mean`; undefined: 0.
  at::Tensor prior_mean = {};
  /// The prior's precision s0, finite and > 0, 0-dimensional or in the shape of `mean`; undefined:
  /// there is no prior.
  at::Tensor prior_precision = {};

  /// Throws c10::Error if a tensor is not as described.
  void check() const {
    TORCH_CHECK(!name.empty(), "ivon: a posterior's parameter must have a name, got an empty one");
    TORCH_CHECK(mean.defined() && mean.layout() == at::kStrided &&
                    (mean.scalar_type() == at::kFloat || mean.scalar_type() == at::kDouble),
                "ivon: the mean of '", name, "' must be a dense float32 or float64 tensor, got ",
                mean.defined() ? c10::str(mean.scalar_type()) : "an undefined tensor",
                "; convert it with to(torch::kFloat)");
    TORCH_CHECK(precision.defined(), "ivon: the precision of '", name,
                "' must be a tensor of the mean's shape, got an undefined tensor; give 1 / "
                "variance");
    check_like_mean(precision, "precision", /*scalar=*/false);
    check_values(at::isfinite(mean), "mean", "finite", "train with a smaller learning rate");
    check_positive(precision, "precision");
    if (prior_mean.defined()) {
      check_like_mean(prior_mean, "prior_mean", /*scalar=*/false);
      check_values(at::isfinite(prior_mean), "prior_mean", "finite", "leave it undefined for 0");
    }
    if (prior_precision.defined()) {
      check_like_mean(prior_precision, "prior_precision", /*scalar=*/true);
      check_positive(prior_precision, "prior_precision");
    }
  }

  /// Returns KL(q || prior) of this parameter in nats, summed over its elements. Throws c10::Error
  /// if there is no prior.
  double kl() const {
    TORCH_CHECK(prior_precision.defined(), "ivon: KL(q || prior) needs a prior, but '", name,
                "' has none; train with weight_decay > 0 or set its prior_precision");
    const at::Tensor s0 = prior_precision.to(at::kDouble);
    at::Tensor distance = mean.to(at::kDouble);
    if (prior_mean.defined()) distance = distance - prior_mean.to(at::kDouble);
    // Near a ratio of 1, ratio - 1 - log(ratio) cancels, and log1p keeps it accurate.
    const at::Tensor ratio = s0 / precision.to(at::kDouble);
    const at::Tensor u = ratio - 1;
    const at::Tensor log_ratio = at::where(ratio > 0.5, u.log1p(), ratio.log());
    return 0.5 * (u - log_ratio + s0 * distance.square()).sum().item<double>();
  }

 private:
  void check_like_mean(const at::Tensor& tensor, const char* what, bool scalar) const {
    const bool right_shape = tensor.sizes() == mean.sizes() || (scalar && tensor.dim() == 0);
    TORCH_CHECK(tensor.layout() == at::kStrided && right_shape &&
                    tensor.scalar_type() == mean.scalar_type() && tensor.device() == mean.device(),
                "ivon: the ", what, " of '", name, "' must be like its mean, ", mean.scalar_type(),
                " ", mean.sizes(), " on ", mean.device(), ", got ", tensor.scalar_type(), " ",
                tensor.sizes(), " on ", tensor.device(), "; convert it");
  }
  void check_positive(const at::Tensor& tensor, const char* what) const {
    check_values(at::isfinite(tensor).logical_and_(tensor > 0), what, "finite and > 0",
                 "it is 1 / variance");
  }
  void check_values(const at::Tensor& right, const char* what, const char* rule,
                    const char* remedy) const {
    const int64_t wrong = right.numel() - right.sum().item<int64_t>();
    TORCH_CHECK(wrong == 0, "ivon: the ", what, " of '", name, "' must be ", rule, ", but ", wrong,
                " of ", right.numel(), " elements are not; ", remedy);
  }
};

IVON_NAMESPACE_END
