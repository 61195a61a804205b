// SPDX-License-Identifier: Apache-2.0
// Member functions of ivon::IVON that save and load the optimizer. Included by optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>
#include <ivon/sampling/checkpoint.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

template <class E>
void IVON<E>::save(torch::serialize::OutputArchive& archive) const {
  const detail::OneCaller::Call call(core().caller(), "save()");
  core().refuse_while_live("save()");
  core().report_damage();
  TORCH_CHECK(
      !core().has_samples(),
      "ivon: save() between a sample and its step() would lose the sample; call step() first");
  const detail::PlainTensors plain;
  detail::Checkpoint checkpoint{E::kName, noise_now(), skipped_elements(), defaults_of_ivon(), {}};
  const auto lists = detail::list_parameters(param_groups_);
  for (size_t g = 0; g < lists.size(); ++g) {
    auto& group = checkpoint.groups.emplace_back();
    group.options = detail::complete_options(param_groups_[g], defaults_of_ivon(), g);
    for (const detail::ParameterRef& ref : lists[g]) {
      auto& entry = group.parameters.emplace_back();
      entry.sizes = ref.tensor.sizes().vec();
      entry.dtype = c10::toString(ref.tensor.scalar_type());
      if (const IVONParamState* state = find_state(ref.tensor)) {
        entry.state = *state;
        if (const int64_t step = step_now(ref.tensor); step >= 0) entry.state->step(step);
        if (state->mean().defined()) entry.state->mean(mean(ref.tensor));
      }
      const detail::ParameterSlot* slot = table().find(ref.tensor);
      if (slot && slot->buffers.shown()) entry.module_mean = slot->buffers.mean().detach();
    }
  }
  checkpoint.write(archive);
}

template <class E>
void IVON<E>::load(torch::serialize::InputArchive& archive) {
  const detail::OneCaller::Call call(core().caller(), "load()");
  core().refuse_while_live("load()");
  const detail::PlainTensors plain;
  detail::Checkpoint checkpoint = detail::Checkpoint::read(archive);
  const auto lists = detail::list_parameters(param_groups_);
  checkpoint.check_fits(E::kName, lists);
  for (size_t g = 0; g < lists.size(); ++g) {
    detail::ivon_options_of(param_groups_[g], detail::group_name(g));
    core().refuse_shown_elsewhere(lists[g]);
  }
  const bool on_step = resident().enabled();
  const bool capturable = core().cuda().capturable();
  TORCH_CHECK(!on_step || checkpoint.defaults.mc_samples() == 1,
              "ivon: the archive was written with mc_samples ", checkpoint.defaults.mc_samples(),
              ", which sample_on_step has no use for; load it into an optimizer without");

  decltype(state_) states;  // everything is allocated before the first change
  for (size_t g = 0; g < lists.size(); ++g) {
    for (size_t p = 0; p < lists[g].size(); ++p) {
      const at::Tensor& param = lists[g][p].tensor;
      const auto& stored = checkpoint.groups[g].parameters[p].state;
      if (!stored) continue;
      const auto on_parameter = [&](const at::Tensor& tensor) {
        const auto options = param.options().requires_grad(false).dtype(detail::state_dtype(param));
        return detail::empty_in_memory_order(param, options).copy_(tensor);
      };
      auto state = std::make_unique<IVONParamState>();
      state->hess(on_parameter(stored->hess())).momentum(on_parameter(stored->momentum()));
      if (stored->mean().defined()) state->mean(on_parameter(stored->mean()));
      if (stored->prior_mean().defined()) state->prior_mean(on_parameter(stored->prior_mean()));
      if (const at::Tensor& precision = stored->prior_precision(); precision.defined()) {
        state->prior_precision(precision.dim() == 0 ? precision.to(param.device())
                                                    : on_parameter(precision));
      }
      state->step(stored->step());
      states[param.unsafeGetTensorImpl()] = std::move(state);
    }
  }
  at::Tensor skipped = at::full({}, checkpoint.skipped, at::kLong);

  core().drop_samples();
  resident().clear();  // what was written to the module while it showed a sample becomes the mean
  state_ = std::move(states);
  settle_noise(checkpoint.noise);
  skipped_ = {std::move(skipped)};
  // sample_on_step and capturable must suit the program's training loop, so the archive does not
  // change them.
  static_cast<IVONOptions&>(*defaults_) =
      checkpoint.defaults.sample_on_step(on_step).capturable(capturable);
  for (size_t g = 0; g < lists.size(); ++g) {
    static_cast<IVONOptions&>(param_groups_[g].options()) =
        checkpoint.groups[g].options.sample_on_step(on_step).capturable(capturable);
    const auto& options = static_cast<const IVONOptions&>(param_groups_[g].options());
    options.learning_rate_link().notify(options.lr());
    for (size_t p = 0; p < lists[g].size(); ++p) {
      const at::Tensor& param = lists[g][p].tensor;
      const auto& module_mean = checkpoint.groups[g].parameters[p].module_mean;
      if (module_mean.defined()) param.copy_(module_mean);
      const detail::ParameterSlot* slot = table().find(param);
      const IVONParamState* state = find_state(param);
      if (slot && slot->step_on_device.defined()) {
        slot->step_on_device[0].fill_(state ? state->step() : 0);
      }
    }
  }
  core().forget_damage();
  renew_resident_sample();
}

IVON_NAMESPACE_END
