// SPDX-License-Identifier: Apache-2.0
// Starts IVON from the state of a trained AdamW or Adam, for programs that finetune.
#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>

#include <cmath>
#include <cstdint>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/options.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
#include <unordered_map>

IVON_NAMESPACE_BEGIN
namespace detail {

// Writes momentum, step count and, with damping, the Hessian of one parameter from AdamW's state.
template <class State, class Options>
void copy_adam_state(const State& from, const Options& from_options, const IVONOptions& options,
                     IVONParamState& to) {
  TORCH_CHECK(from.exp_avg().defined() && from.exp_avg().sizes() == to.momentum().sizes(),
              "ivon: the state of the other optimizer has another shape than its parameter; it is "
              "damaged");
  to.momentum().copy_(from.exp_avg());
  to.step(from.step());
  if (options.damping() > 0) {
    const double beta2 = std::get<1>(from_options.betas());
    const double debias = 1.0 - std::pow(beta2, static_cast<double>(from.step()));
    to.hess().copy_(from.exp_avg_sq());
    to.hess().div_(debias).sqrt_().clamp_min_(options.eps()).mul_(options.damping());
  }
}

template <class State, class Options, class Estimator>
void start_from_adam(IVON<Estimator>& optimizer, const torch::optim::Optimizer& other) {
  const PlainTensors plain;
  std::unordered_map<const void*, const IVONOptions*> own_options;
  for (const auto& group : optimizer.param_groups()) {
    const auto& options = static_cast<const IVONOptions&>(group.options());
    TORCH_CHECK(!options.capturable(), "ivon: start_from() needs capturable(false)");
    for (const at::Tensor& parameter : group.params()) {
      own_options[parameter.unsafeGetTensorImpl()] = &options;
    }
  }
  optimizer.eval();
  int64_t copied = 0;
  for (const auto& group : other.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      void* const key = parameter.unsafeGetTensorImpl();
      const auto from = other.state().find(key);
      const auto options = own_options.find(key);
      if (from == other.state().end() || options == own_options.end()) continue;
      if (!parameter.requires_grad()) continue;
      const auto own = optimizer.state().find(key);
      TORCH_CHECK(own != optimizer.state().end(),
                  "ivon: start_from() needs sample_on_step(true), or one sample before it: "
                  "{ auto sample = optimizer.sampled_params(); }");
      copy_adam_state(static_cast<const State&>(*from->second),
                      static_cast<const Options&>(group.options()), *options->second,
                      static_cast<IVONParamState&>(*own->second));
      ++copied;
    }
  }
  optimizer.train();
  TORCH_CHECK(copied > 0,
              "ivon: start_from() found no parameter of this optimizer with a state in the other "
              "one; build both on the same tensors");
}

}  // namespace detail

/// Continues where a trained AdamW stopped: takes over its momentum and step counts and, with
/// damping (IVONOptions::like_adamw()), the scale of its squared gradients. Both optimizers must
/// have been built on the same tensors. Parameters without a state in `adamw` keep their own.
///
/// Throws c10::Error if no parameter is shared, if `optimizer` has no state yet (without
/// sample_on_step) or has capturable set, and while a sample is shown.
template <class Estimator>
void start_from(IVON<Estimator>& optimizer, const torch::optim::AdamW& adamw) {
  detail::start_from_adam<torch::optim::AdamWParamState, torch::optim::AdamWOptions>(optimizer,
                                                                                     adamw);
}
/// The same from a trained Adam.
template <class Estimator>
void start_from(IVON<Estimator>& optimizer, const torch::optim::Adam& adam) {
  detail::start_from_adam<torch::optim::AdamParamState, torch::optim::AdamOptions>(optimizer, adam);
}

IVON_NAMESPACE_END
