// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/predict.hpp>
#include <vector>

namespace fashion_mnist {
namespace {

constexpr int64_t kChunk = 500;  // images per forward pass: activations stay in the cache

torch::Tensor chunked_logits(ConvNet& model, const torch::Tensor& images, bool bf16) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& chunk : images.split(kChunk))
    parts.push_back(logits(model, chunk, bf16));
  return torch::cat(parts);
}

}  // namespace

torch::Tensor predict(ConvNet& model, const torch::Tensor& images, const Settings& settings) {
  const torch::NoGradGuard no_grad;
  return torch::softmax(chunked_logits(model, images, settings.bf16), -1).cpu();
}

torch::Tensor predict_averaged(ConvNet& model, ivon::IVON<>& optimizer, const torch::Tensor& images,
                               const Settings& settings) {
  const auto forward = [&] { return chunked_logits(model, images, settings.bf16); };
  return ivon::predict(optimizer, forward, settings.samples).probs.cpu();
}

Scores score(const torch::Tensor& probs, const torch::Tensor& targets) {
  return {ivon::accuracy(probs, targets), ivon::nll(probs, targets), ivon::ece(probs, targets)};
}

}  // namespace fashion_mnist
