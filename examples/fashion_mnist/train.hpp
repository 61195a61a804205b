// SPDX-License-Identifier: Apache-2.0
// The two training loops that the example compares. They differ in one line and one scope.
#pragma once

#include <ivon/ivon.hpp>

#include "data.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace fashion_mnist {

// Trains `model` from where it stands with AdamW. Returns seconds per epoch (evaluation excluded).
double train_adamw(ConvNet& model, const Split& train, const Settings& settings, int64_t seed);

// The same with IVON. `optimizer` holds `model`'s parameters and, afterwards, the posterior.
double train_ivon(ConvNet& model, ivon::IVON<>& optimizer, const Split& train,
                  const Settings& settings, int64_t seed);

}  // namespace fashion_mnist
