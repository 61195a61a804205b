// SPDX-License-Identifier: Apache-2.0
// Member functions of ivon::IVON that make a step, from the gradients to the update. Included by
// optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
// Computes coefficients again only if options or step count differ from those of the parameter
// before, because most parameters have the same ones.
template <class E>
struct IVON<E>::CoefficientCache {
  const IVONOptions* options = nullptr;
  int64_t step = 0;
  std::optional<detail::UpdateCoefficients> value;

  const detail::UpdateCoefficients& next(const Active& active) {
    if (!value || active.options != options || active.state->step() + 1 != step) {
      options = active.options;
      step = active.state->step() + 1;
      value = detail::update_coefficients(*options, step);
    }
    return *value;
  }
};

template <class E>
at::Tensor IVON<E>::step(LossClosure closure) {
  const detail::OneCaller::Call call(core().caller(), "step()");
  core().refuse_while_live("step()");
  core().report_damage();
  at::Tensor loss;
  if (resident().enabled()) {
    step_resident(closure, loss);
  } else {
    step_standard(closure, loss);
  }
  return loss;
}

template <class E>
void IVON<E>::step_standard(const LossClosure& closure, at::Tensor& loss) {
  if (closure) loss = sample_closure(closure);
  TORCH_CHECK(
      core().has_samples(),
      "ivon: step() needs a sample with gradients, got none since the last step; compute the "
      "loss and call backward() inside { auto sample = optimizer.sampled_params(); ... }, pass a "
      "closure: step(closure), or set sample_on_step(true), which leaves the loop as it is");
  const std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  const bool one_unread = core().pending() && core().harvested() == 0;
  const auto updates = one_unread ? updates_from_pending(active) : updates_from_sums(active);
  detail::StepJob<E> job(core().cuda(), updates.size());
  CoefficientCache coefficients;
  for (const PlannedUpdate& update : updates) {
    const IVONParamState& state = *update.active->state;
    detail::check_state_tensor(*update.active->ref, state.hess(), state.momentum());
    const typename detail::StepJob<E>::Update part{
        state.momentum(), update.evidence, coefficients.next(*update.active),
        skipped_on(update.active->ref->tensor.device()), step_on_device(*update.active)};
    job.add({update.active->ref->tensor, state.mean(), state.hess(), state.prior_mean(),
             state.prior_precision()},
            &part, nullptr);
  }
  count_updates(updates, job.run());
  for (const PlannedUpdate& update : updates) {
    update.active->ref->tensor.unsafeGetTensorImpl()->bump_version();
  }
  core().drop_samples();
}

// step() with sample_on_step: uses the gradients at the sample that is shown, and draws the next
// sample in the same pass.
template <class E>
void IVON<E>::step_resident(const LossClosure& closure, at::Tensor& loss) {
  resident().require_shown();
  if (closure) {
    const at::AutoGradMode enable_grad(true);
    loss = closure();
    if (loss.defined()) loss = loss.detach();
    core().refuse_while_live("the end of step()'s closure");
    core().report_damage();
    resident().require_shown();
  }
  std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  detail::Sample& shown = resident().sample();
  std::vector<detail::ParameterSlot*> not_drawn;
  for (size_t i = 0; i < active.size(); ++i) {
    active[i].drawn = shown.find(active[i].slot, i);
    if (active[i].drawn) {
      check_state_of_sample(*active[i].drawn, active[i].state);
    } else {
      not_drawn.push_back(active[i].slot);
    }
  }
  detail::prepare_buffers(not_drawn, [this] { return table().refs(); });
  std::string complaint;
  const bool any_gradient = shown.notice_gradients(complaint);
  TORCH_CHECK(complaint.empty(), complaint);
  TORCH_CHECK(any_gradient,
              "ivon: step() needs gradients, got none since the last step; call backward() on the "
              "loss before it");
  const std::vector<at::Tensor> gradients = read_gradients(shown);
  take_noise(detail::NoiseDomain::kTraining);  // counts the sample that is shown
  try {
    resident().replace(update_and_draw(active, gradients));
  } catch (...) {
    give_back_noise(1);
    throw;
  }
}

