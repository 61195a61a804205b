// SPDX-License-Identifier: Apache-2.0
// The settings with which IVON finetunes adapters (IVON-LoRA: Cong et al. 2024, "Variational
// Low-Rank Adaptation Using IVON", arXiv 2411.04421).
#pragma once

#include "common/optimizers.hpp"

namespace gpt2 {

// The learning rate falls linearly to 0, and the test draws 10 samples. `ess` is 1e6 to 1e8, more
// than a data set has examples, so that the posterior is narrow enough for one sample a step;
// hess_init may be up to 1e-3.
inline examples::OptimizerSettings lora_recipe(double ess = 1e7) {
  examples::OptimizerSettings s = examples::optimizer_settings("ivon-paper");
  s.lr = 0.03;
  s.rescale_lr = false;
  s.weight_decay = 0;
  s.clip_radius = 1e-3;
  s.beta2 = 0.99999;
  s.hess_init = 3e-4;
  s.ess = ess;
  return s;
}

}  // namespace gpt2
