// SPDX-License-Identifier: Apache-2.0
//
// Predicts real numbers by averaging over the posterior. A sample s of the weights predicts a
// Gaussian with mean mu_s and variance var_s, the noise in the data. The prediction is the mixture
// of these Gaussians:
//   mean = mean_s mu_s,  epistemic variance = variance of mu_s,  total variance = mean_s var_s +
//   epistemic variance.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/special_ndtr.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/posterior/internal/draws.hpp>
#include <ivon/posterior/predict_options.hpp>
#include <ivon/version.hpp>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// What a model predicts for one sample of the weights: means and variances of the noise, of one
/// shape. An undefined variance means 0.
struct GaussianOutput {
  at::Tensor mean;      ///< [...], floating point
  at::Tensor variance;  ///< [...], >= 0, or undefined
};

/// The averaged prediction of real numbers. Its tensors are float64 for float64 outputs and float32
/// otherwise, on the outputs' device, without gradient.
struct RegressionPrediction {
  at::Tensor mean;                ///< [...]
  at::Tensor epistemic_variance;  ///< [...], >= 0: of the samples' means; 0 with one sample
  at::Tensor noise_variance;      ///< [...], >= 0: mean of the samples' variances
  at::Tensor total_variance;      ///< [...], the sum of both
  int64_t samples = 0;            ///< number of samples in the average
};

/// Averages predictions of real numbers that come one sample at a time. It keeps all outputs, S
/// times their size, because the quantiles of a mixture need them.
class RegressionAccumulator {
 public:
  /// Adds one sample. Throws c10::Error, and adds nothing, if the tensors are not floating point,
  /// if mean and variance differ in shape, if a shape is not that of the first sample, or if a
  /// variance is negative or NaN.
  void add(const GaussianOutput& output) {
    const c10::NoGradGuard no_grad;
    TORCH_CHECK(output.mean.defined() && output.mean.is_floating_point(),
                "ivon: forward must return a floating-point mean, got ",
                output.mean.defined() ? c10::str(output.mean.scalar_type()) : "an undefined tensor",
                "; return the model's output");
    const at::Tensor mean = output.mean.to(at::kDouble);
    const at::Tensor variance =
        output.variance.defined() ? output.variance.to(at::kDouble) : at::zeros_like(mean);
    TORCH_CHECK(variance.sizes() == mean.sizes(), "ivon: the variance must have the shape of the ",
                "mean, ", mean.sizes(), ", got ", variance.sizes(), "; expand it");
    TORCH_CHECK(means_.empty() || mean.sizes() == means_.front().sizes(),
                "ivon: forward must return one shape for all samples, ",
                means_.empty() ? at::IntArrayRef() : means_.front().sizes(), ", got ", mean.sizes(),
                "; it must use the same inputs every time");
    TORCH_CHECK((variance >= 0).all().item<bool>(),
                "ivon: the variance must be >= 0, got a negative value or NaN; return a variance, "
                "not its logarithm");
    dtype_ = output.mean.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    means_.push_back(mean);
    variances_.push_back(variance);
  }

  /// Returns the number of samples that were added, 0 or more.
  int64_t count() const { return static_cast<int64_t>(means_.size()); }

  /// Returns the average over the samples added so far. The epistemic variance is the unbiased
  /// estimate, divided by S - 1. Throws c10::Error if no sample was added.
  RegressionPrediction result() const {
    const c10::NoGradGuard no_grad;
    const auto [means, variances] = stacked();
    const at::Tensor epistemic =
        count() > 1 ? means.var(0, /*unbiased=*/true) : at::zeros_like(means.select(0, 0));
    const at::Tensor noise = variances.mean(0);
    return {means.mean(0).to(dtype_), epistemic.to(dtype_), noise.to(dtype_),
            (epistemic + noise).to(dtype_), count()};
  }

  /// Returns the quantiles [Q, ...] of the mixture for Q levels between 0 and 1, exclusive, for
  /// instance {0.05, 0.95} for an interval of 90 %. Found by bisection to a relative 1e-12 of the
  /// mixture's range. Where all variances are 0 they are quantiles of the samples' means. Throws
  /// c10::Error if no sample was added or a level is out of range.
  at::Tensor quantiles(const std::vector<double>& levels) const {
    const c10::NoGradGuard no_grad;
    const auto [means, variances] = stacked();
    const at::Tensor deviations = variances.sqrt();
    std::vector<at::Tensor> found;
    for (const double level : levels) {
      TORCH_CHECK(level > 0 && level < 1, "ivon: a quantile's level must be between 0 and 1, got ",
                  level, "; 0.05 and 0.95 bound an interval of 90 %");
      found.push_back(quantile(means, deviations, level).to(dtype_));
    }
    TORCH_CHECK(!found.empty(),
                "ivon: quantiles need at least 1 level, got 0; 0.05 and 0.95 bound "
                "an interval of 90 %");
    return at::stack(found);
  }

 private:
  std::pair<at::Tensor, at::Tensor> stacked() const {
    TORCH_CHECK(count() > 0, "ivon: a prediction must have at least 1 sample, got 0; call add()");
    return {at::stack(means_), at::stack(variances_)};
  }

  static at::Tensor quantile(const at::Tensor& means, const at::Tensor& deviations, double level) {
    constexpr double kReach = 40;  // beyond 38 deviations a double's probability is 0
    at::Tensor low = (means - deviations * kReach).amin(0);
    at::Tensor high = (means + deviations * kReach).amax(0);
    constexpr int kHalvings = 60;
    for (int i = 0; i < kHalvings; ++i) {
      const at::Tensor middle = (low + high) * 0.5;
      const at::Tensor gap = middle - means;
      // A component without noise jumps from 0 to 1 at its mean.
      const at::Tensor below =
          at::where(deviations > 0, at::special_ndtr(gap / deviations), (gap >= 0).to(at::kDouble));
      const at::Tensor too_low = below.mean(0) < level;
      low = at::where(too_low, middle, low);
      high = at::where(too_low, high, middle);
    }
    return high;
  }

  std::vector<at::Tensor> means_, variances_;  // of each sample, in float64
  at::ScalarType dtype_ = at::kFloat;
};

/// Averages the prediction of `forward` over draws of a module's weights from `source`, a Posterior
/// or an ivon::IVON. `forward` is called without arguments once per sample, while the module holds
/// that sample, is in evaluation mode, and gradients are off. It returns a GaussianOutput, or a
/// tensor of means, for which the noise has the variance 0. `samples` = 0 predicts at the mean.
///
/// Returns the accumulator, whose result() has the mean and the variances and whose quantiles()
/// have intervals. The options `tolerance` and `fresh_samples` have no effect. When it returns or
/// throws, the module holds what it held before. Throws c10::Error as predict() does.
template <class Source, class Module, class Forward>
RegressionAccumulator predict_regression(Source& source, Module& module, Forward&& forward,
                                         const PredictOptions& options = {}) {
  options.validate();
  const c10::NoGradGuard no_grad;
  const detail::EvaluationMode<Module> evaluating(module);
  auto draws = detail::DrawsOf<Source, Module>::make(source, module);
  RegressionAccumulator average;
  const auto visit = [&] {
    if constexpr (std::is_convertible_v<decltype(forward()), at::Tensor>) {
      average.add({forward(), {}});
    } else {
      average.add(forward());
    }
  };
  detail::for_each_sample(draws, options, visit, [](int64_t) { return false; });
  return average;
}

IVON_NAMESPACE_END
