// SPDX-License-Identifier: Apache-2.0
// Merges the posteriors of several models of one architecture into one, without training.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <torch/arg.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/version.hpp>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// Options of merge() and MergeSweep.
class MergeOptions {
  /// The weights a_t, one finite number for each model. Empty, as by default: 1 each.
  TORCH_ARG(std::vector<double>, weights);
  /// The posterior from which all models were finetuned, or the prior N(m0, 1 / s0) that they
  /// share, with m0 as its mean and s0 as its precision. Without it, as by default, m0 = s0 = 0.
  TORCH_ARG(std::optional<Posterior>, base);
};

namespace detail {

/// A Gaussian with diagonal precision.
struct Gaussian {
  at::Tensor mean;       ///< of any shape
  at::Tensor precision;  ///< in the shape of the mean or 0-dimensional
};

/// The formula of merge(), for one parameter and in float64 on the device of the first model's
/// mean. Undefined tensors of the base count as 0. The precision can come out <= 0.
inline Gaussian merge_gaussians(const std::vector<Gaussian>& models,
                                const std::vector<double>& weights, const Gaussian& base) {
  const at::TensorOptions wide = models.front().mean.options().dtype(at::kDouble);
  const auto widen = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(wide.device(), at::kDouble) : at::zeros({}, wide);
  };
  const at::Tensor m0 = widen(base.mean);
  const at::Tensor s0 = widen(base.precision);
  at::Tensor shift = at::zeros(models.front().mean.sizes(), wide);
  at::Tensor precision = shift + s0;
  for (size_t t = 0; t < models.size(); ++t) {
    const at::Tensor s = widen(models[t].precision);
    precision.add_(s - s0, weights[t]);
    shift.add_(s * (widen(models[t].mean) - m0), weights[t]);
  }
  return {shift.div_(precision).add_(m0), precision};
}

/// Returns gaussian(model) of each model.
template <class OfModel>
std::vector<Gaussian> terms_of(const std::vector<Posterior>& models, const OfModel& gaussian) {
  std::vector<Gaussian> terms;
  terms.reserve(models.size());
  for (const Posterior& model : models) terms.push_back(gaussian(model));
  return terms;
}

/// Adds to `differences` a line for each name or shape in which `model` differs from `first`.
inline void list_differences(const Posterior& first, const Posterior& model,
                             const std::string& what, std::ostream& differences) {
  const std::vector<std::string> names = model.names();
  const std::unordered_set<std::string> known(names.begin(), names.end());
  std::unordered_set<std::string> expected;
  for (const PosteriorParameter& p : first.parameters()) {
    expected.insert(p.name);
    if (known.count(p.name) == 0) {
      differences << "\n  " << what << ": has no '" << p.name << "'";
    } else if (model.mean(p.name).sizes() != p.mean.sizes()) {
      differences << "\n  " << what << ": '" << p.name << "' has the shape "
                  << model.mean(p.name).sizes() << ", not " << p.mean.sizes();
    }
  }
  for (const std::string& name : names) {
    if (expected.count(name) == 0) {
      differences << "\n  " << what << ": '" << name << "' is not in the first model";
    }
  }
}

/// Throws c10::Error if there is no model, or with a list of all differences in names and shapes.
inline void check_same_architecture(const std::vector<Posterior>& models,
                                    const std::optional<Posterior>& base) {
  TORCH_CHECK(!models.empty(),
              "ivon: models must have at least 1 posterior, got 0; pass those "
              "that are to be merged");
  std::ostringstream differences;
  for (size_t t = 1; t < models.size(); ++t) {
    list_differences(models.front(), models[t], "model " + std::to_string(t), differences);
  }
  if (base) list_differences(models.front(), *base, "the base", differences);
  TORCH_CHECK(differences.str().empty(),
              "ivon: models and base must have the names and shapes of the first model, model 0, "
              "but they differ:",
              differences.str(), "\nMerge models of one architecture.");
}

/// Returns the weights, or 1 for each model if they are empty. Throws c10::Error if their number is
/// another one than that of the models, or if one is not finite.
inline std::vector<double> weights_for(size_t models, const std::vector<double>& weights) {
  if (weights.empty()) return std::vector<double>(models, 1.0);
  TORCH_CHECK(weights.size() == models, "ivon: weights must have one number for each of the ",
              models, " models, got ", weights.size(), "; leave them out for 1 each");
  for (size_t t = 0; t < models; ++t) {
    TORCH_CHECK(std::isfinite(weights[t]), "ivon: weights must be finite, got ", weights[t],
                " for model ", t, "; 0 leaves a model out");
  }
  return weights;
}

