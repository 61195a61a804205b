// SPDX-License-Identifier: Apache-2.0
// ivon::diagnostics(): figures that follow by hand from a state, and the remedies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One update of weights 1, 2, 3, 4 with this gradient, without noise in the update: theta is m.
ivon::IVON<> updated_once(const torch::Tensor& weight, const ivon::IVONOptions& options,
                          const torch::Tensor& gradient) {
  ivon::IVON<> optimizer({weight}, options);
  {
    const auto sample = optimizer.sampled_params();
    const torch::NoGradGuard no_grad;
    weight.copy_(optimizer.mean(weight));
    weight.mutable_grad() = gradient;
  }
  optimizer.step();
  return optimizer;
}

TEST(Diagnostics, FiguresByHand) {
  const auto weight = torch::tensor({1.0, 2.0, 3.0, 4.0}, torch::kFloat64).requires_grad_();
  // h' = 0.8 h + 0.04 h / 2 with h = 1, because hhat = 0 where theta = m. The learning rate is 0.
  const auto optimizer =
      updated_once(weight, ivon::IVONOptions(0).ess(0.5).beta2(0.8).weight_decay(0).clip_radius(10),
                   torch::tensor({0.0, 1.0, -10.0, 20.0}, torch::kFloat64));
  const ivon::Diagnostics d = ivon::diagnostics(optimizer);
  const double h = 0.82, sigma = 1 / std::sqrt(0.5 * h);
  EXPECT_EQ(d.elements, 4);
  EXPECT_EQ(d.steps, 1);
  EXPECT_NEAR(d.hess_moved, 0.2, 1e-12);
  for (const double change : d.hess_change) EXPECT_NEAR(change, std::log10(h), 1e-12);
  for (const double noise : d.noise) EXPECT_NEAR(noise, sigma, 1e-12);
  EXPECT_NEAR(d.noise_over_weights, sigma / 2.5, 1e-12);
  EXPECT_EQ(d.noise_above_weight, 0.25);  // sigma is 1.56
  EXPECT_EQ(d.noise_bounded, 0);
  EXPECT_EQ(d.clipped, 0.5);  // the debiased momentum is the gradient
  EXPECT_EQ(d.skipped, 0);
  EXPECT_TRUE(d.remedies.empty());
}

TEST(Diagnostics, NamesWhatIsWrong) {
  const auto weight = torch::full({4}, 0.01, torch::kFloat64).requires_grad_();
  auto gradient = torch::full({4}, 5.0, torch::kFloat64);
  gradient[0] = std::numeric_limits<double>::quiet_NaN();
  const auto optimizer = updated_once(weight, ivon::IVONOptions(0).ess(1).clip_radius(1), gradient);
  const ivon::Diagnostics d = ivon::diagnostics(optimizer);
  EXPECT_EQ(d.skipped, 1);
  ASSERT_EQ(d.remedies.size(), 4U);
  EXPECT_THAT(d.remedies[0], HasSubstr("smaller beta2"));
  EXPECT_THAT(d.remedies[1], HasSubstr("larger ess"));
  EXPECT_THAT(d.remedies[2], HasSubstr("larger clip_radius"));
  EXPECT_THAT(d.remedies[3], HasSubstr("not finite"));
  std::ostringstream text;
  text << d;
  EXPECT_THAT(text.str(), HasSubstr("steps clipped                  75.0 %\n"));
  EXPECT_THAT(text.str(), HasSubstr("\n! The noise exceeds nearly all weights"));
}

TEST(Diagnostics, TellsWhereNoiseMaxDecidesForAllWeights) {
  const auto weight = torch::full({4}, 0.5, torch::kFloat64).requires_grad_();
  ivon::IVON<> optimizer({weight}, ivon::IVONOptions::like_adamw(1e-3, 1e4));
  weight.mutable_grad() = torch::full({4}, 1e-6, torch::kFloat64);
  optimizer.step();
  optimizer.eval();
  const ivon::Diagnostics d = ivon::diagnostics(optimizer);
  EXPECT_EQ(d.noise_bounded, 1);
  ASSERT_FALSE(d.remedies.empty());
  EXPECT_THAT(d.remedies.back(), HasSubstr("set a smaller noise_max"));
}

TEST(Diagnostics, BeforeTheFirstUpdate) {
  const auto weight = torch::zeros({3}).requires_grad_();
  const ivon::IVON<> optimizer({weight}, ivon::IVONOptions(0.1).ess(10));
  const ivon::Diagnostics d = ivon::diagnostics(optimizer);
  EXPECT_EQ(d.elements, 0);
  EXPECT_THAT(d.remedies, ElementsAre("No parameter has had an update yet."));
}

// A model of every kind of parameter, in AdamW's loop: the call changes nothing.
TEST(Diagnostics, ChangesNothing) {
  const auto train = [](bool look) {
    torch::manual_seed(2);
    torch::nn::Sequential model(torch::nn::Conv2d(1, 4, 3), torch::nn::Flatten(),
                                torch::nn::Linear(16, 3));
    model[0]->to(torch::kBFloat16);
    ivon::IVON<> optimizer(model->parameters(), ivon::IVONOptions::like_adamw(1e-2, 1e3));
    optimizer.manual_seed(1);
    for (int step = 0; step < 5; ++step) {
      optimizer.zero_grad();
      const auto images =
          model[0]->as<torch::nn::Conv2d>()->forward(torch::randn({8, 1, 4, 4}, torch::kBFloat16));
      const auto logits =
          model[2]->as<torch::nn::Linear>()->forward(images.flatten(1).to(torch::kFloat32));
      torch::nn::functional::cross_entropy(logits, torch::zeros({8}, torch::kInt64)).backward();
      optimizer.step();
      if (look) {
        const ivon::Diagnostics d = ivon::diagnostics(optimizer);
        EXPECT_EQ(d.elements, 36 + 4 + 48 + 3);
        EXPECT_GT(d.noise[1], 0);
        EXPECT_LE(d.noise[2], 0.0301);
      }
    }
    optimizer.eval();
    return model[2]->as<torch::nn::Linear>()->weight.detach().clone();
  };
  EXPECT_TRUE(ivon_test::same_bits(train(true), train(false)));
}

}  // namespace
