// SPDX-License-Identifier: Apache-2.0
// The shapes of the parameters that the optimizers are timed over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ivon_benchmark {

using Shapes = std::vector<std::vector<int64_t>>;

/// "resnet50" (161 tensors, 25,557,032 elements), "gpt2" (148 tensors, 124,439,808), "gpt2-xl"
/// (580 tensors, 1,557,611,200), "100x1000", or one tensor of so many elements: "1000", "1e8".
/// Throws std::invalid_argument for another name.
Shapes shapes_of(const std::string& model);

int64_t count_elements(const Shapes& shapes);

}  // namespace ivon_benchmark
