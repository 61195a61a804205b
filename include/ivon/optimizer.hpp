// SPDX-License-Identifier: Apache-2.0
// The optimizer: AdamW's place in a training loop, a posterior over the weights.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ivon/detail/one_caller.hpp>
#include <ivon/detail/parameter_list.hpp>
#include <ivon/detail/parameter_table.hpp>
#include <ivon/detail/passes.hpp>
#include <ivon/detail/sampling_core.hpp>
#include <ivon/estimator.hpp>
#include <ivon/noise.hpp>
#include <ivon/options.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// Improved Variational Online Newton (Shen et al., ICML 2024, arXiv 2402.17641, Algorithm 1).
///
/// Keeps a Gaussian posterior N(m, 1 / (ess (h + weight_decay))) over the parameters, given the
/// MEAN loss per example in nats. Outside a sample the parameters hold the mean m. Not copyable;
/// movable, also while a sample is shown. Not thread-safe: a call while another thread is inside
/// one is an error (docs/threads.md).
///
/// As a class member, in a smart pointer or a function parameter write `ivon::IVON<>`; for a
/// variable the estimator is deduced.
template <class Estimator = PriceEstimator>
class IVON : public torch::optim::Optimizer {
 public:
  explicit IVON(std::vector<torch::optim::OptimizerParamGroup> groups, IVONOptions defaults);
  explicit IVON(std::vector<at::Tensor> params, IVONOptions defaults)
      : IVON(std::vector<torch::optim::OptimizerParamGroup>{{std::move(params)}},
             std::move(defaults)) {}

  /// Shows a posterior sample theta ~ q in the module until the guard ends. With gradients enabled
  /// it is a training sample for the next `step()`; under NoGradGuard or InferenceMode a
  /// prediction, with noise of its own. Throws where a sample is shown already. With
  /// `sample_on_step` for predictions only; the training sample is shown again afterwards.
  [[nodiscard]] SampledParams sampled_params();

  /// One update from all training samples since the last one. With a closure, which computes the
  /// loss, calls backward() and returns the loss, takes `mc_samples` samples itself and returns
  /// their mean loss; where the closure throws, nothing changes. With `sample_on_step` uses the
  /// gradients at the sample shown, and draws and shows the next.
  at::Tensor step(LossClosure closure = nullptr) override;

  /// Clears the gradients, after reading those of a sample that ended.
  void zero_grad(bool set_to_none = true);

  /// As the base's; options that the group does not set are the optimizer's.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  /// State of a parameter; throws before its first sample and for frozen or foreign tensors. With
  /// `capturable` waits for the device.
  const IVONParamState& param_state(const at::Tensor& param) const;

  /// A copy of the posterior mean, whatever the module shows: shape of `param`, float32 or float64.
  at::Tensor mean(const at::Tensor& param) const;

  /// Sets the seed of the noise and both its streams to their beginning. Without it the seed comes
  /// from LibTorch's default CPU generator, so `torch::manual_seed` before construction governs it.
  void manual_seed(uint64_t seed);

  /// Elements not updated so far because a gradient, Hessian estimate or result was not finite.
  int64_t skipped_elements() const;

  /// For `sample_on_step`: `eval()` shows the mean, to validate, save or write to the module, and
  /// `train()` the training sample again, drawn from what the mean is then. Without that option the
  /// module holds the mean outside samples anyway, and these do nothing.
  void train();
  void eval();
  /// The mean for the length of a scope, as `eval()` shows it.
  [[nodiscard]] MeanParams mean_params();
  /// The same for predict(), which errors then name.
  friend MeanParams mean_while_predicting(IVON& optimizer) {
    return optimizer.mean_params_for("predict()");
  }

  /// Complete: a run resumed from it equals the uninterrupted one bit for bit. Throws between a
  /// sample and its `step()`.
  void save(torch::serialize::OutputArchive& archive) const override;
  /// Throws and changes nothing unless the archive is complete and of these parameters.
  void load(torch::serialize::InputArchive& archive) override;

 private:
  // A parameter that takes part now: in a group and not frozen.
  struct Active {
    const detail::ParameterRef* ref;
    const IVONOptions* options;
    detail::ParameterSlot* slot;
    IVONParamState* state;                          // nullptr before the first sample
    const detail::DrawnParameter* drawn = nullptr;  // its entry in the sample that step() uses
  };

  // What one step does to one parameter: an update, the next sample, or both.
  struct Update {
    const Active* active;
    detail::Evidence evidence;
  };

  struct Coefficients;

  detail::SamplingCore& core() const;
  detail::ResidentSample& resident() const { return core().resident(); }
  const IVONOptions& defaults_of_ivon() const {
    return static_cast<const IVONOptions&>(*defaults_);
  }
  MeanParams mean_params_for(const char* call);
  detail::ParameterTable& table() const { return core().parameters(); }
  const IVONParamState* find_state(const at::Tensor& param) const;
  detail::ParameterRef find_parameter(const at::Tensor& param) const;
  void add_groups(const std::vector<torch::optim::OptimizerParamGroup>& groups);
  void list_anew();
  std::vector<Active> active_parameters();
  template <class Wanted>
  void prepare_buffers(const std::vector<Active>& active, const Wanted& wanted);
  void check_state_of_sample(const detail::DrawnParameter& drawn, const IVONParamState* state);
  void ensure_state(Active& active);
  detail::DrawnParameter drawn_from(Active& active, detail::NoiseKey noise);
  void renew_resident_sample();
  detail::NoiseKey take_noise(detail::NoiseDomain domain);
  void give_back_noise(uint64_t draws);
  void settle_noise(const detail::NoiseStream& noise);
  detail::NoiseStream noise_now() const;
  int64_t step_now(const at::Tensor& param) const;
  detail::StepOnDevice step_on_device(const Active& active);

  std::vector<at::Tensor> read_gradients(detail::Sample& sample);
  detail::Evidence evidence_of(const detail::DrawnParameter& drawn, const at::Tensor& gradient);
  void harvest();
  void step_standard(const LossClosure& closure, at::Tensor& loss);
  void step_resident(const LossClosure& closure, at::Tensor& loss);
  detail::Sample update_and_draw(std::vector<Active>& active,
                                 const std::vector<at::Tensor>& gradients);
  at::Tensor sample_closure(const LossClosure& closure);
  std::vector<Update> updates_from_sums(const std::vector<Active>& active);
  std::vector<Update> updates_from_pending(const std::vector<Active>& active);
  void count_updates(const std::vector<Update>& updates, int64_t skipped);
  at::Tensor& skipped_on(const at::Device& device);

  std::shared_ptr<detail::SamplingCore> core_ = std::make_shared<detail::SamplingCore>();
  detail::NoiseStream noise_;
  std::vector<at::Tensor> skipped_;  // int64 counters, one a device
};

IVON_NAMESPACE_END

#include <ivon/detail/optimizer_archive.hpp>     // IWYU pragma: export
#include <ivon/detail/optimizer_parameters.hpp>  // IWYU pragma: export
#include <ivon/detail/optimizer_samples.hpp>     // IWYU pragma: export
#include <ivon/detail/optimizer_update.hpp>      // IWYU pragma: export
