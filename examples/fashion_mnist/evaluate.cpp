// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/predict.hpp>
#include <vector>

namespace fashion_mnist {
namespace {

constexpr int64_t kChunk = 500;  // images per forward pass: activations stay in the cache

torch::Tensor logits(ConvNet& model, const torch::Tensor& images) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& chunk : images.split(kChunk)) parts.push_back(model->forward(chunk));
  return torch::cat(parts);
}

}  // namespace

torch::Tensor predict(ConvNet& model, const torch::Tensor& images) {
  const torch::NoGradGuard no_grad;
  return torch::softmax(logits(model, images), -1);
}

torch::Tensor predict_averaged(ConvNet& model, ivon::IVON<>& optimizer, const torch::Tensor& images,
                               int64_t samples) {
  return ivon::predict(
             optimizer, [&] { return logits(model, images); }, samples)
      .probs;
}

Scores score(const torch::Tensor& probs, const torch::Tensor& targets) {
  return {ivon::accuracy(probs, targets), ivon::nll(probs, targets), ivon::ece(probs, targets)};
}

}  // namespace fashion_mnist