// Updates the parameters from the gradients at the sample that is shown. Draws the next sample and
// returns it.
template <class E>
detail::Sample IVON<E>::update_and_draw(std::vector<Active>& active,
                                        const std::vector<at::Tensor>& gradients) {
  detail::Sample& shown = resident().sample();
  detail::Sample next;
  next.training = next.resident = true;
  next.parameters.reserve(active.size());
  std::vector<PlannedUpdate> updates;
  updates.reserve(active.size());
  detail::StepJob<E> job(core().cuda(), active.size());
  CoefficientCache coefficients;
  for (size_t i = 0; i < active.size(); ++i) {
    const detail::DrawnParameter* drawn = active[i].drawn;
    next.parameters.push_back(drawn_from(active[i], noise_.training_sample()));
    const detail::DrawnParameter& follows = next.parameters.back();
    const typename detail::StepJob<E>::Draw draw{follows.slot->buffers.sample(), follows.drawing};
    if (!drawn || !drawn->got_gradient) {
      job.add(follows.posterior(), nullptr, &draw);
      continue;
    }
    const at::Tensor& gradient = gradients[static_cast<size_t>(drawn - shown.parameters.data())];
    drawn->mark_used();
    updates.push_back({&active[i], evidence_of(*drawn, gradient)});
    detail::check_state_tensor(follows.ref, active[i].state->hess(), active[i].state->momentum());
    const typename detail::StepJob<E>::Update update{
        active[i].state->momentum(), updates.back().evidence, coefficients.next(active[i]),
        skipped_on(follows.ref.tensor.device()), step_on_device(active[i])};
    job.add(follows.posterior(), &update, &draw);
  }
  count_updates(updates, job.run());
  return next;
}

template <class E>
at::Tensor IVON<E>::sample_closure(const LossClosure& closure) {
  {
    const detail::PlainTensors plain;
    harvest();
  }
  const auto earlier = core().copy_sums();
  const uint64_t drawn_before = noise_.training_draws;
  const int64_t samples = defaults_of_ivon().mc_samples();
  const at::AutoGradMode enable_grad(true);
  try {
    at::Tensor total;
    for (int64_t s = 0; s < samples; ++s) {
      SampledParams sample = sampled_params();
      const at::Tensor loss = closure();
      sample.restore();
      core().report_damage();
      TORCH_CHECK(core().pending(),
                  "ivon: the closure of step() must leave gradients, got none; call backward() on "
                  "the loss in it");
      if (loss.defined()) total = total.defined() ? total + loss.detach() : loss.detach();
    }
    return total.defined() ? total / static_cast<double>(samples) : total;
  } catch (...) {
    core().return_to(earlier);
    give_back_noise(noise_.training_draws - drawn_before);
    throw;
  }
}

// Returns the gradients of a sample's parameters, with an undefined tensor for a parameter that got
// none.
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
          gradient,
          {},
          {}};
}

// Adds the pending sample, if there is one, to the sums.
template <class E>
void IVON<E>::harvest() {
  detail::Sample* sample = core().pending();
  if (!sample) return;
  for (const detail::DrawnParameter& drawn : sample->parameters) {
    check_state_of_sample(drawn, find_state(drawn.ref.tensor));
  }
  try {
    core().begin_sums();
    const std::vector<at::Tensor> gradients = read_gradients(*sample);
    detail::AccumulateJob<E> job(core().cuda(), gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      detail::DrawnParameter& drawn = sample->parameters[i];
      if (!drawn.got_gradient) continue;
      drawn.notice_outside_write();
      detail::ParameterSlot& slot = *drawn.slot;
      drawn.mark_used();
      slot.allocate_sums(drawn.hess);
      detail::Evidence evidence = evidence_of(drawn, gradients[i]);
      evidence.gradient_sum = slot.gradient_sum;
      evidence.statistic_sum = slot.statistic_sum;
      job.add(drawn.posterior(), evidence, /*overwrite=*/!slot.has_sums);
      slot.has_sums = true;
    }
    job.run();
  } catch (...) {
    core().drop_samples();  // the sums may contain only a part of the sample
    throw;
  }
  core().count_harvested();
}

