// SPDX-License-Identifier: Apache-2.0
// examples/gpt2/next_token.hpp: temperature, top-k, top-p, the draw, and the entropies.
#include "gpt2/next_token.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace {

using gpt2::Sampling;

const std::vector<double> kFourTokens = {0.1, 0.4, 0.3, 0.2};

Sampling token_sampling(double temperature, int64_t top_k, double top_p) {
  return {temperature, top_k, top_p};
}

// Expects these tokens with these probabilities, in this order.
void expect_drawn_tokens(const Sampling& sampling, const std::vector<examples::TokenId>& tokens,
                         const std::vector<double>& probabilities) {
  const auto left = gpt2::tokens_to_draw(kFourTokens, sampling);
  ASSERT_EQ(left.size(), tokens.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].token, tokens[i]) << i;
    EXPECT_NEAR(left[i].probability, probabilities[i], 1e-12) << i;
  }
}

TEST(NextToken, LimitsKeepTheMostProbable) {
  expect_drawn_tokens(token_sampling(1, 0, 1), {0, 1, 2, 3}, {0.1, 0.4, 0.3, 0.2});
  expect_drawn_tokens(token_sampling(1, 2, 1), {1, 2}, {4.0 / 7, 3.0 / 7});
  expect_drawn_tokens(token_sampling(1, 9, 1), {1, 2, 3, 0}, {0.4, 0.3, 0.2, 0.1});
  expect_drawn_tokens(token_sampling(1, 0, 0.65), {1, 2}, {4.0 / 7, 3.0 / 7});
  expect_drawn_tokens(token_sampling(1, 0, 0.75), {1, 2, 3}, {4.0 / 9, 3.0 / 9, 2.0 / 9});
  expect_drawn_tokens(token_sampling(1, 0, 1e-9), {1}, {1});
  expect_drawn_tokens(token_sampling(1, 2, 0.5), {1}, {1});  // 4/7 of what top-k leaves
}

TEST(NextToken, TemperatureIsAPower) {
  expect_drawn_tokens(token_sampling(0, 0, 1), {1}, {1});
  expect_drawn_tokens(token_sampling(0.5, 0, 1), {0, 1, 2, 3},
                      {1 / 30.0, 16 / 30.0, 9 / 30.0, 4 / 30.0});
  expect_drawn_tokens(token_sampling(0.5, 0, 0.5), {1}, {1});
  EXPECT_NEAR(gpt2::tokens_to_draw({1e-300, 2e-300}, token_sampling(0.01, 0, 1))[1].probability, 1,
              1e-12);
}

TEST(NextToken, GreedyTakesTheFirstOfEquals) {
  examples::ExampleRandom random(1, 0, 0);
  EXPECT_EQ(gpt2::choose_token({0.2, 0.4, 0.4}, token_sampling(0, 0, 1), random), 1);
  EXPECT_EQ(gpt2::tokens_to_draw({0.2, 0.4, 0.4}, token_sampling(1, 1, 1))[0].token, 1);
}

TEST(NextToken, IsDrawnAsOftenAsItsProbability) {
  examples::ExampleRandom random(3, 0, 0);
  std::vector<int> counts(4);
  for (int i = 0; i < 20000; ++i) {
    ++counts[static_cast<size_t>(gpt2::choose_token(kFourTokens, Sampling(), random))];
  }
  // 4 standard deviations of a share are at most 0.014.
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(counts[i] / 20000.0, kFourTokens[i], 0.014) << i;
}

TEST(NextToken, FollowsFromTheSeed) {
  examples::ExampleRandom random(7, 0, 0);
  std::vector<examples::TokenId> tokens;
  for (int i = 0; i < 8; ++i) tokens.push_back(gpt2::choose_token(kFourTokens, {}, random));
  EXPECT_EQ(tokens, (std::vector<examples::TokenId>{1, 3, 1, 0, 1, 2, 1, 1}));
}

TEST(NextToken, EntropiesAreThoseOfTheFormula) {
  const std::vector<float> members = {1, 0, 0, 0, 1, 0, 0.5F, 0.5F, 0};
  const auto three = gpt2::token_prediction(members.data(), 3, 3, 3);
  EXPECT_NEAR(three.probabilities[0], 0.5, 1e-7);
  EXPECT_NEAR(three.entropy, std::log(2), 1e-7);
  EXPECT_NEAR(three.mutual_information, std::log(2) * 2 / 3, 1e-7);
  const auto one = gpt2::token_prediction(members.data() + 6, 1, 3, 3);
  EXPECT_NEAR(one.entropy, std::log(2), 1e-7);
  EXPECT_EQ(one.mutual_information, 0);
  const auto part = gpt2::token_prediction(members.data() + 6, 1, 3, 1);
  EXPECT_EQ(part.probabilities, std::vector<double>{1});
}

TEST(NextToken, SoftmaxTakesLargeLogits) {
  const auto p = gpt2::softmax({1000, 1000 + std::log(3), -1000});
  EXPECT_NEAR(p[0], 0.25, 1e-12);
  EXPECT_NEAR(p[1], 0.75, 1e-12);
  EXPECT_NEAR(gpt2::entropy({0.25, 0.25, 0.25, 0.25, 0}), std::log(4), 1e-12);
}

TEST(NextToken, RefusesWhatIsNoProbability) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& p : {std::vector<double>{}, {0, 0}, {0.5, nan}, {1, -0.1}}) {
    EXPECT_THROW(gpt2::tokens_to_draw(p, {}), std::invalid_argument);
  }
  for (const Sampling& s :
       {token_sampling(-1, 0, 1), token_sampling(nan, 0, 1), token_sampling(1, -1, 1),
        token_sampling(1, 0, 0), token_sampling(1, 0, 1.1)}) {
    EXPECT_THROW(gpt2::check_sampling(s), std::invalid_argument);
  }
  const float none[] = {0, 0};
  EXPECT_THROW(gpt2::token_prediction(none, 1, 2, 2), std::invalid_argument);
}

}  // namespace
