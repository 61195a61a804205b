// SPDX-License-Identifier: Apache-2.0
// The training whose steps are timed: a GPT-2, an optimizer and one random batch.
#pragma once

#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/models/gpt2.hpp"
#include "common/training.hpp"

namespace gpt2_benchmark {

struct StepSettings {
  examples::Gpt2Options model;
  int64_t batch = 4;                // sequences of a step
  int64_t tokens = 64;              // of a sequence
  double clipping = 1;              // bound on the norm of the gradient
  std::string contender = "adamw";  // a name of contenders()
};

// "adamw" is fused as in Python, "adamw-libtorch" is torch::optim::AdamW, "ivon" has AdamW's
// numbers and sample_on_step, and "ivon-paper" the paper's parametrisation with a scope for the
// sample.
std::vector<std::string> contenders();

// Steps as those of the example gpt2 (its steps.cpp): forward pass, backward pass, clipping,
// update.
class Training {
 public:
  // Throws std::invalid_argument for a model out of range or an unknown contender.
  explicit Training(const StepSettings& settings);
  Training(const Training&) = delete;  // its step refers to it
  Training& operator=(const Training&) = delete;

  int64_t parameters() const { return examples::parameter_count(*model_); }

  // Steps on the fixed random batch; the seconds of each.
  std::vector<double> steps(int64_t count);

 private:
  std::shared_ptr<examples::Gpt2> model_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  torch::Tensor rows_;     // int64 [batch], the numbers of the sequences
  torch::Tensor inputs_;   // int64 [batch, tokens]
  torch::Tensor targets_;  // int64 [batch, tokens]
  examples::TrainingStep step_;
};

}  // namespace gpt2_benchmark
