// SPDX-License-Identifier: Apache-2.0
// Bodies of ivon::IVON: step() and the update. Included by optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>

namespace ivon {
namespace detail {

inline UpdateCoefficients update_coefficients(const IVONOptions& options, int64_t step) {
  const double debias =
      options.debias() ? 1.0 / (1.0 - std::pow(options.beta1(), static_cast<double>(step))) : 1.0;
  const double scale = options.rescale_lr() ? options.hess_init() + options.weight_decay() : 1.0;
  return {PosteriorScale(options.ess(), options.weight_decay(), options.hess_init()),
          options.beta1(),
          1.0 - options.beta2(),
          options.hess_clip(),
          debias,
          options.lr() * scale,
          options.clip_radius()};
}

}  // namespace detail

template <class E>
at::Tensor IVON<E>::step(LossClosure closure) {
  core().refuse_while_live("step()");
  core().report_damage();
  at::Tensor loss;
  if (closure) loss = sample_closure(closure);
  TORCH_CHECK(
      core().has_samples(),
      "ivon: step() needs a sample with gradients, got none since the last step; compute the "
      "loss and call backward() inside { auto sample = optimizer.sampled_params(); ... }, or "
      "pass a closure: step(closure)");
  const std::vector<Active> active = active_parameters();
  const detail::PlainTensors plain;
  const bool one_unread = core().pending() && core().harvested() == 0;
  run(one_unread ? updates_from_pending(active) : updates_from_sums(active));
  core().drop_samples();
  return loss;
}

template <class E>
at::Tensor IVON<E>::sample_closure(const LossClosure& closure) {
  {
    const detail::PlainTensors plain;
    harvest();
  }
  const auto earlier = core().copy_sums();
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
    throw;
  }
}

// Several samples, or one whose gradients were read before step().
template <class E>
std::vector<typename IVON<E>::Update> IVON<E>::updates_from_sums(
    const std::vector<Active>& active) {
  harvest();
  const auto samples = static_cast<double>(core().harvested());
  std::vector<Update> updates;
  for (const Active& parameter : active) {
    const detail::ParameterSlot& slot = *parameter.slot;
    if (!slot.gradient_sum.defined()) continue;
    updates.push_back(
        {&parameter, slot.gradient_sum / samples, slot.statistic_sum / samples, at::Tensor()});
  }
  return updates;
}

// One sample, its gradients and weights read where they are.
template <class E>
std::vector<typename IVON<E>::Update> IVON<E>::updates_from_pending(
    const std::vector<Active>& active) {
  detail::Sample& sample = *core().pending();
  std::unordered_map<const detail::ParameterSlot*, const Active*> active_at;
  for (const Active& parameter : active) active_at.emplace(parameter.slot, &parameter);
  std::vector<Update> updates;
  try {
    const std::vector<at::Tensor> gradients = read_gradients(sample);
    for (size_t i = 0; i < gradients.size(); ++i) {
      const detail::DrawnParameter& drawn = sample.parameters[i];
      const auto found = active_at.find(drawn.slot);
      if (!gradients[i].defined() || found == active_at.end()) continue;
      const at::Tensor& param = drawn.ref.tensor;
      drawn.slot->used = detail::GradientMark(gradients[i]);
      Update update{found->second, detail::in_memory_order_of(param, gradients[i]), {}, {}};
      const at::Tensor& theta = drawn.slot->buffers.sample();
      const bool regenerated = E::kUsesDeviation && drawn.written_after && !drawn.written;
      if (detail::is_fusible(param) && detail::fuses_with(theta, param) && !regenerated) {
        update.theta = theta;
      } else {
        update.statistic = statistic_of(drawn, update.gradient);
      }
      updates.push_back(std::move(update));
    }
  } catch (...) {
    core().drop_samples();
    throw;
  }
  return updates;
}

// What can be fused is one pass over memory and one job for all parameters.
template <class E>
void IVON<E>::run(const std::vector<Update>& updates) {
  detail::TaskList<detail::UpdateTask> fused;
  for (const Update& update : updates) {
    const at::Tensor& param = update.active->ref.tensor;
    IVONParamState& state = ensure_state(*update.active);
    state.step(state.step() + 1);
    const auto coefficients = detail::update_coefficients(*update.active->options, state.step());
    const bool averaged = update.statistic.defined();
    const at::Tensor& gradient = update.gradient;
    const at::Tensor& other = averaged ? update.statistic : update.theta;
    const bool fusible = detail::is_fusible(param) && detail::fuses_with(gradient, param) &&
                         detail::fuses_with(other, param) &&
                         detail::fuses_with(state.hess(), param) &&
                         detail::fuses_with(state.momentum(), param);
    if (!fusible) {
      update_by_tensors(update, state, coefficients);
      continue;
    }
    fused.add({param.mutable_data_ptr<float>(), state.hess().mutable_data_ptr<float>(),
               state.momentum().mutable_data_ptr<float>(), other.const_data_ptr<float>(),
               gradient.const_data_ptr<float>(), averaged, param.numel(), coefficients});
    param.unsafeGetTensorImpl()->bump_version();
  }
  const int64_t skipped = detail::run_updates<E::kFused>(fused);
  if (skipped > 0) skipped_on(at::kCPU).add_(skipped);
}

template <class E>
void IVON<E>::update_by_tensors(const Update& update, IVONParamState& state,
                                const detail::UpdateCoefficients& coefficients) {
  const at::Tensor& param = update.active->ref.tensor;
  at::Tensor mean = state.mean().defined() ? detail::aten::adopted(param, state.mean()) : param;
  detail::aten::update<E>(mean, state.hess(), state.momentum(), update.gradient, update.statistic,
                          coefficients, skipped_on(param.device()));
  if (state.mean().defined()) {
    state.mean().copy_(mean);
    param.copy_(mean);
  }
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

}  // namespace ivon
