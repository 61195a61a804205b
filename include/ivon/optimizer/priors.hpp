// SPDX-License-Identifier: Apache-2.0
// Member functions of ivon::IVON that give parameters priors of their own. Included by
// optimizer.hpp only.
#pragma once

#include <ivon/optimizer.hpp>
#include <ivon/version.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

// Returns a copy of a prior's tensor on the parameter's device, in the dtype and memory order of
// its state. Throws if the tensor does not belong to the parameter.
template <class E>
at::Tensor IVON<E>::checked_prior_tensor(const detail::ParameterRef& ref, const at::Tensor& tensor,
                                         const char* what, bool scalar) const {
  if (!tensor.defined()) return {};
  const at::Tensor& param = ref.tensor;
  TORCH_CHECK(tensor.layout() == at::kStrided && tensor.is_floating_point() &&
                  (tensor.sizes() == param.sizes() || (scalar && tensor.dim() == 0)),
              "ivon: the ", what, " of a prior must be a floating-point tensor of the shape of ",
              ref.describe(), scalar ? " or 0-dimensional" : "", ", got ", tensor.scalar_type(),
              " ", tensor.sizes(), "; see ParameterPrior");
  TORCH_CHECK(tensor.isfinite().all().template item<bool>(), "ivon: the ", what,
              " of a prior must be finite, but that for ", ref.describe(), " is not");
  const auto options = param.options().requires_grad(false).dtype(detail::state_dtype(param));
  if (tensor.dim() == 0) return tensor.to(options, /*non_blocking=*/false, /*copy=*/true);
  return detail::empty_in_memory_order(param, options).copy_(tensor);
}

template <class E>
void IVON<E>::set_priors(const std::vector<ParameterPrior>& priors) {
  const detail::OneCaller::Call call(core().caller(), "set_priors()");
  core().refuse_while_live("set_priors()");
  core().report_damage();
  TORCH_CHECK(!core().has_samples(),
              "ivon: set_priors() between a sample and its step() would change the posterior that "
              "the sample was drawn from; call step() first");
  const detail::PlainTensors plain;
  std::vector<Active> active = active_parameters();
  std::unordered_map<const at::TensorImpl*, Active*> by_tensor;
  for (Active& entry : active) by_tensor.emplace(entry.ref->tensor.unsafeGetTensorImpl(), &entry);
  std::vector<std::pair<Active*, ParameterPrior>> planned;
  for (const ParameterPrior& prior : priors) {
    const detail::ParameterRef ref = find_parameter(prior.parameter);
    const auto found = by_tensor.find(prior.parameter.unsafeGetTensorImpl());
    TORCH_CHECK(found != by_tensor.end(), "ivon: ", ref.describe(),
                " must be trained to have a prior, but it is frozen; call requires_grad_()");
    TORCH_CHECK(!prior.precision.defined() || found->second->options->weight_decay() == 0,
                "ivon: weight_decay must be 0 for ", ref.describe(),
                ", which is given a prior, got ", found->second->options->weight_decay(),
                "; set weight_decay(0) in its group");
    TORCH_CHECK(!core().cuda().capturable() || !ref.tensor.is_cuda(),
                "ivon: capturable must be off for parameters with a prior of their own; build the "
                "optimizer without it");
    TORCH_CHECK(prior.precision.defined() || !prior.mean.defined(),
                "ivon: a prior must have a precision, but that for ", ref.describe(),
                " has only a mean; give 1 / variance");
    const at::Tensor precision =
        checked_prior_tensor(ref, prior.precision, "precision", /*scalar=*/true);
    TORCH_CHECK(!precision.defined() || (precision > 0).all().template item<bool>(),
                "ivon: the precision of a prior must be > 0, but that for ", ref.describe(),
                " is not; it is 1 / variance");
    planned.push_back(
        {found->second,
         {ref.tensor, checked_prior_tensor(ref, prior.mean, "mean", /*scalar=*/false), precision}});
  }
  for (auto& [entry, prior] : planned) ensure_state(*entry);
  resident().clear();
  for (auto& [entry, prior] : planned) {
    entry->state->prior_mean(std::move(prior.mean)).prior_precision(std::move(prior.precision));
  }
  renew_resident_sample();
}

IVON_NAMESPACE_END
