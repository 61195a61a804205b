// SPDX-License-Identifier: Apache-2.0
// The ways to predict that the example compares. Each takes images [n, 1, 28, 28] on the networks'
// device and returns a prediction on the CPU: probabilities [n, 10], entropy and mutual information
// [n]. The same arguments give the same prediction.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/models/conv_net.hpp"

namespace uncertainty {

using Predictor = std::function<ivon::Prediction(const torch::Tensor& images)>;

// Averages the probabilities of one or several networks: a single network, or an ensemble.
Predictor networks_predictor(std::vector<examples::ConvNet> networks, bool bf16);

// Averages over `samples` passes with dropout left on (Gal and Ghahramani 2016, arXiv 1506.02142).
Predictor mc_dropout_predictor(examples::ConvNet network, int64_t samples, int64_t seed, bool bf16);

// Averages over `samples` draws of the network's weights from the posterior; 0 predicts at its
// mean. All images are predicted with the same draws, which follow from `seed`.
Predictor posterior_predictor(ivon::Posterior posterior, examples::ConvNet network, int64_t samples,
                              int64_t seed, bool bf16);

}  // namespace uncertainty
