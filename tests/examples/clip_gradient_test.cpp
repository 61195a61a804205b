// SPDX-License-Identifier: Apache-2.0
// The bound on the norm of a gradient.
#include "common/clip_gradient.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace {

std::vector<torch::Tensor> parameters_with_gradients(double factor) {
  torch::manual_seed(1);
  std::vector<torch::Tensor> parameters;
  for (const int64_t size : {3, 5, 1}) {
    parameters.push_back(torch::zeros({size, 2}).requires_grad_());
    parameters.back().mutable_grad() = factor * torch::randn({size, 2});
  }
  parameters.push_back(torch::zeros({2}).requires_grad_());  // without a gradient
  return parameters;
}

TEST(ClipGradient, IsThatOfLibTorch) {
  for (const double factor : {10.0, 1e-3}) {
    const auto ours = parameters_with_gradients(factor), theirs = parameters_with_gradients(factor);
    examples::clip_gradient_norm(ours, 0.5);
    torch::nn::utils::clip_grad_norm_(theirs, 0.5);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(torch::allclose(ours[i].grad(), theirs[i].grad(), 1e-6, 0));
    }
    EXPECT_FALSE(ours[3].grad().defined());
  }
}

TEST(ClipGradient, LeavesZerosAndNothing) {
  const auto parameters = parameters_with_gradients(0);
  examples::clip_gradient_norm(parameters, 1);
  EXPECT_EQ(parameters[0].grad().abs().sum().item<float>(), 0);
  examples::clip_gradient_norm({}, 1);
}

}  // namespace