/// Returns the merged Gaussian of one parameter in float64. Throws c10::Error where its precision
/// is not > 0.
inline Gaussian merged_parameter(const std::vector<Posterior>& models,
                                 const std::vector<double>& weights,
                                 const std::optional<Posterior>& base, const std::string& name) {
  const auto gaussian = [&](const Posterior& q) {
    return Gaussian{q.mean(name), q.precision(name)};
  };
  Gaussian merged =
      merge_gaussians(terms_of(models, gaussian), weights, base ? gaussian(*base) : Gaussian());
  const int64_t right = (merged.precision > 0).sum().item<int64_t>();
  const int64_t count = merged.precision.numel();
  TORCH_CHECK(right == count, "ivon: the merged precision must be > 0, but ", count - right, " of ",
              count, " elements of '", name, "' are not; choose ",
              base ? "smaller weights or leave the base out" : "weights > 0");
  return merged;
}

/// Returns `parameter` with the prior that the merged posterior has, as merge() documents it.
inline PosteriorParameter with_merged_prior(PosteriorParameter parameter,
                                            const std::vector<Posterior>& models,
                                            const std::optional<Posterior>& base) {
  const auto same = [](const at::Tensor& a, const at::Tensor& b) {
    if (!a.defined() || !b.defined()) return a.defined() == b.defined();
    return a.device() == b.device() && a.scalar_type() == b.scalar_type() && at::equal(a, b);
  };
  const PosteriorParameter& from = (base ? *base : models.front()).parameter(parameter.name);
  if (!base) {
    for (const Posterior& model : models) {
      const PosteriorParameter& other = model.parameter(parameter.name);
      if (!same(other.prior_mean, from.prior_mean)) return parameter;
      if (!same(other.prior_precision, from.prior_precision)) return parameter;
    }
  }
  const at::TensorOptions options = parameter.mean.options();
  if (from.prior_mean.defined()) parameter.prior_mean = from.prior_mean.to(options);
  if (from.prior_precision.defined()) parameter.prior_precision = from.prior_precision.to(options);
  return parameter;
}

/// Returns the effective sample size of the merged posterior, as merge() documents it.
inline std::optional<double> merged_ess(const std::vector<Posterior>& models,
                                        const std::vector<double>& weights,
                                        const std::optional<Posterior>& base) {
  if (base && !base->has_ess()) return {};
  const double start = base ? base->ess() : 0;
  double ess = start;
  for (size_t t = 0; t < models.size(); ++t) {
    if (!models[t].has_ess()) return {};
    ess += weights[t] * (models[t].ess() - start);
  }
  if (ess > 0 && std::isfinite(ess)) return ess;
  return {};
}

}  // namespace detail

/// Merges posteriors N(m_t, 1 / s_t) of models of one architecture, weight by weight:
///   precision P = s0 + sum_t a_t (s_t - s0),  mean = m0 + sum_t a_t s_t (m_t - m0) / P.
///
/// With a base and all a_t = 1, this is exactly the product of the posteriors in which the base
/// that they share, N(m0, 1 / s0), is counted once: what training on the data of all models would
/// give if the posteriors were Gaussian with diagonal precision (Daheim et al. 2024, arXiv
/// 2310.12808, in other notation). Without a base the mean is sum a_t s_t m_t / sum a_t s_t, the
/// average weighted by the precision that federated learning uses (FedIvon, arXiv 2411.18385), and
/// a prior that the models share is counted once per model.
///
/// Computes in float64. The result has the names and left_out() of the first model, and the type
/// and device of its means; parameters are matched by name. Its effective sample size is merged in
/// the same way, lambda0 + sum a_t (lambda_t - lambda0), where lambda0 = 0 without a base; it is
/// unknown if one of them is unknown or if the result is not > 0. Its prior is the base's prior,
/// and without a base the prior of the first model if those of all models are equal tensors; else
/// it has none. Its noise starts from its beginning with the seed 0.
///
/// Throws c10::Error if there is no model, if names or shapes differ, if the weights are not as
/// MergeOptions describes them, or where P is not > 0, which happens where the models are less
/// certain than their base or where weights are negative.
inline Posterior merge(const std::vector<Posterior>& models, const MergeOptions& options = {}) {
  const detail::PlainTensors plain;
  const std::optional<Posterior>& base = options.base();
  detail::check_same_architecture(models, base);
  const std::vector<double> weights = detail::weights_for(models.size(), options.weights());
  std::vector<PosteriorParameter> parameters;
  for (const PosteriorParameter& first : models.front().parameters()) {
    const detail::Gaussian merged = detail::merged_parameter(models, weights, base, first.name);
    PosteriorParameter parameter;
    parameter.name = first.name;
    parameter.mean = merged.mean.to(first.mean.scalar_type());
    parameter.precision = merged.precision.to(first.mean.scalar_type());
    parameters.push_back(detail::with_merged_prior(std::move(parameter), models, base));
  }
  return Posterior(std::move(parameters), detail::merged_ess(models, weights, base),
                   models.front().left_out());
}

