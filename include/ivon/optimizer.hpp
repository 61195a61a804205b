// SPDX-License-Identifier: Apache-2.0
// The IVON optimizer. It takes the place of AdamW in a training loop and learns a Gaussian
// posterior over the weights.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ivon/dispatch/passes.hpp>
#include <ivon/estimator.hpp>
#include <ivon/noise.hpp>
#include <ivon/options.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/sampling/one_caller.hpp>
#include <ivon/sampling/parameter_list.hpp>
#include <ivon/sampling/parameter_table.hpp>
#include <ivon/sampling/sampling_core.hpp>
#include <ivon/state.hpp>
#include <ivon/values/update_coefficients.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// A prior N(mean, 1 / precision) for one parameter; IVON::set_priors() takes it.
struct ParameterPrior {
  /// A parameter that the optimizer trains.
  at::Tensor parameter;
  /// The mean in the parameter's shape, finite; undefined: 0. It is copied.
  at::Tensor mean;
  /// The precision in the parameter's shape or 0-dimensional, finite and > 0. It is copied.
  /// Undefined: the parameter has no prior of its own any more.
  at::Tensor precision;
};

/// Improved Variational Online Newton (Shen et al., ICML 2024, arXiv 2402.17641, Algorithm 1).
///
/// Keeps a Gaussian posterior N(m, 1 / (ess (h + weight_decay))) over the parameters, given the
/// MEAN loss per example in nats. Outside a sample the parameters hold the mean m. Not copyable;
/// movable, also while a sample is shown. Not thread-safe: a call throws c10::Error while another
/// thread is inside a call of the same optimizer (docs/threads.md).
///
/// As a class member, in a smart pointer or a function parameter write `ivon::IVON<>`; for a
/// variable the estimator is deduced.
template <class Estimator = PriceEstimator>
class IVON : public torch::optim::Optimizer {
  static_assert(detail::check_estimator<Estimator, float>());
  static_assert(detail::check_estimator<Estimator, double>());
  static_assert(detail::check_estimator<Estimator, at::Tensor>());

 public:
  /// Builds an optimizer of several parameter groups. A group inherits from `defaults` every option
  /// that it does not set. The seed of the noise comes from LibTorch's default CPU generator.
  ///
  /// Each parameter must be a dense leaf tensor of type float32, float64, bfloat16 or float16 with
  /// memory of its own. Parameters that do not require gradients are frozen: they may be in a
  /// group, but are never sampled.
  ///
  /// Throws c10::Error if an option is out of range (see IVONOptions::validate()), if a group sets
  /// mc_samples, sample_on_step or capturable to another value than `defaults`, if a tensor is not
  /// as described, is listed in two groups or overlaps another one in memory, or if a parameter
  /// shows a sample of another optimizer.
  explicit IVON(std::vector<torch::optim::OptimizerParamGroup> groups, IVONOptions defaults);
  /// Builds an optimizer of one parameter group, for instance of `model->parameters()`. The
  /// requirements and errors are those of the constructor for several groups.
  explicit IVON(std::vector<at::Tensor> params, IVONOptions defaults)
      : IVON(std::vector<torch::optim::OptimizerParamGroup>{{std::move(params)}},
             std::move(defaults)) {}

  /// Shows a posterior sample theta ~ q in the module until the guard ends. If gradients are
  /// enabled, theta is a training sample, whose gradients the next step() uses. Under NoGradGuard
  /// or InferenceMode it is a sample for prediction, from a noise stream of its own. With
  /// `sample_on_step` only samples for prediction are allowed; the training sample is shown again
  /// afterwards.
  ///
  /// Throws c10::Error while another guard shows a sample, and with `sample_on_step` if gradients
  /// are enabled.
  [[nodiscard]] SampledParams sampled_params();

