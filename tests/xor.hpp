// SPDX-License-Identifier: Apache-2.0
// The smallest training problem, XOR by a 2-8-1 network, and comparison of whole models.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"

namespace ivon_test {

inline const torch::Tensor& xor_inputs() {
  static const auto x = torch::tensor({{0.F, 0.F}, {0.F, 1.F}, {1.F, 0.F}, {1.F, 1.F}});
  return x;
}
inline const torch::Tensor& xor_targets() {
  static const auto y = torch::tensor({{0.F}, {1.F}, {1.F}, {0.F}});
  return y;
}

inline torch::nn::Sequential xor_model(uint64_t seed = kSeed) {
  torch::manual_seed(seed);
  return torch::nn::Sequential(torch::nn::Linear(2, 8), torch::nn::Tanh(), torch::nn::Linear(8, 1));
}

inline torch::Tensor xor_loss(torch::nn::Sequential& model) {
  return torch::nn::functional::binary_cross_entropy_with_logits(model->forward(xor_inputs()),
                                                                 xor_targets());
}

inline ivon::IVONOptions xor_options() {
  return ivon::IVONOptions(1.0).ess(1e4).weight_decay(1e-6);
}

// Loop 1 of the API for `steps` steps.
template <class Optimizer>
void train_xor(Optimizer& optimizer, torch::nn::Sequential& model, int steps) {
  for (int t = 0; t < steps; ++t) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      xor_loss(model).backward();
    }
    optimizer.step();
  }
}

inline double xor_loss_at_mean(torch::nn::Sequential& model) {
  torch::NoGradGuard no_grad;
  return xor_loss(model).item<double>();
}

inline std::vector<torch::Tensor> copies(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> out;
  for (const auto& tensor : tensors) out.push_back(tensor.detach().clone());
  return out;
}

inline void expect_same(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "parameter " << i;
}

}  // namespace ivon_test
