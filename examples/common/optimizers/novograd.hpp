// SPDX-License-Identifier: Apache-2.0
// The optimizer NovoGrad (Ginsburg et al. 2019, arXiv 1905.11286, algorithm 1), which divides the
// gradient g of each tensor by its norm. For each tensor p:
//   v = beta2 v + (1 - beta2) |g|^2                           (a number; at first v = |g|^2)
//   m = beta1 m + (g / (sqrt(v) + eps) + weight_decay p)      (at first m = 0)
//   p = p - lr m
// The paper leaves eps out of the first step; here it is in every step, as in the implementations
// of timm and torch-optimizer. And as there, v = |g|^2 also holds as long as v is 0, so that a
// tensor whose first gradients are all zero starts like the others. There is no AMSGrad variant.
#pragma once

#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <tuple>
#include <vector>

namespace examples {

struct NovoGradOptions : public torch::optim::OptimizerCloneableOptions<NovoGradOptions> {
  NovoGradOptions(double lr = 1e-2);  // NOLINT(google-explicit-constructor): as LibTorch's options
  TORCH_ARG(double, lr) = 1e-2;       // >= 0
  using betas_t = std::tuple<double, double>;
  TORCH_ARG(betas_t, betas) = std::make_tuple(0.95, 0.98);  // both in [0, 1)
  TORCH_ARG(double, eps) = 1e-8;                            // > 0: a zero gradient is 0 / eps
  TORCH_ARG(double, weight_decay) = 0;                      // >= 0, added to the scaled gradient

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
  double get_lr() const override;
  void set_lr(double lr) override;
};

struct NovoGradParamState : public torch::optim::OptimizerCloneableParamState<NovoGradParamState> {
  TORCH_ARG(torch::Tensor, exp_avg);  // m; shape, type and device of the parameter
  // v; scalar on the parameter's device, float64 for float64 parameters and else float32, because
  // a float16 could not hold a squared norm.
  TORCH_ARG(torch::Tensor, exp_avg_sq);

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

class NovoGrad : public torch::optim::Optimizer {
 public:
  // Throws std::invalid_argument for options out of range. A group without options gets `defaults`;
  // the options of a group that has some are used as they are.
  explicit NovoGrad(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                    const NovoGradOptions& defaults = {});
  explicit NovoGrad(std::vector<torch::Tensor> parameters, const NovoGradOptions& defaults = {});
  // Must be called on this type and not on torch::optim::Optimizer, which would replace the group's
  // options by the defaults.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  // Parameters without a gradient are skipped: they keep their value. Never waits for a GPU.
  // Returns the closure's loss. Throws std::invalid_argument for a sparse gradient and for options
  // out of range.
  torch::Tensor step(LossClosure closure = nullptr) override;

  void save(torch::serialize::OutputArchive& archive) const override;
  // Throws a c10::Error if the archive belongs to another optimizer or other parameter groups.
  void load(torch::serialize::InputArchive& archive) override;
};

}  // namespace examples
