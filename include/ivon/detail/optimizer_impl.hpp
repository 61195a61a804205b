// SPDX-License-Identifier: Apache-2.0
// Bodies of ivon::IVON: parameters and samples. Included by optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

inline uint64_t random_seed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

}  // namespace detail

template <class E>
// NOLINTNEXTLINE(performance-unnecessary-value-param): by value, as the interface says
IVON<E>::IVON(std::vector<torch::optim::OptimizerParamGroup> groups, IVONOptions defaults)
    : Optimizer(std::vector<torch::optim::OptimizerParamGroup>{},
                std::make_unique<IVONOptions>(defaults)) {
  defaults.validate();
  static_cast<IVONOptions&>(*defaults_).inherit(IVONOptions());  // all count as set from here on
  noise_.seed = detail::random_seed();
  if (defaults.capturable()) core().cuda().make_capturable();
  settle_noise(noise_);
  if (defaults.sample_on_step()) resident().enable();
  for (const auto& group : groups) add_param_group(group);
}

template <class E>
detail::SamplingCore& IVON<E>::core() const {
  TORCH_CHECK(core_, "ivon: this optimizer was moved from; use the one it was moved to");
  return *core_;
}

// --- parameters and their state -----------------------------------------------------------------

template <class E>
void IVON<E>::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  core().refuse_while_live("add_param_group()");
  core().report_damage();
  const size_t number = param_groups_.size();
  auto options = std::make_unique<IVONOptions>(
      group.has_options() ? detail::complete_options(group.options(), defaults_of_ivon(), number)
                          : defaults_of_ivon());
  std::vector<torch::optim::OptimizerParamGroup> all = param_groups_;
  all.push_back(group);
  admit(detail::flattened(detail::list_parameters(all)));
  // The base of some versions replaces a third-party group's options by the defaults.
  Optimizer::add_param_group(torch::optim::OptimizerParamGroup(group.params()));
  param_groups_.back().set_options(std::move(options));
  renew_resident_sample();
}

// Checks tensors at first sight.
template <class E>
void IVON<E>::admit(const std::vector<detail::ParameterRef>& refs) {
  bool any_new = false;
  for (const detail::ParameterRef& ref : refs) {
    if (core().find(ref.tensor)) continue;
    detail::check_parameter(ref);
    detail::ShownTensors::refuse(ref);
    any_new = true;
  }
  if (!any_new) return;
  detail::check_overlaps(refs);
  for (const detail::ParameterRef& ref : refs) core().add(ref.tensor);
}

// Users may write to params(), and the base's add_param_group cannot tell us.
template <class E>
void IVON<E>::list_anew() {
  auto refs = detail::flattened(detail::list_parameters(param_groups_));
  admit(refs);
  refs_ = std::move(refs);
  slots_.clear();
  for (const detail::ParameterRef& ref : refs_) slots_.push_back(core().find(ref.tensor));
  listed_ = detail::listed_tensors(param_groups_);
}

template <class E>
std::vector<typename IVON<E>::Active> IVON<E>::active_parameters() {
  if (!detail::list_same_tensors(param_groups_, listed_)) list_anew();
  for (size_t g = 0; g < param_groups_.size(); ++g) {
    auto complete = detail::complete_options(param_groups_[g].options(), defaults_of_ivon(), g);
    static_cast<IVONOptions&>(param_groups_[g].options()) = std::move(complete);
  }
  std::vector<Active> active;
  active.reserve(refs_.size());
  for (size_t i = 0; i < refs_.size(); ++i) {
    const detail::ParameterRef& ref = refs_[i];
    if (!ref.tensor.requires_grad()) continue;
    auto* state = const_cast<IVONParamState*>(find_state(ref.tensor));
    if (state) detail::check_state_fits(ref, state->hess());
    const auto& options = static_cast<const IVONOptions&>(param_groups_[ref.group].options());
    active.push_back({&ref, &options, slots_[i], state});
  }
  return active;
}

template <class E>
const IVONParamState* IVON<E>::find_state(const at::Tensor& param) const {
  const auto found = state_.find(param.unsafeGetTensorImpl());
  return found == state_.end() ? nullptr : static_cast<const IVONParamState*>(found->second.get());
}

template <class E>
detail::ParameterRef IVON<E>::find_parameter(const at::Tensor& param) const {
  for (const auto& list : detail::list_parameters(param_groups_)) {
    for (const detail::ParameterRef& ref : list) {
      if (ref.tensor.is_same(param)) return ref;
    }
  }
  TORCH_CHECK(false,
              "ivon: the tensor is no parameter of this optimizer; pass one that a parameter "
              "group lists");
}

