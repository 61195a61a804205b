// SPDX-License-Identifier: Apache-2.0
#include "common/data/token_batches.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "common/data/example_random.hpp"

namespace examples {

TokenBatches::TokenBatches(const TokenFile& file, int64_t context, uint64_t seed)
    : file_(file), context_(context), seed_(seed) {
  if (context < 1) {
    throw std::invalid_argument(fmt::format(
        "{}: the context must be at least 1 token, but is {}; choose a larger one, below "
        "the {} tokens of the file",
        file.file().string(), context, file.size()));
  }
  if (file.size() <= context) {
    throw std::invalid_argument(
        fmt::format("{}: must have more tokens than the context, {}, but has {}; choose a smaller "
                    "context or a longer file",
                    file.file().string(), context, file.size()));
  }
}

TokenBatch TokenBatches::random(const torch::Tensor& rows, int64_t epoch,
                                const torch::Device& device) const {
  const torch::Tensor numbers = rows.to(torch::kCPU, torch::kLong).contiguous();
  const auto* number = numbers.const_data_ptr<int64_t>();
  std::vector<int64_t> starts(static_cast<size_t>(numbers.numel()));
  for (int64_t& start : starts) {
    ExampleRandom random(seed_, static_cast<uint64_t>(epoch), static_cast<uint64_t>(*number++));
    start = random.below(file_.size() - context_);
  }
  return pieces(starts, device);
}

TokenBatch TokenBatches::spread(int64_t first, int64_t n, int64_t count,
                                const torch::Device& device) const {
  // Piece i begins at floor(i * last / gaps), so that the last one ends where the file ends. The
  // product is taken in two parts, because it can be too large for 64 bits.
  const int64_t last = file_.size() - context_ - 1;
  const int64_t gaps = std::max<int64_t>(count - 1, 1);
  std::vector<int64_t> starts;
  for (int64_t i = first; i < std::min(first + n, count); ++i) {
    starts.push_back(i * (last / gaps) + i * (last % gaps) / gaps);
  }
  return pieces(starts, device);
}

TokenBatch TokenBatches::pieces(const std::vector<int64_t>& starts,
                                const torch::Device& device) const {
  const auto n = static_cast<int64_t>(starts.size());
  TokenBatch batch;
  batch.inputs = at::empty({n, context_}, torch::kLong);
  batch.targets = at::empty({n, context_}, torch::kLong);
  auto* input = batch.inputs.data_ptr<int64_t>();
  auto* target = batch.targets.data_ptr<int64_t>();
  for (const int64_t start : starts) {
    const uint16_t* const ids = file_.ids() + start;
    input = std::copy(ids, ids + context_, input);
    target = std::copy(ids + 1, ids + 1 + context_, target);
  }
  batch.inputs = batch.inputs.to(device);
  batch.targets = batch.targets.to(device);
  return batch;
}

}  // namespace examples