  /// Makes one update from all training samples since the last update. Without a closure it returns
  /// an undefined tensor.
  ///
  /// A closure computes the loss, calls backward() and returns the loss. step() then draws
  /// `mc_samples` further samples, calls the closure at each of them and returns their mean loss.
  /// If the closure throws, these samples are dropped and nothing else changes.
  ///
  /// With `sample_on_step` it uses the gradients at the sample that the module shows, then draws
  /// and shows the next sample.
  ///
  /// Throws c10::Error if there is no sample with gradients, and while sampled_params() shows a
  /// sample.
  at::Tensor step(LossClosure closure = nullptr) override;

  /// Clears the gradients as the base class does. If a sample has ended and its gradients were not
  /// read yet, they are read first, so that the next step() can use them.
  void zero_grad(bool set_to_none = true);

  /// Adds a parameter group. The group inherits from the optimizer every option that it does not
  /// set. Throws c10::Error as the constructor does, and while sampled_params() shows a sample.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  /// Returns the state of a parameter. With `capturable` the call waits for the device.
  ///
  /// Throws c10::Error before the parameter's first sample, and if `param` is frozen or is not a
  /// parameter of this optimizer.
  const IVONParamState& param_state(const at::Tensor& param) const;

  /// Returns a copy of a parameter's posterior mean, also while the module shows a sample. It has
  /// the shape of `param` and is float64 for a float64 parameter, else float32.
  ///
  /// Throws c10::Error if `param` is not a parameter of this optimizer, or if another optimizer
  /// shows a sample in it.
  at::Tensor mean(const at::Tensor& param) const;

  /// Gives parameters priors N(mean, 1 / precision) of their own: the precision of the posterior is
  /// ess h plus the prior's, and steps are drawn towards the prior's mean. This serves continual
  /// learning, finetuning towards a trained model, and federated averaging; posterior/prior.hpp has
  /// what takes priors from a Posterior. The priors are part of the optimizer's archive. They
  /// replace weight_decay, which must be 0 in the groups of these parameters. Such parameters are
  /// updated by tensor expressions, several times slower than by the fused kernels. Nothing changes
  /// for the others.
  ///
  /// Throws c10::Error, and changes nothing, if a tensor is not a parameter that is trained, if a
  /// group has weight_decay > 0 or the optimizer has capturable, if a mean or a precision is not as
  /// ParameterPrior says, while a sample is shown, or if a sample waits for step().
  void set_priors(const std::vector<ParameterPrior>& priors);

  /// Sets the seed of the noise and starts both noise streams from their beginning. An optimizer
  /// whose seed was never set takes it from LibTorch's default CPU generator, so
  /// torch::manual_seed() before the construction determines it.
  void manual_seed(uint64_t seed);

  /// Returns how many updates of single elements were skipped so far because the gradient, the
  /// Hessian estimate or the result was not finite.
  int64_t skipped_elements() const;

  /// For `sample_on_step`: shows the training sample in the module again after eval(). It is drawn
  /// from the mean that the module holds then. Without that option the call does nothing.
  ///
  /// Throws c10::Error while sampled_params() shows a sample.
  void train();
  /// For `sample_on_step`: shows the posterior mean in the module until train() is called, so that
  /// your program can validate, save the model or write to its parameters. Without that option the
  /// module holds the mean outside samples anyway, and the call does nothing.
  ///
  /// It is not the eval() of the module; call both. Throws c10::Error while sampled_params() shows
  /// a sample.
  void eval();
  /// Shows the posterior mean in the module until the returned guard ends. Without `sample_on_step`
  /// the guard does nothing.
  [[nodiscard]] MeanParams mean_params();
  /// Does the same as mean_params() for predict(), so that error messages name predict().
  friend MeanParams mean_while_predicting(IVON& optimizer) {
    return optimizer.mean_params_for("predict()");
  }

  /// Writes the whole optimizer: a run that is resumed from the archive equals the uninterrupted
  /// run bit for bit. Throws c10::Error while a sample is shown or waits for its step().
  void save(torch::serialize::OutputArchive& archive) const override;
  /// Reads what save() wrote. Throws c10::Error and changes nothing if the archive is incomplete or
  /// was written for other parameters or another estimator.
  void load(torch::serialize::InputArchive& archive) override;

