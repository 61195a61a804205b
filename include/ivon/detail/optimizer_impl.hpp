// SPDX-License-Identifier: Apache-2.0
// Bodies of ivon::IVON: parameters and samples. Included by optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>

namespace ivon {
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
  TORCH_CHECK(!defaults.sample_on_step(),
              "ivon: sample_on_step must be false, got true; this version has loops with "
              "sampled_params() or step(closure) only");
  static_cast<IVONOptions&>(*defaults_).inherit(IVONOptions());  // all count as set from here on
  noise_.seed = detail::random_seed();
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
  const size_t number = param_groups_.size();
  auto options = std::make_unique<IVONOptions>(
      group.has_options() ? detail::complete_options(group.options(), defaults_of_ivon(), number)
                          : defaults_of_ivon());
  std::vector<torch::optim::OptimizerParamGroup> all = param_groups_;
  all.push_back(group);
  admit(detail::list_parameters(all));
  // The base of some versions replaces a third-party group's options by the defaults.
  Optimizer::add_param_group(torch::optim::OptimizerParamGroup(group.params()));
  param_groups_.back().set_options(std::move(options));
}

template <class E>
void IVON<E>::admit(const std::vector<std::vector<detail::ParameterRef>>& lists) {
  std::vector<detail::ParameterRef> all;
  bool any_new = false;
  for (const auto& list : lists) {
    for (const detail::ParameterRef& ref : list) {
      if (!core().find(ref.tensor)) {
        detail::check_parameter(ref);
        any_new = true;
      }
      all.push_back(ref);
    }
  }
  if (!any_new) return;
  detail::check_overlaps(all);
  for (const detail::ParameterRef& ref : all) core().add(ref.tensor);
}

