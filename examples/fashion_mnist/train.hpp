// SPDX-License-Identifier: Apache-2.0
// The two training loops that the example compares. They differ in one line and one scope.
#pragma once

#include <ivon/ivon.hpp>
#include <string>

#include "data.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace fashion_mnist {

// Trains `model` from where it stands by the loop that every LibTorch optimizer knows: AdamW's, and
// IVON's with sample_on_step. Returns seconds per epoch (evaluation excluded).
double train_plain(const std::string& name, ConvNet& model, torch::optim::Optimizer& optimizer,
                   const Split& train, const Settings& settings, int64_t seed);

// IVON's standard loop, with a scope for the sample. `optimizer` holds `model`'s parameters and,
// afterwards, the posterior.
double train_ivon(ConvNet& model, ivon::IVON<>& optimizer, const Split& train,
                  const Settings& settings, int64_t seed);

}  // namespace fashion_mnist
