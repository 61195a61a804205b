// SPDX-License-Identifier: Apache-2.0
#include "generation.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <stdexcept>

namespace gpt2_benchmark {

Generation::Generation(const examples::Gpt2Options& options) : model_(options), ensemble_(model_) {}

double Generation::seconds(int64_t prompt, int64_t count) {
  const int64_t context = model_.options().context;
  if (prompt < 1 || count < 1 || prompt + count > context) {
    throw std::invalid_argument(
        fmt::format("prompt and count must be >= 1 and together at most the context of {}, but are "
                    "{} and {}",
                    context, prompt, count));
  }
  using Clock = std::chrono::steady_clock;
  torch::Tensor tokens =
      torch::randint(0, model_.options().vocabulary, {1, prompt}, torch::kLong);  // [1, t]
  const auto begin = Clock::now();
  ensemble_.clear();
  for (int64_t i = 0; i < count; ++i) {
    const torch::Tensor probabilities = ensemble_.next(tokens);  // [1, 1, vocabulary]
    tokens = probabilities[0].argmax(-1, /*keepdim=*/true);
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace gpt2_benchmark
