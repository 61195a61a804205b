// SPDX-License-Identifier: Apache-2.0
// Member functions of ivon::IVON that handle groups, parameters and their state. Included by
// optimizer.hpp only.
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
  static_cast<IVONOptions&>(*defaults_).inherit(IVONOptions());  // now all options count as set
  noise_.seed = detail::random_seed();
  if (defaults.capturable()) core().cuda().make_capturable();
  settle_noise(noise_);
  if (defaults.sample_on_step()) resident().enable();
  add_groups(groups);
}

template <class E>
detail::SamplingCore& IVON<E>::core() const {
  TORCH_CHECK(core_, "ivon: this optimizer was moved from; use the one it was moved to");
  return *core_;
}

template <class E>
void IVON<E>::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  const detail::OneCaller::Call call(core().caller(), "add_param_group()");
  core().refuse_while_live("add_param_group()");
  core().report_damage();
  add_groups({group});
}

// Adds parameter groups. Does everything that may fail before the first change.
template <class E>
void IVON<E>::add_groups(const std::vector<torch::optim::OptimizerParamGroup>& groups) {
  const size_t first = param_groups_.size();
  std::vector<IVONOptions> options;
  options.reserve(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    options.push_back(groups[g].has_options()
                          ? detail::complete_options(groups[g], defaults_of_ivon(), first + g)
                          : defaults_of_ivon());
  }
  auto refs = detail::flattened(
      detail::list_parameters(groups, first, static_cast<int64_t>(table().refs().size())));
  for (const detail::ParameterRef& ref : refs) {
    if (const auto earlier = table().place_of(ref.tensor, param_groups_)) {
      detail::refuse_second_group(*earlier, ref.group);
    }
    detail::check_parameter(ref);
  }
  core().refuse_shown_elsewhere(refs);
  detail::check_overlaps(table().with_neighbours(refs, param_groups_));

  if (first == 0) param_groups_.reserve(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    // In some versions of LibTorch the base class replaces options of a type it does not know by
    // the defaults.
    Optimizer::add_param_group(torch::optim::OptimizerParamGroup(groups[g].params()));
    param_groups_.back().set_options(std::make_unique<IVONOptions>(std::move(options[g])));
  }
  table().append(std::move(refs), groups);
  renew_resident_sample();
}

// Reads the parameters of all groups again and checks new ones. The program may have changed them
// without notice: by a write to params(), or by add_param_group of the base class, which is not
// virtual.
template <class E>
void IVON<E>::list_anew() {
  auto refs = detail::flattened(detail::list_parameters(param_groups_));
  std::vector<detail::ParameterRef> added;
  for (const detail::ParameterRef& ref : refs) {
    if (table().find(ref.tensor)) continue;
    detail::check_parameter(ref);
    added.push_back(ref);
  }
  if (!added.empty()) {
    core().refuse_shown_elsewhere(added);
    detail::check_overlaps(refs);
  }
  table().list(std::move(refs), param_groups_);
}

template <class E>
std::vector<typename IVON<E>::Active> IVON<E>::active_parameters() {
  defaults_of_ivon().refuse_foreign_writes("the optimizer's defaults: ");
  if (!table().is_list_of(param_groups_)) list_anew();
  // With capturable nothing is freed, because a captured graph may still use it.
  if (!core().has_samples() && !core().live_sample() && !core().cuda().capturable()) {
    table().free_unlisted([this](at::TensorImpl* key) { state_.erase(key); });
  }
  for (size_t g = 0; g < param_groups_.size(); ++g) {
    auto complete = detail::complete_options(param_groups_[g], defaults_of_ivon(), g);
    static_cast<IVONOptions&>(param_groups_[g].options()) = std::move(complete);
  }
  const std::vector<detail::ParameterRef>& refs = table().refs();
  const std::vector<detail::ParameterSlot*>& slots = table().slots();
  std::vector<Active> active;
  active.reserve(refs.size());
  for (size_t i = 0; i < refs.size(); ++i) {
    const detail::ParameterRef& ref = refs[i];
    if (!ref.tensor.requires_grad()) continue;
    detail::check_not_negated(ref);
    auto* state = const_cast<IVONParamState*>(find_state(ref.tensor));
    if (state) detail::check_state_fits(ref, state->hess(), state->mean());
    const auto& options = static_cast<const IVONOptions&>(param_groups_[ref.group].options());
    TORCH_CHECK(!state || !state->prior_precision().defined() || options.weight_decay() == 0,
                "ivon: weight_decay must be 0 for ", ref.describe(),
                ", which has a prior of its own, got ", options.weight_decay(),
                "; set weight_decay(0), or take the prior away with set_priors()");
    active.push_back({&ref, &options, slots[i], state});
  }
  core().refuse_shown_elsewhere(
      active.size(), [&](size_t i) -> const detail::ParameterRef& { return *active[i].ref; });
  return active;
}

// Throws, and drops all samples, if `state` is not the state with which the parameter's sample was
// drawn.
template <class E>
void IVON<E>::check_state_of_sample(const detail::DrawnParameter& drawn,
                                    const IVONParamState* state) {
  if (state && state->hess().is_same(drawn.hess)) return;
  const std::string place = drawn.ref.describe();
  core().drop_samples();
  if (resident().enabled()) {
    resident().clear();
    renew_resident_sample();
  }
  TORCH_CHECK(false, "ivon: the state of ", place,
              " was removed or replaced after its sample was drawn; the sample was dropped and the "
              "next one is drawn from the state as it is now; change state() between step() and "
              "the next sample only");
}

template <class E>
const IVONParamState* IVON<E>::find_state(const at::Tensor& param) const {
  const auto found = state_.find(param.unsafeGetTensorImpl());
  if (found == state_.end() || !found->second) return nullptr;
  const torch::optim::OptimizerParamState& state = *found->second;
  TORCH_CHECK(typeid(state) == typeid(IVONParamState), "ivon: the state of a parameter of shape ",
              param.sizes(),
              " must be ivon::IVONParamState, got that of another optimizer; remove it by "
              "state().erase(), and load an archive by load()");
  return static_cast<const IVONParamState*>(&state);
}

template <class E>
detail::ParameterRef IVON<E>::find_parameter(const at::Tensor& param) const {
  if (const auto place = table().place_of(param, param_groups_)) return *place;
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
  const detail::OneCaller::Call call(core().caller(), "param_state()");
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
  const detail::OneCaller::Call call(core().caller(), "mean()");
  const detail::ParameterRef ref = find_parameter(param);
  core().refuse_shown_elsewhere({ref});
  const detail::PlainTensors plain;
  const detail::ParameterSlot* slot = table().find(param);
  const at::Tensor& held = slot ? slot->buffers.mean() : param;
  const IVONParamState* state = find_state(param);
  if (state && state->mean().defined()) return detail::aten::adopted(held, state->mean());
  return held.to(detail::state_dtype(param), /*non_blocking=*/false, /*copy=*/true);
}

IVON_NAMESPACE_END