 private:
  // A parameter that is in a group and not frozen, so it is sampled and updated.
  struct Active {
    const detail::ParameterRef* ref;
    const IVONOptions* options;
    detail::ParameterSlot* slot;
    IVONParamState* state;                          // nullptr before the first sample
    const detail::DrawnParameter* drawn = nullptr;  // its entry in the sample that step() uses
  };

  // A parameter that will be updated, and the gradients or sums that its update uses.
  struct PlannedUpdate {
    const Active* active;
    detail::Evidence evidence;
  };

  struct CoefficientCache;

  // optimizer/parameters.hpp, which also has the bodies of the constructor, add_param_group(),
  // param_state() and mean()
  detail::SamplingCore& core() const;
  detail::ResidentSample& resident() const { return core().resident(); }
  detail::ParameterTable& table() const { return core().parameters(); }
  const IVONOptions& defaults_of_ivon() const {
    return static_cast<const IVONOptions&>(*defaults_);
  }
  const IVONParamState* find_state(const at::Tensor& param) const;
  detail::ParameterRef find_parameter(const at::Tensor& param) const;
  void add_groups(const std::vector<torch::optim::OptimizerParamGroup>& groups);
  void list_anew();
  std::vector<Active> active_parameters();
  at::Tensor checked_prior_tensor(const detail::ParameterRef& ref, const at::Tensor& tensor,
                                  const char* what, bool scalar) const;
  void check_state_of_sample(const detail::DrawnParameter& drawn, const IVONParamState* state);
  void ensure_state(Active& active);

  // optimizer/samples.hpp, which also has sampled_params(), mean_params(), train(), eval(),
  // zero_grad() and manual_seed()
  MeanParams mean_params_for(const char* call);
  detail::DrawnParameter drawn_from(Active& active, detail::NoiseKey noise);
  void renew_resident_sample();
  detail::NoiseKey take_noise(detail::NoiseDomain domain);
  void give_back_noise(uint64_t draws);
  void settle_noise(const detail::NoiseStream& noise);
  detail::NoiseStream noise_now() const;
  int64_t step_now(const at::Tensor& param) const;

  // optimizer/step.hpp, which also has step() and skipped_elements()
  void step_standard(const LossClosure& closure, at::Tensor& loss);
  void step_resident(const LossClosure& closure, at::Tensor& loss);
  detail::Sample update_and_draw(std::vector<Active>& active,
                                 const std::vector<at::Tensor>& gradients);
  at::Tensor sample_closure(const LossClosure& closure);
  std::vector<at::Tensor> read_gradients(detail::Sample& sample);
  detail::Evidence evidence_of(const detail::DrawnParameter& drawn, const at::Tensor& gradient);
  void harvest();
  std::vector<PlannedUpdate> updates_from_sums(const std::vector<Active>& active);
  std::vector<PlannedUpdate> updates_from_pending(const std::vector<Active>& active);
  detail::StepOnDevice step_on_device(const Active& active);
  void count_updates(const std::vector<PlannedUpdate>& updates, int64_t skipped);
  at::Tensor& skipped_on(const at::Device& device);

  std::shared_ptr<detail::SamplingCore> core_ = std::make_shared<detail::SamplingCore>();
  detail::NoiseStream noise_;
  std::vector<at::Tensor> skipped_;  // int64 counters, one for each device
};

IVON_NAMESPACE_END

// The bodies; archive.hpp has save() and load().
#include <ivon/optimizer/archive.hpp>     // IWYU pragma: export
#include <ivon/optimizer/parameters.hpp>  // IWYU pragma: export
#include <ivon/optimizer/priors.hpp>      // IWYU pragma: export
#include <ivon/optimizer/samples.hpp>     // IWYU pragma: export
#include <ivon/optimizer/step.hpp>        // IWYU pragma: export
