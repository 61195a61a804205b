// SPDX-License-Identifier: Apache-2.0
// Weight decay for matrices only, with every optimizer.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "common/optimizers.hpp"

namespace {

TEST(ParameterGroups, DecayMatrices) {
  const auto matrix = torch::ones({2, 3}), bias = torch::ones({3}), scalar = torch::ones({});
  const auto groups = examples::decay_matrices({bias, matrix, scalar});
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_TRUE(groups[0].decays);
  ASSERT_EQ(groups[0].parameters.size(), 1U);
  EXPECT_TRUE(groups[0].parameters[0].is_same(matrix));
  EXPECT_FALSE(groups[1].decays);
  EXPECT_EQ(groups[1].parameters.size(), 2U);
}

// With a gradient of zeros, only what decays moves.
TEST(ParameterGroups, OnlyDecayingParametersShrink) {
  for (const std::string& name : examples::optimizer_names()) {
    SCOPED_TRACE(name);
    torch::nn::Linear layer(4, 4);
    torch::nn::init::ones_(layer->weight);
    torch::nn::init::ones_(layer->bias);
    examples::OptimizerSettings settings = examples::optimizer_settings(name);
    settings.ess = 1000;
    settings.weight_decay = 0.1;
    settings.sample_on_step = false;
    const auto optimizer =
        examples::make_optimizer(settings, examples::decay_matrices(layer->parameters()));
    const auto zero_gradients = [&] {
      layer->weight.mutable_grad() = torch::zeros_like(layer->weight);
      layer->bias.mutable_grad() = torch::zeros_like(layer->bias);
    };
    if (ivon::IVON<>* ivon = examples::as_ivon(*optimizer)) {
      auto sample = ivon->sampled_params();
      zero_gradients();
    } else {
      zero_gradients();
    }
    optimizer->step();
    EXPECT_LT(layer->weight.max().item<float>(), 1);
    EXPECT_EQ(layer->bias.min().item<float>(), 1);
  }
}

}  // namespace
