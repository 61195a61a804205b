// SPDX-License-Identifier: Apache-2.0
// The two training steps that the example compares. They differ in one scope.
#pragma once

#include "common/compiled_ivon.hpp"
#include "common/data/in_memory.hpp"
#include "common/training.hpp"
#include "network.hpp"

namespace fashion_mnist {

// The step that every LibTorch optimizer knows: AdamW's, and IVON's with sample_on_step.
examples::TrainingStep plain_step(ConvNet& model, torch::optim::Optimizer& optimizer,
                                  const examples::InMemory& train, bool bf16);

// IVON's standard step, with a scope for the sample.
examples::TrainingStep ivon_step(ConvNet& model, ivon::IVON<>& optimizer,
                                 const examples::InMemory& train, bool bf16);

}  // namespace fashion_mnist
