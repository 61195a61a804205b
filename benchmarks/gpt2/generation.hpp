// SPDX-License-Identifier: Apache-2.0
// Text that a GPT-2 with random weights continues, with the time that it takes.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "common/models/gpt2.hpp"
#include "gpt2/ensemble.hpp"

namespace gpt2_benchmark {

class Generation {
 public:
  // Throws std::invalid_argument for a model out of range.
  explicit Generation(const examples::Gpt2Options& options);

  // The seconds in which `count` tokens are found after a random prompt of `prompt` tokens: each
  // time the most probable one, with the cache of keys and values. Together they fit the context.
  double seconds(int64_t prompt, int64_t count);

 private:
  examples::Gpt2 model_;
  gpt2::Ensemble ensemble_;
};

}  // namespace gpt2_benchmark
