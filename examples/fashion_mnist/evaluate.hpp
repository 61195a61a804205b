// SPDX-License-Identifier: Apache-2.0
// A trained network's predictions for the test set, and what they score.
#pragma once

#include <ivon/ivon.hpp>

#include "data.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace fashion_mnist {

struct Scores {
  double accuracy = 0;  // 0..1
  double nll = 0;       // nats per example
  double ece = 0;       // 15 bins, 0..1
};

// Class probabilities [n, 10], on the CPU, with the weights that the network holds: after IVON, the
// mean.
torch::Tensor predict(ConvNet& model, const torch::Tensor& images, const Settings& settings);

// The same averaged over settings.samples draws of the weights.
torch::Tensor predict_averaged(ConvNet& model, ivon::IVON<>& optimizer, const torch::Tensor& images,
                               const Settings& settings);

Scores score(const torch::Tensor& probs, const torch::Tensor& targets);

}  // namespace fashion_mnist
