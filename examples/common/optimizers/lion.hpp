// SPDX-License-Identifier: Apache-2.0
// The optimizer Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2), which steps by the sign of
// an average of the gradient g and the momentum m:
//   c = beta1 m + (1 - beta1) g;  p = (1 - lr weight_decay) p - lr sign(c)
//   m = beta2 m + (1 - beta2) g
// The sign of 0 is 0. Every element moves by lr, so the usual learning rate is 3 to 10 times lower
// than AdamW's, and the usual weight decay as many times higher.
#pragma once

#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <tuple>
#include <vector>

namespace examples {

struct LionOptions : public torch::optim::OptimizerCloneableOptions<LionOptions> {
  LionOptions(double lr = 1e-4);  // NOLINT(google-explicit-constructor): as LibTorch's options
  TORCH_ARG(double, lr) = 1e-4;   // >= 0
  using betas_t = std::tuple<double, double>;
  TORCH_ARG(betas_t, betas) = std::make_tuple(0.9, 0.99);  // both in [0, 1)
  TORCH_ARG(double, weight_decay) = 0;                     // >= 0, decoupled

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
  double get_lr() const override;
  void set_lr(double lr) override;
};

struct LionParamState : public torch::optim::OptimizerCloneableParamState<LionParamState> {
  TORCH_ARG(torch::Tensor, exp_avg);  // m; shape, type and device of the parameter

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

class Lion : public torch::optim::Optimizer {
 public:
  // Throws std::invalid_argument for options out of range. A group without options gets `defaults`;
  // the options of a group that has some are used as they are.
  explicit Lion(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                const LionOptions& defaults = {});
  explicit Lion(std::vector<torch::Tensor> parameters, const LionOptions& defaults = {});
  // Must be called on this type and not on torch::optim::Optimizer, which would replace the group's
  // options by the defaults.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  // Parameters without a gradient are skipped: they keep their value, without weight decay too.
  // Returns the closure's loss. Throws std::invalid_argument for a sparse gradient and for options
  // out of range.
  torch::Tensor step(LossClosure closure = nullptr) override;

  void save(torch::serialize::OutputArchive& archive) const override;
  // Throws a c10::Error if the archive belongs to another optimizer or other parameter groups.
  void load(torch::serialize::InputArchive& archive) override;
};

}  // namespace examples
