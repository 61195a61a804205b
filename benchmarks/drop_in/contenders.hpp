// SPDX-License-Identifier: Apache-2.0
// What the drop-in benchmark compares: the optimizer that a task usually has, and IVON in its
// place.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "drop_in/task.hpp"

namespace drop_in {

/// Returns the contender that `setting` describes. Throws std::runtime_error if it has an unknown
/// key or kind.
std::unique_ptr<Contender> make_contender(const nlohmann::json& setting, uint64_t seed);

}  // namespace drop_in
