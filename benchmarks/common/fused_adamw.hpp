// SPDX-License-Identifier: Apache-2.0
// AdamW in one pass over the parameters, as Python's torch.optim.AdamW(fused=True): LibTorch has
// the kernel, but its C++ AdamW does not call it.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace benchmark_common {

// Every parameter must have a gradient when step() is called. Saves nothing and takes no closure.
class FusedAdamW : public torch::optim::Optimizer {
 public:
  FusedAdamW(const std::vector<torch::Tensor>& parameters,
             const torch::optim::AdamWOptions& options)
      : Optimizer({torch::optim::OptimizerParamGroup(parameters)},
                  std::make_unique<torch::optim::AdamWOptions>(options)),
        options_(options),
        parameters_(parameters) {
    for (const torch::Tensor& parameter : parameters_) {
      averages_.push_back(at::zeros_like(parameter));  // in the parameter's memory order
      squares_.push_back(at::zeros_like(parameter));
      steps_.push_back(at::zeros({}));
    }
  }

  torch::Tensor step(LossClosure /*closure*/ = nullptr) override {
    const torch::NoGradGuard no_grad;
    gradients_.clear();
    for (const torch::Tensor& parameter : parameters_) gradients_.push_back(parameter.grad());
    ++iterations_;
    for (const torch::Tensor& step : steps_) *step.mutable_data_ptr<float>() = iterations_;
    const auto [beta1, beta2] = options_.betas();
    at::_fused_adamw_(parameters_, gradients_, averages_, squares_, /*max_exp_avg_sqs=*/{}, steps_,
                      options_.lr(), beta1, beta2, options_.weight_decay(), options_.eps(),
                      /*amsgrad=*/false, /*maximize=*/false);
    gradients_.clear();  // so that zero_grad() frees their memory
    return {};
  }

 private:
  torch::optim::AdamWOptions options_;
  std::vector<torch::Tensor> parameters_, gradients_, averages_, squares_, steps_;
  float iterations_ = 0;
};

}  // namespace benchmark_common