template <class E>
void IVON<E>::ensure_state(Active& active) {
  if (active.state) return;
  const at::Tensor& param = active.ref->tensor;
  TORCH_CHECK(!detail::is_capturing(param.device()), "ivon: ", active.ref->describe(),
              " has no state yet, and a CUDA graph is being captured; run one iteration before "
              "capturing, as for every optimizer");
  const auto options = param.options().requires_grad(false).dtype(detail::state_dtype(param));
  auto state = std::make_unique<IVONParamState>();
  state->hess(detail::empty_in_memory_order(param, options).fill_(active.options->hess_init()));
  state->momentum(detail::empty_in_memory_order(param, options).zero_());
  if (detail::is_half(param.scalar_type())) {
    state->mean(detail::empty_in_memory_order(param, options).copy_(param));
  }
  active.state = state.get();
  state_[param.unsafeGetTensorImpl()] = std::move(state);
}

template <class E>
const IVONParamState& IVON<E>::param_state(const at::Tensor& param) const {
  const detail::ParameterRef ref = find_parameter(param);
  const IVONParamState* state = find_state(param);
  TORCH_CHECK(state, "ivon: ", ref.describe(), " has no state yet",
              param.requires_grad() ? "; it is created by the first sample"
                                    : ": it is frozen (requires_grad is false)");
  if (const int64_t step = step_now(param); step >= 0) {
    const_cast<IVONParamState*>(state)->step(step);
  }
  return *state;
}

template <class E>
at::Tensor IVON<E>::mean(const at::Tensor& param) const {
  find_parameter(param);
  const detail::PlainTensors plain;
  const detail::ParameterSlot* slot = core().find(param);
  const at::Tensor& held = slot ? slot->buffers.mean() : param;
  const IVONParamState* state = find_state(param);
  if (state && state->mean().defined()) return detail::aten::adopted(held, state->mean());
  return held.to(detail::state_dtype(param), /*non_blocking=*/false, /*copy=*/true);
}

// --- samples ------------------------------------------------------------------------------------

template <class E>
SampledParams IVON<E>::sampled_params() {
  core().refuse_while_live("sampled_params()");
  core().report_damage();
  detail::Sample sample;
  sample.training = at::GradMode::is_enabled();
  TORCH_CHECK(!sample.training || !resident().enabled(),
              "ivon: sampled_params() must be called without gradients under sample_on_step, where "
              "step() draws the training samples; train without the scope, predict under "
              "torch::NoGradGuard, or build the optimizer without that option");
  std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  harvest();
  MeanParams mean_meanwhile = mean_params();
  const auto noise = take_noise(sample.training ? detail::NoiseDomain::kTraining
                                                : detail::NoiseDomain::kPrediction);
  detail::SampleJob job(core().cuda(), active.size());
  sample.parameters.reserve(active.size());
  for (Active& parameter : active) {
    detail::ShownTensors::refuse(*parameter.ref);
    sample.parameters.push_back(drawn_from(parameter, noise));
    const detail::DrawnParameter& drawn = sample.parameters.back();
    drawn.slot->buffers.prepare();
    job.add(drawn.posterior(), drawn.slot->buffers.sample(), drawn.drawing);
  }
  job.run();
  core().show(std::move(sample));
  return SampledParams(core_, std::move(mean_meanwhile));
}

// One parameter of a sample with that noise; nothing is drawn yet.
template <class E>
detail::DrawnParameter IVON<E>::drawn_from(Active& active, detail::NoiseKey noise) {
  ensure_state(active);
  const IVONParamState& state = *active.state;
  if (active.ref->tensor.is_cuda()) {
    active.slot->stream.use(active.ref->tensor.device(),
                            {active.slot->buffers.sample(), state.hess(), state.momentum(),
                             state.mean(), active.slot->gradient_sum, active.slot->statistic_sum});
  }
  noise.parameter = static_cast<uint32_t>(active.ref->index);
  return {*active.ref, active.slot,
          detail::Drawing{noise, detail::posterior_scale(*active.options)}, state.hess(),
          state.mean()};
}

// The noise of the next sample.
template <class E>
detail::NoiseKey IVON<E>::take_noise(detail::NoiseDomain domain) {
  const detail::NoiseKey key = noise_.next(domain);
  std::array<uint64_t, 2> taken{};
  taken[static_cast<size_t>(domain)] = 1;
  core().cuda().move(noise_.position(), taken);
  return key;
}

// The training noise taken last was not used. Relative as taking it: replays may have moved the
// devices' positions.
template <class E>
void IVON<E>::give_back_noise() {
  --noise_.training_draws;
  core().cuda().move(noise_.position(), {~uint64_t{0}, 0});
}

