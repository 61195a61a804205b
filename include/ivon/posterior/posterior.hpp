// SPDX-License-Identifier: Apache-2.0
// The Gaussian posterior as a value of its own: what a program keeps, saves, loads, samples and
// compares after training.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/isfinite.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/noise.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/posterior/internal/bound_module.hpp>
#include <ivon/posterior/internal/module_parameters.hpp>
#include <ivon/posterior/internal/posterior_file.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// A Gaussian q = N(mean, 1 / precision) with diagonal precision over named tensors.
///
/// It is independent of the optimizer and of the modules once it is made. Copies share the tensors,
/// so a copy costs next to nothing; do not write to the tensors that a Posterior returns. A copy
/// has its own position in the noise, and different threads use different copies.
///
/// Wherever a function takes a module, it may be a torch::nn::Module or a torch::jit::Module. A
/// module fits if each of its parameters is in the posterior or among left_out(), if the posterior
/// has no other names, and if the shapes are equal. Otherwise the function throws c10::Error with a
/// list of all differences and changes nothing. A tied weight may be known by any of its names.
class Posterior {
 public:
  /// Makes a posterior from tensors. `ess` is the effective sample size lambda, with which
  /// precision / ess is h + delta; leave it out if there is no such number. `left_out` names
  /// parameters of the module that are not part of the posterior and keep the module's value, such
  /// as frozen ones.
  ///
  /// Throws c10::Error if a name is empty or occurs twice, or if a tensor is not as
  /// PosteriorParameter describes it.
  explicit Posterior(std::vector<PosteriorParameter> parameters, std::optional<double> ess = {},
                     std::vector<std::string> left_out = {})
      : parameters_(std::move(parameters)), ess_(ess), left_out_(std::move(left_out)) {
    TORCH_CHECK(!ess || (*ess > 0 && std::isfinite(*ess)), "ivon: ess must be finite and > 0, got ",
                ess.value_or(0), "; leave it out if it is unknown");
    for (const PosteriorParameter& parameter : parameters_) {
      parameter.check();
      const bool is_new = places_.emplace(parameter.name, places_.size()).second;
      TORCH_CHECK(is_new, "ivon: a posterior has a name once, but '", parameter.name,
                  "' is there twice; rename one of them");
    }
  }

  /// Returns the posterior that an optimizer has learned over the parameters of a module, with
  /// copies of its tensors. precision = ess (h + weight_decay), and the prior is N(0, 1 / (ess
  /// weight_decay)) where weight_decay > 0. Parameters of the module that the optimizer does not
  /// train become left_out(). It may be called at any time, also while the module shows a sample,
  /// and before training, when h is hess_init.
  ///
  /// Throws c10::Error if the optimizer trains a parameter that the module does not have.
  template <class Estimator, class Module>
  static Posterior of(const IVON<Estimator>& optimizer, const Module& module);

