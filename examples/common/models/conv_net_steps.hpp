// SPDX-License-Identifier: Apache-2.0
// The two ways to write a training step of ConvNet. They differ in one scope.
#pragma once

#include "common/compiled_ivon.hpp"
#include "common/data/in_memory.hpp"
#include "common/models/conv_net.hpp"
#include "common/training.hpp"

namespace examples {

// The step that every LibTorch optimizer knows: AdamW's, and IVON's with sample_on_step.
TrainingStep plain_step(ConvNet& model, torch::optim::Optimizer& optimizer, const InMemory& train,
                        bool bf16);

// IVON's standard step, with a scope for the sample.
TrainingStep ivon_step(ConvNet& model, ivon::IVON<>& optimizer, const InMemory& train, bool bf16);

}  // namespace examples
