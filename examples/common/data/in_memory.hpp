// SPDX-License-Identifier: Apache-2.0
// A labelled data set that fits into memory as two tensors.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace examples {

struct InMemory {
  torch::Tensor inputs;   // [n, ...]
  torch::Tensor targets;  // [n], int64 classes or float values

  int64_t size() const { return targets.size(0); }

  // The examples with the numbers `rows` (int64, [k], on this data's device), in that order.
  InMemory batch(const torch::Tensor& rows) const {
    return {inputs.index_select(0, rows), targets.index_select(0, rows)};
  }

  InMemory to(const torch::Device& device) const { return {inputs.to(device), targets.to(device)}; }

  // The first `n` examples; all of them for n <= 0 or n >= size().
  InMemory first(int64_t n) const {
    if (n <= 0 || n >= size()) return *this;
    return {inputs.slice(0, 0, n), targets.slice(0, 0, n)};
  }
};

}  // namespace examples