  /// Returns the names of the parameters, in the order of the module.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    names.reserve(parameters_.size());
    for (const PosteriorParameter& parameter : parameters_) names.push_back(parameter.name);
    return names;
  }
  /// Returns all parameters.
  const std::vector<PosteriorParameter>& parameters() const { return parameters_; }
  /// Returns one parameter. Throws c10::Error if there is none of this name.
  const PosteriorParameter& parameter(const std::string& name) const {
    const auto found = places_.find(name);
    TORCH_CHECK(found != places_.end(), "ivon: the posterior has no parameter '", name,
                "'; names() lists them");
    return parameters_[found->second];
  }
  /// Returns the mean of a parameter: float64 for a float64 parameter, else float32.
  const at::Tensor& mean(const std::string& name) const { return parameter(name).mean; }
  /// Returns the precision of a parameter, which is 1 / variance, > 0. Shape and type are those of
  /// the mean.
  const at::Tensor& precision(const std::string& name) const { return parameter(name).precision; }
  /// Returns the names of the module's parameters that are not part of the posterior.
  const std::vector<std::string>& left_out() const { return left_out_; }

  /// Whether the effective sample size is known.
  bool has_ess() const { return ess_.has_value(); }
  /// Returns the effective sample size lambda. Throws c10::Error if it is not known: the posterior
  /// was made without one, or of an optimizer whose groups differ in it.
  double ess() const {
    TORCH_CHECK(ess_.has_value(),
                "ivon: the posterior must have one effective sample size, but it was made without "
                "one or of groups that differ in it; give ess to the constructor");
    return *ess_;
  }

  /// Returns |mean| / standard deviation of every weight of a parameter, >= 0, in the shape of the
  /// parameter.
  at::Tensor signal_to_noise(const std::string& name) const {
    const PosteriorParameter& p = parameter(name);
    return p.mean.abs() * p.precision.sqrt();
  }

  /// Returns the Kullback-Leibler divergence KL(q || prior) in nats, >= 0. With s for the precision
  /// and s0 and m0 for the prior's, it is half the sum of s0/s - 1 - log(s0/s) + s0 (m - m0)^2.
  ///
  /// Throws c10::Error if a parameter has no prior.
  double kl() const {
    const detail::PlainTensors plain;
    double total = 0;
    for (const PosteriorParameter& p : parameters_) total += p.kl();
    return total;
  }

  /// Returns the evidence lower bound in nats, -(ess mean_loss + KL(q || prior)). `mean_loss` is
  /// the expectation under q of the mean loss per example in nats, which a program estimates by the
  /// mean over samples. Throws c10::Error where kl() and ess() do.
  double elbo(double mean_loss) const { return -(ess() * mean_loss + kl()); }

  /// Returns the posterior with `tau` times the precision, tau > 0: with tau > 1 a narrower one, as
  /// if there were tau times the data. The effective sample size is multiplied as well, so
  /// precision / ess stays; the prior stays. Throws c10::Error if tau is not finite and > 0.
  Posterior tempered(double tau) const {
    TORCH_CHECK(tau > 0 && std::isfinite(tau), "ivon: tau must be finite and > 0, got ", tau,
                "; 1 changes nothing");
    const detail::PlainTensors plain;
    Posterior result = *this;
    for (PosteriorParameter& p : result.parameters_) {
      p.precision = p.precision * tau;
      p.check();
    }
    if (ess_) result.ess_ = *ess_ * tau;
    return result;
  }

  /// Returns the posterior with its tensors on a device.
  Posterior to(const at::Device& device) const {
    Posterior result = *this;
    for (PosteriorParameter& p : result.parameters_) {
      for (at::Tensor* tensor : {&p.mean, &p.precision, &p.prior_mean, &p.prior_precision}) {
        if (tensor->defined()) *tensor = tensor->to(device);
      }
    }
    return result;
  }

  /// Sets the seed of the samples and starts their noise from its beginning. The seed is 0 before.
  void manual_seed(uint64_t seed) { noise_ = detail::NoiseStream{seed}; }

  /// Shows a sample in the module until the guard ends; then the module holds bit for bit what it
  /// held before. The samples follow from the seed and from the number of samples drawn so far, not
  /// from the module. Throws c10::Error if the module does not fit, or while it shows another
  /// sample.
  template <class Module>
  [[nodiscard]] SampledParams sampled_params(Module& module) {
    return bind(module).sample(next_noise());
  }

  /// Shows the mean in the module until the guard ends; then the module holds bit for bit what it
  /// held before. Throws c10::Error as sampled_params() does.
  template <class Module>
  [[nodiscard]] SampledParams mean_params(Module& module) const {
    return bind(module).mean();
  }

  /// Writes the mean to the module's parameters. Throws c10::Error as sampled_params() does.
  template <class Module>
  void apply_mean(Module& module) const {
    bind(module).write_mean();
  }

  /// Writes the posterior to a file, which appears under its name only when all of it is on disk.
  /// Python reads it with torch.load(file, weights_only=True); docs/posterior.md describes it.
  ///
  /// Throws c10::Error that names the file and the reason if it cannot be written; a previous file
  /// of that name is then unchanged.
  void save(const std::string& file) const {
    const detail::PlainTensors plain;
    detail::write_posterior(file, {parameters_, ess_, left_out_});
  }
  /// Reads what save() or Python wrote, to the CPU. Lengths and checksums of the whole file are
  /// verified before anything in it is interpreted, and reading runs no code of the file.
  ///
  /// Throws c10::Error that names the file and the reason if it is missing, damaged, of another
  /// format or of a newer version.
  static Posterior load(const std::string& file) {
    const detail::PlainTensors plain;
    std::string reason;
    try {
      detail::PosteriorContent content = detail::PosteriorReader(file).content();
      return Posterior(std::move(content.parameters), content.ess, std::move(content.left_out));
    } catch (const c10::Error& error) {
      reason = error.what_without_backtrace();
    } catch (const std::exception& error) {
      reason = error.what();
    }
    C10_THROW_ERROR(Error, c10::str("ivon: ", file, " cannot be read as a posterior: ", reason));
  }

  /// For functions that draw many samples: connects the posterior with a module once.
  template <class Module>
  detail::BoundModule bind(Module& module) const {
    return {parameters_, left_out_, detail::module_parameters(module)};
  }
  /// For functions that draw through bind(): returns the noise key of the next sample and counts
  /// the sample.
  detail::NoiseKey next_noise() { return noise_.next(detail::NoiseDomain::kPrediction); }

 private:
  std::vector<PosteriorParameter> parameters_;
  std::unordered_map<std::string, size_t> places_;  // of names in parameters_
  std::optional<double> ess_;
  std::vector<std::string> left_out_;
  detail::NoiseStream noise_;
};

