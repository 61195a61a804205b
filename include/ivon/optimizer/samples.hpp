// SPDX-License-Identifier: Apache-2.0
// Member functions of ivon::IVON that draw samples and decide what the module shows. Included by
// optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

template <class E>
SampledParams IVON<E>::sampled_params() {
  const detail::OneCaller::Call call(core().caller(), "sampled_params()");
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
  std::vector<detail::ParameterSlot*> slots;
  slots.reserve(active.size());
  for (const Active& parameter : active) slots.push_back(parameter.slot);
  detail::prepare_buffers(slots, [this] { return table().refs(); });
  const auto noise = take_noise(sample.training ? detail::NoiseDomain::kTraining
                                                : detail::NoiseDomain::kPrediction);
  detail::SampleJob job(core().cuda(), active.size());
  sample.parameters.reserve(active.size());
  for (Active& parameter : active) {
    sample.parameters.push_back(drawn_from(parameter, noise));
    const detail::DrawnParameter& drawn = sample.parameters.back();
    job.add(drawn.posterior(), drawn.slot->buffers.sample(), drawn.drawing);
  }
  job.run();
  core().show(std::move(sample));
  return SampledParams(core_, std::move(mean_meanwhile));
}

// Returns the entry of one parameter in a sample with the given noise. Draws nothing yet.
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
          detail::Drawing{noise, detail::posterior_scale(*active.options)}, state};
}

// Returns the noise key of the next sample and counts the sample, also in device memory.
template <class E>
detail::NoiseKey IVON<E>::take_noise(detail::NoiseDomain domain) {
  const detail::NoiseKey key = noise_.next(domain);
  std::array<uint64_t, 2> taken{};
  taken[static_cast<size_t>(domain)] = 1;
  core().cuda().move(noise_.position(), taken);
  return key;
}

// Takes back the count of the last `draws` training samples, whose noise was not used. Decrements
// the positions in device memory instead of setting them, because replays of captured graphs may
// have advanced them.
template <class E>
void IVON<E>::give_back_noise(uint64_t draws) {
  noise_.training_draws -= draws;
  core().cuda().move(noise_.position(), {uint64_t{0} - draws, 0});
}

// Sets the position of the noise, also in device memory.
template <class E>
void IVON<E>::settle_noise(const detail::NoiseStream& noise) {
  noise_ = noise;
  core().cuda().set(noise_.position());
}

// Returns the position of the noise. With capturable it is read from device memory, because replays
// may have advanced it; this waits for the device.
template <class E>
detail::NoiseStream IVON<E>::noise_now() const {
  return noise_.at(core().cuda().read());
}

// With capturable returns a parameter's step count from device memory; this waits for the device.
// Returns -1 if the step count is not in device memory.
template <class E>
int64_t IVON<E>::step_now(const at::Tensor& param) const {
  const detail::ParameterSlot* slot = table().find(param);
  return slot && slot->step_on_device.defined() ? slot->step_on_device[0].template item<int64_t>()
                                                : -1;
}

// With sample_on_step, makes the resident sample cover exactly the active parameters.
template <class E>
void IVON<E>::renew_resident_sample() {
  if (!resident().enabled()) return;
  std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  std::vector<const detail::ParameterSlot*> wanted;
  wanted.reserve(active.size());
  for (const Active& parameter : active) wanted.push_back(parameter.slot);
  std::sort(wanted.begin(), wanted.end(), std::less<>());
  resident().retain([&](const detail::ParameterSlot* slot) {
    return std::binary_search(wanted.begin(), wanted.end(), slot, std::less<>());
  });
  std::vector<Active*> missing;
  for (size_t i = 0; i < active.size(); ++i) {
    if (!resident().sample().find(active[i].slot, i)) missing.push_back(&active[i]);
  }
  const detail::NoiseKey noise = noise_.training_sample();
  for (Active* parameter : missing) resident().add(drawn_from(*parameter, noise));
  resident().settle();
}

template <class E>
void IVON<E>::train() {
  const detail::OneCaller::Call call(core().caller(), "train()");
  core().refuse_while_live("train()");
  core().report_damage();
  renew_resident_sample();
  resident().set_training(true);
}

template <class E>
void IVON<E>::eval() {
  const detail::OneCaller::Call call(core().caller(), "eval()");
  core().refuse_while_live("eval()");
  core().report_damage();
  resident().set_training(false);
}

template <class E>
MeanParams IVON<E>::mean_params() {
  return mean_params_for("mean_params()");
}

template <class E>
MeanParams IVON<E>::mean_params_for(const char* name) {
  const detail::OneCaller::Call call(core().caller(), name);
  core().refuse_while_live(name);
  core().report_damage();
  return resident().enabled() ? MeanParams(core_) : MeanParams();
}

template <class E>
void IVON<E>::zero_grad(bool set_to_none) {
  const detail::OneCaller::Call call(core().caller(), "zero_grad()");
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
  const detail::OneCaller::Call call(core().caller(), "manual_seed()");
  core().refuse_while_live("manual_seed()");
  core().report_damage();
  settle_noise(detail::NoiseStream{seed});
  resident().clear();
  renew_resident_sample();
}

IVON_NAMESPACE_END
