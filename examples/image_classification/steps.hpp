// SPDX-License-Identifier: Apache-2.0
// The training steps: forward pass, backward pass, update.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>

#include "common/data/image_loader.hpp"
#include "common/training.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace image_classification {

// What the steps of one training work with. All references must outlive the steps.
struct Stepping {
  const Settings& s;
  const Network& network;
  torch::optim::Optimizer& optimizer;
  examples::ImageLoader& loader;
  int64_t seed;  // of mixup and CutMix
};

// A step that is handed a batch without readable images, or one with a single image of a network
// with batch norm, changes neither weights nor optimizer and returns the loss 0.

// The step of any LibTorch optimizer: AdamW, SGD, and IVON with sample_on_step.
examples::TrainingStep plain_step(const Stepping& stepping);

// IVON's step with a scope for each sample of the weights: settings.training.mc_samples of them.
examples::TrainingStep scoped_step(const Stepping& stepping);

}  // namespace image_classification