namespace detail {

// Returns the posterior and the prior of one parameter. A state without tensors is that of a
// parameter before its first sample.
inline PosteriorParameter posterior_parameter(const std::string& name, const at::Tensor& mean,
                                              const IVONOptions& options,
                                              const IVONParamState& state) {
  const PosteriorScale scale = posterior_scale(options);
  const aten::Prior prior = aten::prior_of(state.prior_mean(), state.prior_precision(), scale);
  const at::Tensor hess =
      state.hess().defined() ? state.hess() : at::full_like(mean, options.hess_init());
  PosteriorParameter parameter{name, mean, aten::damped_hess(hess, scale, prior) * scale.ess};
  if (state.prior_precision().defined()) {
    parameter.prior_precision = state.prior_precision().clone();
    if (state.prior_mean().defined()) parameter.prior_mean = state.prior_mean().clone();
  } else if (scale.weight_decay > 0) {
    parameter.prior_precision = at::full({}, scale.ess * scale.weight_decay, mean.options());
  }
  return parameter;
}

}  // namespace detail

template <class Estimator, class Module>
Posterior Posterior::of(const IVON<Estimator>& optimizer, const Module& module) {
  const detail::PlainTensors plain;
  std::unordered_map<const at::TensorImpl*, const IVONOptions*> trained;
  std::optional<double> ess;
  bool one_ess = true;
  for (const auto& group : optimizer.param_groups()) {
    const auto& options = static_cast<const IVONOptions&>(group.options());
    one_ess = one_ess && (!ess || *ess == options.ess());
    ess = options.ess();
    for (const at::Tensor& tensor : group.params()) {
      if (tensor.requires_grad()) trained.emplace(tensor.unsafeGetTensorImpl(), &options);
    }
  }
  std::vector<PosteriorParameter> parameters;
  std::vector<std::string> left_out;
  for (const detail::ModuleParameter& found : detail::module_parameters(module)) {
    const auto entry = trained.find(found.tensor.unsafeGetTensorImpl());
    if (entry == trained.end()) {
      left_out.insert(left_out.end(), found.names.begin(), found.names.end());
      continue;
    }
    const IVONOptions& options = *entry->second;
    // Before the first sample of a parameter there is no state.
    const bool sampled = optimizer.state().count(found.tensor.unsafeGetTensorImpl()) > 0;
    parameters.push_back(detail::posterior_parameter(
        found.names.front(), optimizer.mean(found.tensor), options,
        sampled ? optimizer.param_state(found.tensor) : IVONParamState()));
    trained.erase(entry);
  }
  TORCH_CHECK(trained.empty(), "ivon: the module must have all parameters that the optimizer ",
              "trains, but lacks ", trained.size(),
              " of them; pass the module that the optimizer was made for");
  return Posterior(std::move(parameters), one_ess ? ess : std::nullopt, std::move(left_out));
}

IVON_NAMESPACE_END