template <class E>
std::vector<typename IVON<E>::Active> IVON<E>::active_parameters() {
  const auto lists = detail::list_parameters(param_groups_);
  admit(lists);  // users may write to params(), and the base's add_param_group cannot tell us
  std::vector<Active> active;
  for (size_t g = 0; g < lists.size(); ++g) {
    auto complete = detail::complete_options(param_groups_[g].options(), defaults_of_ivon(), g);
    auto& options = static_cast<IVONOptions&>(param_groups_[g].options());
    options = std::move(complete);
    for (const detail::ParameterRef& ref : lists[g]) {
      if (!ref.tensor.requires_grad()) continue;
      if (const IVONParamState* state = find_state(ref.tensor)) {
        detail::check_state_fits(ref, state->hess());
      }
      active.push_back({ref, &options, core().find(ref.tensor)});
    }
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
IVONParamState& IVON<E>::ensure_state(const Active& active) {
  const at::Tensor& param = active.ref.tensor;
  auto& entry = state_[param.unsafeGetTensorImpl()];
  if (!entry) {
    const auto options = param.options().requires_grad(false).dtype(detail::state_dtype(param));
    auto state = std::make_unique<IVONParamState>();
    state->hess(detail::empty_in_memory_order(param, options).fill_(active.options->hess_init()));
    state->momentum(detail::empty_in_memory_order(param, options).zero_());
    if (detail::is_half(param.scalar_type())) {
      state->mean(detail::empty_in_memory_order(param, options).copy_(param));
    }
    entry = std::move(state);
  }
  return static_cast<IVONParamState&>(*entry);
}

template <class E>
const IVONParamState& IVON<E>::param_state(const at::Tensor& param) const {
  const detail::ParameterRef ref = find_parameter(param);
  const IVONParamState* state = find_state(param);
  TORCH_CHECK(state, "ivon: ", ref.describe(), " has no state yet",
              param.requires_grad() ? "; it is created by the first sample"
                                    : ": it is frozen (requires_grad is false)");
  return *state;
}

template <class E>
at::Tensor IVON<E>::mean(const at::Tensor& param) const {
  find_parameter(param);
  const detail::PlainTensors plain;
  const at::Tensor held =
      core().shows_sample_in(param) ? core().find(param)->buffers.mean() : param;
  const IVONParamState* state = find_state(param);
  if (state && state->mean().defined()) return detail::aten::adopted(held, state->mean());
  return held.to(detail::state_dtype(param), /*non_blocking=*/false, /*copy=*/true);
}

// --- samples ------------------------------------------------------------------------------------

template <class E>
SampledParams IVON<E>::sampled_params() {
  core().refuse_while_live("sampled_params()");
  core().report_damage();
  const std::vector<Active> active = active_parameters();
  detail::Sample sample;
  sample.training = at::GradMode::is_enabled();
  const detail::PlainTensors plain;
  harvest();
  const auto noise = noise_.next(sample.training ? detail::NoiseDomain::kTraining
                                                 : detail::NoiseDomain::kPrediction);
  detail::TaskList<detail::SampleTask> fused;
  for (const Active& parameter : active) {
    sample.parameters.push_back(draw(parameter, noise, fused));
  }
  detail::run_samples(fused);
  core().show(std::move(sample));
  return SampledParams(core_);
}

// Writes theta of one parameter to its second buffer, or lists that for the fused kernels.
template <class E>
detail::DrawnParameter IVON<E>::draw(const Active& active, const detail::NoiseKey& noise,
                                     detail::TaskList<detail::SampleTask>& fused) {
  const at::Tensor& param = active.ref.tensor;
  IVONParamState& state = ensure_state(active);
  detail::DrawnParameter drawn(
      active.ref, active.slot, noise,
      detail::PosteriorScale(active.options->ess(), active.options->weight_decay(),
                             active.options->hess_init()));
  drawn.noise.parameter = static_cast<uint32_t>(active.ref.index);
  at::Tensor& theta = active.slot->buffers.prepare();
  if (detail::is_fusible(param) && detail::fuses_with(theta, param) &&
      detail::fuses_with(state.hess(), param)) {
    fused.add({param.const_data_ptr<float>(), state.hess().const_data_ptr<float>(),
               theta.mutable_data_ptr<float>(), param.numel(), drawn.noise, drawn.scale});
    return drawn;
  }
  if (state.mean().defined()) state.mean().copy_(detail::aten::adopted(param, state.mean()));
  const at::Tensor& mean = state.mean().defined() ? state.mean() : param;
  const at::Tensor normals =
      detail::standard_normal(param, drawn.noise, state.hess().scalar_type());
  detail::aten::sample(mean, state.hess(), normals, drawn.scale, theta);
  return drawn;
}

// The gradients of a pending sample, undefined where there is none.
template <class E>
std::vector<at::Tensor> IVON<E>::read_gradients(detail::Sample& sample) {
  std::vector<at::Tensor> gradients;
  for (detail::DrawnParameter& drawn : sample.parameters) {
    gradients.push_back(drawn.got_gradient ? detail::checked_gradient(drawn.ref) : at::Tensor());
    drawn.notice_outside_write();
  }
  return gradients;
}

// What the estimator averages, from one sample; `gradient` in the state's dtype.
template <class E>
at::Tensor IVON<E>::statistic_of(const detail::DrawnParameter& drawn, const at::Tensor& gradient) {
  if constexpr (!E::kUsesDeviation) {
    return E::statistic(at::Tensor(), gradient);
  } else {
    const IVONParamState& state = *find_state(drawn.ref.tensor);
    const at::Tensor& mean = state.mean().defined() ? state.mean() : drawn.ref.tensor;
    const auto dtype = mean.scalar_type();
    // theta - m is exact to a rounding of theta, too coarse in half precision; and m may have been
    // written since. The noise itself is exact, unless the user wrote another theta.
    const bool regenerate = !drawn.written && (state.mean().defined() || drawn.written_after);
    const at::Tensor deviation =
        regenerate ? detail::aten::deviation(
                         state.hess(),
                         detail::standard_normal(drawn.ref.tensor, drawn.noise, dtype), drawn.scale)
                   : drawn.slot->buffers.sample().to(dtype) - mean;
    return E::statistic(deviation, gradient);
  }
}

// Adds the pending sample, if there is one, to the sums.
template <class E>
void IVON<E>::harvest() {
  detail::Sample* sample = core().pending();
  if (!sample) return;
  try {
    const std::vector<at::Tensor> gradients = read_gradients(*sample);
    for (size_t i = 0; i < gradients.size(); ++i) {
      const detail::DrawnParameter& drawn = sample->parameters[i];
      if (!drawn.got_gradient) continue;
      drawn.slot->used = detail::GradientMark(gradients[i]);
      at::Tensor gradient = detail::in_memory_order_of(drawn.ref.tensor, gradients[i]);
      // The user may clear the gradient in place before the step.
      if (gradient.is_same(gradients[i])) gradient = gradient.clone();
      drawn.slot->add_sums(gradient, statistic_of(drawn, gradient));
    }
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
}

template <class E>
void IVON<E>::manual_seed(uint64_t seed) {
  core().refuse_while_live("manual_seed()");
  noise_ = detail::NoiseStream{seed};
}

}  // namespace ivon
