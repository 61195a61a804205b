// SPDX-License-Identifier: Apache-2.0
// The linear layer by oneDNN computes what at::linear does.
#include "common/models/fast_linear.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace {

using torch::Tensor;

struct LinearCase {
  Tensor x, weight, bias;

  LinearCase(int64_t rows, int64_t inputs, int64_t outputs) {
    torch::manual_seed(1);
    x = torch::randn({rows, inputs}).requires_grad_();
    weight = torch::randn({outputs, inputs}).requires_grad_();
    bias = torch::randn({outputs}).requires_grad_();
  }
};

double relative_difference(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST(FastLinear, EqualsLinear) {
  const LinearCase matrix(128, 96, 160), one_row(1, 1024, 1000);
  for (const LinearCase& c : {matrix, one_row}) {
    for (const bool has_bias : {true, false}) {
      const Tensor bias = has_bias ? c.bias : Tensor();
      EXPECT_LT(relative_difference(examples::fast_linear(c.x, c.weight, bias),
                                    at::linear(c.x, c.weight, bias)),
                1e-5);
    }
  }
}

TEST(FastLinear, HasTheGradientsOfLinear) {
  const LinearCase c(128, 96, 160);
  const std::vector<Tensor> inputs = {c.x, c.weight, c.bias};
  const Tensor fast = examples::fast_linear(c.x, c.weight, c.bias).pow(2).sum();
  const Tensor slow = at::linear(c.x, c.weight, c.bias).pow(2).sum();
  const auto expected = torch::autograd::grad({slow}, inputs);
  const auto gradients = torch::autograd::grad({fast}, inputs);
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_difference(gradients[i], expected[i]), 1e-5);
}

TEST(FastLinear, TakesInputsThatAreNotContiguous) {
  const LinearCase c(96, 128, 160);
  const Tensor x = c.x.t(), weight = c.weight.detach().narrow(1, 0, 96);
  EXPECT_LT(relative_difference(examples::fast_linear(x, weight), at::linear(x, weight)), 1e-5);
}

TEST(FastLinear, HasGradientsOfGradients) {
  const LinearCase c(128, 96, 160);
  const auto second = [&](const Tensor& y) {
    const auto first = torch::autograd::grad({y.pow(2).sum()}, {c.x}, {}, {}, true);
    return torch::autograd::grad({first[0].pow(2).sum()}, {c.weight})[0];
  };
  EXPECT_LT(relative_difference(second(examples::fast_linear(c.x, c.weight, c.bias)),
                                second(at::linear(c.x, c.weight, c.bias))),
            1e-4);
}

TEST(FastLinear, FrozenWeightsGetNoGradient) {
  const LinearCase c(128, 96, 160);
  const Tensor weight = c.weight.detach();
  examples::fast_linear(c.x, weight, c.bias).sum().backward();
  EXPECT_TRUE(c.x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

}  // namespace
