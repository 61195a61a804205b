// SPDX-License-Identifier: Apache-2.0
#include "common/optimizers/novograd.hpp"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcdiv.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sign.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <utility>

#include "common/optimizers/optimizer_parts.hpp"

namespace examples {
namespace {

const NovoGradOptions& checked_novograd(const NovoGradOptions& options) {
  require_not_negative("NovoGrad", "lr", options.lr());
  require_decay("NovoGrad", "beta1", std::get<0>(options.betas()));
  require_decay("NovoGrad", "beta2", std::get<1>(options.betas()));
  require_positive("NovoGrad", "eps", options.eps());
  require_not_negative("NovoGrad", "weight_decay", options.weight_decay());
  return options;
}

NovoGradParamState novograd_state(const torch::Tensor& parameter) {
  const auto type = parameter.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  NovoGradParamState state;
  state.exp_avg(at::zeros_like(parameter));
  state.exp_avg_sq(at::zeros({}, parameter.options().dtype(type).requires_grad(false)));
  return state;
}

// Brings every v up to date and returns the sqrt(v) + eps: scalars on the gradients' devices. The
// case v = 0 is told from the others by the sign of v, because a comparison here would wait for a
// GPU: the weight of |g|^2 is 1 - beta2 sign(v).
std::vector<torch::Tensor> novograd_denominators(const std::vector<torch::Tensor>& second_moments,
                                                 const std::vector<torch::Tensor>& gradients,
                                                 double beta2, double eps) {
  std::vector<torch::Tensor> squares;
  for (size_t i = 0; i < gradients.size(); ++i) {
    squares.push_back(at::linalg_vector_norm(gradients[i], 2, at::OptionalIntArrayRef{},
                                             /*keepdim=*/false, second_moments[i].scalar_type()));
  }
  at::_foreach_mul_(squares, squares);
  std::vector<torch::Tensor> weights = at::_foreach_sign(second_moments);
  at::_foreach_mul_(weights, -beta2);
  at::_foreach_add_(weights, 1.0);
  at::_foreach_lerp_(second_moments, squares, weights);
  std::vector<torch::Tensor> roots = at::_foreach_sqrt(second_moments);
  at::_foreach_add_(roots, eps);
  return roots;
}

}  // namespace

NovoGradOptions::NovoGradOptions(double lr) : lr_(lr) {}

void NovoGradOptions::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(lr);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(betas);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(eps);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(weight_decay);
}

void NovoGradOptions::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, lr);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(betas_t, betas);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, eps);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, weight_decay);
}

double NovoGradOptions::get_lr() const { return lr(); }

void NovoGradOptions::set_lr(double lr) { this->lr(lr); }

void NovoGradParamState::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(exp_avg);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(exp_avg_sq);
}

void NovoGradParamState::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, exp_avg);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(torch::Tensor, exp_avg_sq);
}

NovoGrad::NovoGrad(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                   const NovoGradOptions& defaults)
    : Optimizer(std::vector<torch::optim::OptimizerParamGroup>{},
                std::make_unique<NovoGradOptions>(checked_novograd(defaults))) {
  for (const auto& group : groups) NovoGrad::add_param_group(group);
}

NovoGrad::NovoGrad(std::vector<torch::Tensor> parameters, const NovoGradOptions& defaults)
    : NovoGrad({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

void NovoGrad::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  add_group<NovoGradOptions>(*this, group, "NovoGrad", checked_novograd);
}

torch::Tensor NovoGrad::step(LossClosure closure) {
  const torch::NoGradGuard no_grad;
  torch::Tensor loss = loss_of(closure);
  for (const auto& group : param_groups()) {
    const auto& options = checked_novograd(static_cast<const NovoGradOptions&>(group.options()));
    const auto [beta1, beta2] = options.betas();
    const auto updated =
        updated_parameters<NovoGradParamState>(*this, group, "NovoGrad", novograd_state);
    if (updated.parameters.empty()) continue;
    const auto momenta = updated.buffers(&NovoGradParamState::exp_avg);
    at::_foreach_mul_(momenta, beta1);
    at::_foreach_addcdiv_(momenta, updated.gradients,
                          novograd_denominators(updated.buffers(&NovoGradParamState::exp_avg_sq),
                                                updated.gradients, beta2, options.eps()));
    if (options.weight_decay() != 0) {
      at::_foreach_add_(momenta, updated.parameters, options.weight_decay());
    }
    at::_foreach_add_(updated.parameters, momenta, -options.lr());
  }
  return loss;
}

void NovoGrad::save(torch::serialize::OutputArchive& archive) const {
  torch::optim::serialize<NovoGradParamState, NovoGradOptions>(archive, *this);
}

void NovoGrad::load(torch::serialize::InputArchive& archive) {
  load_state<NovoGradParamState, NovoGradOptions>(*this, archive);
}

}  // namespace examples