// Plans the updates from sums: over several samples, or over one whose gradients were read before
// step().
template <class E>
std::vector<typename IVON<E>::PlannedUpdate> IVON<E>::updates_from_sums(
    const std::vector<Active>& active) {
  harvest();
  const auto samples = static_cast<double>(core().harvested());
  std::vector<PlannedUpdate> updates;
  for (const Active& parameter : active) {
    const detail::ParameterSlot& slot = *parameter.slot;
    if (!slot.has_sums) continue;
    TORCH_CHECK(parameter.state, "ivon: the state of ", parameter.ref->describe(),
                " was removed after its sample was drawn; call zero_grad() and take a new sample");
    const detail::Drawing unused{{}, detail::posterior_scale(*parameter.options)};
    updates.push_back({&parameter,
                       {detail::StatisticFrom::kSums,
                        unused,
                        {},
                        {},
                        slot.gradient_sum,
                        slot.statistic_sum,
                        samples}});
  }
  return updates;
}

// Plans the updates from the pending sample, the only one. Its gradients and weights are read where
// they are, without sums.
template <class E>
std::vector<typename IVON<E>::PlannedUpdate> IVON<E>::updates_from_pending(
    const std::vector<Active>& active) {
  detail::Sample& sample = *core().pending();
  std::vector<PlannedUpdate> updates;
  updates.reserve(active.size());
  try {
    const std::vector<at::Tensor> gradients = read_gradients(sample);
    for (size_t i = 0; i < active.size(); ++i) {
      detail::DrawnParameter* drawn = sample.find(active[i].slot, i);
      if (!drawn || !drawn->got_gradient) continue;
      check_state_of_sample(*drawn, active[i].state);
      const at::Tensor& gradient = gradients[static_cast<size_t>(drawn - sample.parameters.data())];
      drawn->notice_outside_write();
      drawn->mark_used();
      updates.push_back({&active[i], evidence_of(*drawn, gradient)});
    }
  } catch (...) {
    core().drop_samples();
    throw;
  }
  return updates;
}

// Returns the addresses of what a step reads in device memory. They are null unless capturable.
template <class E>
detail::StepOnDevice IVON<E>::step_on_device(const Active& active) {
  const at::Device device = active.ref->tensor.device();
  if (!core().cuda().capturable() || detail::cuda_runtime(device) == nullptr) return {};
  at::Tensor& words = active.slot->step_on_device;
  if (!words.defined()) {
    TORCH_CHECK(!detail::is_capturing(device), "ivon: ", active.ref->describe(),
                " has had no step yet, and a CUDA graph is being captured; run one iteration "
                "before capturing, as for every optimizer");
    constexpr int64_t kWords = 1 + sizeof(detail::cuda::StepScalars) / sizeof(int64_t);
    words = at::zeros({kWords}, at::TensorOptions().dtype(at::kLong).device(device));
    words[0].fill_(active.state->step());
  }
  const IVONOptions& options = *active.options;
  return {
      words.mutable_data_ptr<int64_t>(),
      core().learning_rates().of(options).on(device, options.lr(), detail::is_capturing(device)),
      detail::step_size_per_lr(options), options.decoupled_weight_decay(), options.debias()};
}

template <class E>
void IVON<E>::count_updates(const std::vector<PlannedUpdate>& updates, int64_t skipped) {
  for (const PlannedUpdate& update : updates)
    update.active->state->step(update.active->state->step() + 1);
  if (skipped > 0) skipped_on(at::kCPU).add_(skipped);
}

template <class E>
at::Tensor& IVON<E>::skipped_on(const at::Device& device) {
  for (at::Tensor& counter : skipped_) {
    if (counter.device() == device) return counter;
  }
  return skipped_.emplace_back(at::zeros({}, at::TensorOptions().dtype(at::kLong).device(device)));
}

template <class E>
int64_t IVON<E>::skipped_elements() const {
  int64_t total = 0;
  for (const at::Tensor& counter : skipped_) total += counter.item<int64_t>();
  return total;
}

IVON_NAMESPACE_END
