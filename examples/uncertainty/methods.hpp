// SPDX-License-Identifier: Apache-2.0
// The methods that the example compares, and one run of all of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conditions.hpp"
#include "measures.hpp"
#include "training.hpp"

namespace uncertainty {

// One row of the table: one way to predict, over all seeds.
struct Method {
  std::string name;                  // "IVON at the mean"
  std::string key;                   // "ivon_mean", for JSON
  std::string colour;                // of its curves
  bool sampled;                      // averages several predictions, which can disagree
  std::vector<Measures> seeds = {};  // one per seed
};

// The methods without measures. With settings.paper, the paper's IVON is among them.
std::vector<Method> make_methods(const Settings& settings);

// Trains all networks with `seed` and adds the measures of each method.
void run_methods(std::vector<Method>& methods, const Context& c, const TestSet& test, int64_t seed);

}  // namespace uncertainty
