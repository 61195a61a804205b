// SPDX-License-Identifier: Apache-2.0
// Class probabilities of a trained network and what they score.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "common/compiled_ivon.hpp"

namespace examples {

struct Scores {
  double accuracy = 0;  // 0..1
  double nll = 0;       // nats per example
  double ece = 0;       // 15 bins, 0..1
};

// A network's forward pass: inputs [k, ...] -> logits [k, classes], float32.
using Logits = std::function<torch::Tensor(const torch::Tensor& inputs)>;

// Class probabilities [n, classes], on the CPU, with the weights that the network holds (after
// IVON's training: the mean; with sample_on_step, call optimizer.eval() first). `chunk` inputs go
// through the network at once: few enough for the activations to stay in the cache.
torch::Tensor predict(const Logits& logits, const torch::Tensor& inputs, int64_t chunk = 500);

// The same averaged over `samples` >= 1 draws of the weights from the optimizer's posterior.
torch::Tensor predict_averaged(ivon::IVON<>& optimizer, const Logits& logits,
                               const torch::Tensor& inputs, int64_t samples, int64_t chunk = 500);

// probs [n, classes] against targets [n], int64, both on the CPU.
Scores score(const torch::Tensor& probs, const torch::Tensor& targets);

}  // namespace examples