template <class E>
void IVON<E>::settle_noise(const detail::NoiseStream& noise) {
  noise_ = noise;
  core().cuda().set(noise_.position());
}

// capturable: replays have moved the devices' positions; waits for them.
template <class E>
detail::NoiseStream IVON<E>::noise_now() const {
  return detail::NoiseStream::at(core().cuda().read());
}

// capturable: the step count that lies on the parameter's device, waiting for it; else -1.
template <class E>
int64_t IVON<E>::step_now(const at::Tensor& param) const {
  const detail::ParameterSlot* slot = core().find(param);
  return slot && slot->step_on_device.defined() ? slot->step_on_device[0].template item<int64_t>()
                                                : -1;
}

// sample_on_step: the sample covers the active parameters.
template <class E>
void IVON<E>::renew_resident_sample() {
  if (!resident().enabled()) return;
  std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  resident().retain([&](const detail::ParameterSlot* slot) {
    return std::any_of(active.begin(), active.end(),
                       [slot](const Active& parameter) { return parameter.slot == slot; });
  });
  const detail::NoiseKey noise = noise_.training_sample();
  for (size_t i = 0; i < active.size(); ++i) {
    if (resident().sample().find(active[i].slot, i)) continue;
    resident().add(drawn_from(active[i], noise));
  }
  resident().settle();
}

template <class E>
void IVON<E>::train() {
  core().refuse_while_live("train()");
  core().report_damage();
  renew_resident_sample();
  resident().set_training(true);
}

template <class E>
void IVON<E>::eval() {
  core().refuse_while_live("eval()");
  core().report_damage();
  resident().set_training(false);
}

template <class E>
MeanParams IVON<E>::mean_params() {
  core().refuse_while_live("mean_params()");
  core().report_damage();
  return resident().enabled() ? MeanParams(core_) : MeanParams();
}

// The gradients of a sample, undefined where there is none.
template <class E>
std::vector<at::Tensor> IVON<E>::read_gradients(detail::Sample& sample) {
  std::vector<at::Tensor> gradients;
  gradients.reserve(sample.parameters.size());
  for (detail::DrawnParameter& drawn : sample.parameters) {
    gradients.push_back(drawn.got_gradient ? detail::checked_gradient(drawn.ref) : at::Tensor());
  }
  return gradients;
}

template <class E>
detail::Evidence IVON<E>::evidence_of(const detail::DrawnParameter& drawn,
                                      const at::Tensor& gradient) {
  return {E::kUsesDeviation ? drawn.statistic_from() : detail::StatisticFrom::kTheta,
          drawn.drawing,
          drawn.slot->buffers.sample(),
          detail::in_memory_order_of(drawn.ref.tensor, gradient),
          {},
          {}};
}

// Adds the pending sample, if there is one, to the sums.
template <class E>
void IVON<E>::harvest() {
  detail::Sample* sample = core().pending();
  if (!sample) return;
  try {
    const std::vector<at::Tensor> gradients = read_gradients(*sample);
    detail::AccumulateJob<E> job(core().cuda(), gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      detail::DrawnParameter& drawn = sample->parameters[i];
      if (!drawn.got_gradient) continue;
      drawn.notice_outside_write();
      detail::ParameterSlot& slot = *drawn.slot;
      slot.used = detail::GradientMark(gradients[i]);
      slot.allocate_sums(drawn.hess);
      detail::Evidence evidence = evidence_of(drawn, gradients[i]);
      evidence.gradient_sum = slot.gradient_sum;
      evidence.statistic_sum = slot.statistic_sum;
      job.add(drawn.posterior(), evidence, /*first=*/!slot.has_sums);
      slot.has_sums = true;
    }
    job.run();
  } catch (...) {
    core().drop_samples();  // the sums may hold a part of it; the next iteration is valid
    throw;
  }
  core().count_harvested();
}

template <class E>
void IVON<E>::zero_grad(bool set_to_none) {
  if (detail::Sample* sample = core().live_sample()) {
    sample->zeroed = true;
  } else {
    core().report_damage();
    const detail::PlainTensors plain;
    harvest();
  }
  Optimizer::zero_grad(set_to_none);
  resident().forget_gradients();
}

template <class E>
void IVON<E>::manual_seed(uint64_t seed) {
  core().refuse_while_live("manual_seed()");
  core().report_damage();
  settle_noise(detail::NoiseStream{seed});
  resident().clear();
  renew_resident_sample();
}

IVON_NAMESPACE_END
