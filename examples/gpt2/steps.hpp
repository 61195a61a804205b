// SPDX-License-Identifier: Apache-2.0
// The training steps: forward pass, backward pass, update.
#pragma once

#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "common/training.hpp"

namespace gpt2 {

// What the steps of one training work with. All references must outlive the steps.
struct Stepping {
  std::vector<torch::Tensor> parameters;  // those that are trained
  torch::optim::Optimizer& optimizer;
  // The mean loss, in nats, of the pieces with these numbers (int64 [n]).
  std::function<torch::Tensor(const torch::Tensor& rows)> loss;
  int64_t accumulate;    // forward passes of a step, >= 1
  double gradient_clip;  // bound on the norm of the gradient; 0: none
};

// The step of any LibTorch optimizer: AdamW, and IVON with sample_on_step, which then has one
// sample of the weights for the whole step.
examples::TrainingStep plain_step(const Stepping& stepping);

// IVON's step with a sample of the weights for each forward pass, as the paper trains GPT-2. The
// gradient of each sample is clipped on its own, because the optimizer adds it to its sums before
// the next sample is drawn.
examples::TrainingStep fresh_samples_step(const Stepping& stepping);

// IVON's step with a scope, in which one sample serves all forward passes.
examples::TrainingStep one_sample_step(const Stepping& stepping);

}  // namespace gpt2
