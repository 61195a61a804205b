// SPDX-License-Identifier: Apache-2.0
#include "common/classification.hpp"

#include <torch/utils.h>

#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/predict.hpp>
#include <vector>

namespace examples {
namespace {

torch::Tensor in_chunks(const Logits& logits, const torch::Tensor& inputs, int64_t chunk) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& part : inputs.split(chunk)) parts.push_back(logits(part));
  return torch::cat(parts);
}

}  // namespace

torch::Tensor predict(const Logits& logits, const torch::Tensor& inputs, int64_t chunk) {
  const torch::NoGradGuard no_grad;
  return torch::softmax(in_chunks(logits, inputs, chunk), -1).cpu();
}

torch::Tensor predict_averaged(ivon::IVON<>& optimizer, const Logits& logits,
                               const torch::Tensor& inputs, int64_t samples, int64_t chunk) {
  const auto forward = [&] { return in_chunks(logits, inputs, chunk); };
  return ivon::predict(optimizer, forward, samples).probs.cpu();
}

Scores score(const torch::Tensor& probs, const torch::Tensor& targets) {
  return {ivon::accuracy(probs, targets), ivon::nll(probs, targets), ivon::ece(probs, targets)};
}

}  // namespace examples
