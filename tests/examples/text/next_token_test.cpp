// SPDX-License-Identifier: Apache-2.0
// examples/gpt2/next_token.hpp: temperature, top-k, top-p, the draw, and the entropies.
#include "gpt2/next_token.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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
    EXPECT_NEAR(left[i].probability, probabilities[i], 1e-7) << i;
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
              1e-7);
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

// The most probable tokens first, by sorting all of them.
std::vector<gpt2::WeightedToken> slowly_drawn_tokens(const std::vector<double>& p,
                                                     const Sampling& sampling) {
  std::vector<gpt2::WeightedToken> tokens;
  double sum = 0;
  const auto divide = [&] {
    sum = 0;
    for (const auto& t : tokens) sum += t.probability;
    for (auto& t : tokens) t.probability /= sum;
  };
  for (size_t i = 0; i < p.size(); ++i) {
    tokens.push_back({static_cast<int>(i), std::pow(p[i], 1 / sampling.temperature)});
  }
  std::stable_sort(tokens.begin(), tokens.end(), [&](const auto& a, const auto& b) {
    return p[static_cast<size_t>(a.token)] > p[static_cast<size_t>(b.token)];
  });
  if (sampling.top_k > 0) tokens.resize(static_cast<size_t>(sampling.top_k));
  divide();
  sum = 0;
  size_t count = 0;
  while (count < tokens.size() && sum < sampling.top_p) sum += tokens[count++].probability;
  tokens.resize(count);
  divide();
  return tokens;
}

TEST(NextToken, LimitsOfALargeVocabularyAreThoseOfSorting) {
  examples::ExampleRandom random(5, 0, 0);
  for (const double steepness : {0.0, 3.0, 15.0}) {
    std::vector<double> p(5000);
    for (double& value : p) value = std::exp(steepness * random.uniform());
    for (int i = 0; i < 100; ++i) p[static_cast<size_t>(random.below(5000))] = 1;  // equal ones
    for (const Sampling& s :
         {token_sampling(1, 40, 1), token_sampling(0.5, 40, 0.9), token_sampling(1, 0, 0.9),
          token_sampling(1, 0, 0.999999), token_sampling(2, 0, 0.3), token_sampling(1, 0, 0.5)}) {
      const auto found = gpt2::tokens_to_draw(p, s), expected = slowly_drawn_tokens(p, s);
      // Equal probabilities add up to top_p but for roundings; then one token may be one too many.
      ASSERT_NEAR(static_cast<double>(found.size()), static_cast<double>(expected.size()), 1);
      for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
        ASSERT_NEAR(found[i].probability, expected[i].probability, 1e-3 * expected[i].probability);
        if (s.temperature == 1) {
          ASSERT_EQ(found[i].token, expected[i].token);
        }
      }
    }
  }
}

TEST(NextToken, TemperatureAloneDrawsAsItsProbabilities) {
  const std::vector<double> unequal = {0.001, 0.2, 0, 0.799};
  const auto left = gpt2::tokens_to_draw(unequal, token_sampling(2, 0, 1));
  std::vector<int> counts(4);
  examples::ExampleRandom random(4, 0, 0);
  for (int i = 0; i < 20000; ++i) {
    ++counts[static_cast<size_t>(gpt2::choose_token(unequal, token_sampling(2, 0, 1), random))];
  }
  EXPECT_EQ(counts[2], 0);
  for (const auto& t : left) {
    EXPECT_NEAR(counts[static_cast<size_t>(t.token)] / 20000.0, t.probability, 0.014) << t.token;
  }
}

TEST(NextToken, UncertaintyIsLeftOutWhereNobodyAsks) {
  const std::vector<float> members = {1, 0, 0, 1};
  const auto two = gpt2::token_prediction(members.data(), 2, 2, 2, false);
  EXPECT_EQ(two.probabilities, (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(two.entropy, 0);
  EXPECT_EQ(two.mutual_information, 0);
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
