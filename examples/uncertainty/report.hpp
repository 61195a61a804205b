// SPDX-License-Identifier: Apache-2.0
// What the program leaves behind in numbers: the table and one JSON file.
#pragma once

#include <string>
#include <vector>

#include "conditions.hpp"
#include "methods.hpp"
#include "settings.hpp"

namespace uncertainty {

// The table of means over the seeds as text and, with several seeds, the table of their standard
// errors below it.
std::string results_table(const std::vector<Method>& methods, const TestSet& test,
                          const Settings& settings);

// Writes all settings (`json`) and the measures of each method, seed and condition to results.json
// in settings.common.out.
void write_json(const std::vector<Method>& methods, const TestSet& test, const Settings& settings,
                const examples::Json& json);

}  // namespace uncertainty
