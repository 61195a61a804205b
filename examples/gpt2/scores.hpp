// SPDX-License-Identifier: Apache-2.0
// How well a model predicts a text: the log probability of each of its tokens.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/compiled_ivon.hpp"
#include "common/data/token_batches.hpp"
#include "common/models/gpt2.hpp"

namespace gpt2 {

// The natural logarithm of the probability of each target (int64 [m], m >= 1) after its features
// [m, width] (Gpt2::features()): [m], in float32, or float64 for a model of float64. The logits are
// made some rows at a time, so without gradients they never need much memory.
torch::Tensor log_probabilities_of(const examples::Gpt2& model, const torch::Tensor& features,
                                   const torch::Tensor& targets);

// Batches of text whose tokens are scored. A target of -1 is not scored.
struct ScoredText {
  int64_t batches = 0;
  std::function<examples::TokenBatch(int64_t index)> batch;
};

// `count` evenly spread pieces of `text`, or all that do not overlap if there are fewer or count is
// 0. `text` must outlive the result.
ScoredText spread_pieces(const examples::TokenBatches& text, int64_t count,
                         const torch::Device& device);

// All tokens of `ids` (int64 [n], n >= 2) but the first, each once. The windows have `context`
// tokens and begin `stride` tokens after one another (1 <= stride <= context), so that a token, but
// for the first ones, is predicted from context - stride tokens or more.
ScoredText strided_windows(const torch::Tensor& ids, int64_t context, int64_t stride,
                           const torch::Device& device);

// The natural logarithm of the probability of each scored token, in the order of the batches:
// float32 on the CPU. The model shows what it holds now and is in evaluation mode. `label` names
// the work in a progress line, which appears where it takes long.
torch::Tensor log_probabilities(examples::Gpt2& model, const ScoredText& text, bool bf16,
                                const std::string& label);

// The same with probabilities averaged over `samples` draws of the weights from the posterior.
torch::Tensor averaged_log_probabilities(examples::Gpt2& model, ivon::Posterior& posterior,
                                         int64_t samples, const ScoredText& text, bool bf16,
                                         const std::string& label);

// The mean negative logarithm, in nats.
double mean_loss(const torch::Tensor& log_probabilities);

}  // namespace gpt2