namespace detail {

/// Returns merge() without a base, but with the means that come out if all precisions are 1.
inline Posterior merge_means(const std::vector<Posterior>& models,
                             const std::vector<double>& weights,
                             const std::optional<Posterior>& base) {
  const PlainTensors plain;
  check_same_architecture(models, base);
  const Posterior merged = merge(models, MergeOptions().weights(weights));
  const std::vector<double> a = weights_for(models.size(), weights);
  std::vector<PosteriorParameter> parameters = merged.parameters();
  for (PosteriorParameter& parameter : parameters) {
    const auto certain = [&](const Posterior& q) {
      return Gaussian{q.mean(parameter.name), at::ones({})};
    };
    const Gaussian mean =
        merge_gaussians(terms_of(models, certain), a, base ? certain(*base) : Gaussian());
    parameter.mean = mean.mean.to(parameter.mean.scalar_type());
  }
  const std::optional<double> ess =
      merged.has_ess() ? std::optional<double>(merged.ess()) : std::nullopt;
  return Posterior(std::move(parameters), ess, merged.left_out());
}

}  // namespace detail

/// Averages the means, sum a_t m_t / sum a_t, to compare with merge(). Everything else is that of
/// merge() with these weights and without a base, so the noise can be compared too. Empty weights:
/// 1 each.
///
/// Throws c10::Error as merge() does, and if the sum of the weights is not > 0.
inline Posterior average(const std::vector<Posterior>& models,
                         const std::vector<double>& weights = {}) {
  const std::vector<double> a = detail::weights_for(models.size(), weights);
  const double sum = std::accumulate(a.begin(), a.end(), 0.0);
  TORCH_CHECK(a.empty() || (sum > 0 && std::isfinite(sum)),
              "ivon: the weights of an average must have a finite sum > 0, got ", sum,
              "; they are divided by it");
  return detail::merge_means(models, weights, std::nullopt);
}

/// Adds what finetuning has changed to the mean of the base, m0 + sum a_t (m_t - m0), to compare
/// with merge() (task arithmetic, Ilharco et al. 2023, arXiv 2212.04089). Everything else is that
/// of merge() with these weights and without a base. Empty weights: 1 each.
///
/// Throws c10::Error as merge() does.
inline Posterior task_arithmetic(const std::vector<Posterior>& models, const Posterior& base,
                                 const std::vector<double>& weights = {}) {
  return detail::merge_means(models, weights, base);
}

/// Shows the merged means of many weights in a module one after the other, for instance to find
/// the Pareto front of several tasks (arXiv 2412.08147). No merged posterior is made: one parameter
/// at a time is merged in float64 on the device of the first model, straight into a buffer of the
/// module's size, which is freed when the guard ends. Put the models on the module's device:
/// otherwise show() also copies the first model there.
class MergeSweep {
 public:
  /// Keeps the models, whose tensors it shares. Throws c10::Error as merge() does for models that
  /// differ in names or shapes.
  explicit MergeSweep(std::vector<Posterior> models, MergeOptions options = {})
      : models_(std::move(models)), options_(std::move(options)) {
    detail::check_same_architecture(models_, options_.base());
  }

  /// Shows the mean of merge() with these weights in the module until the guard ends; then the
  /// module holds bit for bit what it held before. Empty weights: those of the options. The guard's
  /// mirror() has no meaning here.
  ///
  /// Throws c10::Error where merge() and Posterior::sampled_params() do, and changes nothing then.
  template <class Module>
  [[nodiscard]] SampledParams show(const std::vector<double>& weights, Module& module) const {
    const std::vector<double> a =
        detail::weights_for(models_.size(), weights.empty() ? options_.weights() : weights);
    const auto write = [&](size_t place, const at::Tensor&, const at::Tensor& buffer) {
      const std::string& name = models_.front().parameters()[place].name;
      buffer.copy_(detail::merged_parameter(models_, a, options_.base(), name).mean);
    };
    return models_.front().bind(module).show_values(write);
  }

 private:
  std::vector<Posterior> models_;
  MergeOptions options_;
};

IVON_NAMESPACE_END
