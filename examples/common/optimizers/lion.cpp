// SPDX-License-Identifier: Apache-2.0
#include "common/optimizers/lion.hpp"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sign.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <utility>

#include "common/optimizers/optimizer_parts.hpp"

namespace examples {
namespace {

const LionOptions& checked_lion(const LionOptions& options) {
  require_not_negative("Lion", "lr", options.lr());
  require_decay("Lion", "beta1", std::get<0>(options.betas()));
  require_decay("Lion", "beta2", std::get<1>(options.betas()));
  require_not_negative("Lion", "weight_decay", options.weight_decay());
  return options;
}

LionParamState lion_state(const torch::Tensor& parameter) {
  LionParamState state;
  state.exp_avg(at::zeros_like(parameter));
  return state;
}

}  // namespace

LionOptions::LionOptions(double lr) : lr_(lr) {}

void LionOptions::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(lr);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(betas);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(weight_decay);
}

void LionOptions::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, lr);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(betas_t, betas);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, weight_decay);
}

double LionOptions::get_lr() const { return lr(); }

void LionOptions::set_lr(double lr) { this->lr(lr); }

void LionParamState::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(exp_avg);
}

void LionParamState::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, exp_avg);
}

Lion::Lion(const std::vector<torch::optim::OptimizerParamGroup>& groups,
           const LionOptions& defaults)
    : Optimizer(std::vector<torch::optim::OptimizerParamGroup>{},
                std::make_unique<LionOptions>(checked_lion(defaults))) {
  for (const auto& group : groups) Lion::add_param_group(group);
}

Lion::Lion(std::vector<torch::Tensor> parameters, const LionOptions& defaults)
    : Lion({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

void Lion::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  add_group<LionOptions>(*this, group, "Lion", checked_lion);
}

torch::Tensor Lion::step(LossClosure closure) {
  const torch::NoGradGuard no_grad;
  torch::Tensor loss = loss_of(closure);
  for (const auto& group : param_groups()) {
    const auto& options = checked_lion(static_cast<const LionOptions&>(group.options()));
    const auto [beta1, beta2] = options.betas();
    const auto updated = updated_parameters<LionParamState>(*this, group, "Lion", lion_state);
    if (updated.parameters.empty()) continue;
    const auto momenta = updated.buffers(&LionParamState::exp_avg);
    {
      auto directions = at::_foreach_lerp(momenta, updated.gradients, 1 - beta1);
      at::_foreach_sign_(directions);
      if (options.weight_decay() != 0) {
        at::_foreach_mul_(updated.parameters, 1 - options.lr() * options.weight_decay());
      }
      at::_foreach_add_(updated.parameters, directions, -options.lr());
    }
    at::_foreach_lerp_(momenta, updated.gradients, 1 - beta2);
  }
  return loss;
}

void Lion::save(torch::serialize::OutputArchive& archive) const {
  torch::optim::serialize<LionParamState, LionOptions>(archive, *this);
}

void Lion::load(torch::serialize::InputArchive& archive) {
  load_state<LionParamState, LionOptions>(*this, archive);
}

}  // namespace examples
