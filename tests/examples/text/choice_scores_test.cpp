// SPDX-License-Identifier: Apache-2.0
// Predictions and scores of multiple-choice questions.
#include "gpt2/choice_scores.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "choice_questions.hpp"
#include "small.hpp"

namespace {

using examples::Gpt2;
using examples_test::error_of;
using examples_test::model_of_choices;
using examples_test::token_questions;
using gpt2::ChoicePrediction;
using gpt2::ChoiceTestSettings;

// The model's weights as mean, all with one precision.
ivon::Posterior posterior_of_choices(const Gpt2& model, double precision) {
  std::vector<ivon::PosteriorParameter> parameters;
  for (const auto& item : model.named_parameters()) {
    const auto mean = item.value().detach().clone();
    parameters.push_back({item.key(), mean, torch::full_like(mean, precision)});
  }
  return ivon::Posterior(std::move(parameters));
}

TEST(ChoiceScores, KnownProbabilities) {
  ChoicePrediction p;
  p.probs = torch::tensor({{0.75, 0.25, 0.0}, {0.5, 0.25, 0.25}});
  p.answers = torch::tensor({0, 1}, torch::kLong);
  const auto scores = gpt2::score_choices(p);
  EXPECT_EQ(scores.accuracy, 0.5);
  EXPECT_NEAR(scores.nll, -(std::log(0.75) + std::log(0.25)) / 2, 1e-6);
  EXPECT_NEAR(scores.ece, (0.25 + 0.5) / 2, 1e-6);
  EXPECT_NEAR(scores.brier, (0.125 + 0.875) / 2, 1e-6);
  p.probs[0][0] = std::nan("");
  EXPECT_EQ(gpt2::score_choices(p).nll, std::numeric_limits<double>::infinity());
}

TEST(ChoiceScores, MeanIsTheSoftmaxOfTheLogitsInTheOrderOfTheQuestions) {
  Gpt2 model = model_of_choices();
  model.train();
  const auto questions = token_questions();
  const auto batch = gpt2::choice_batch(questions, torch::arange(5), torch::kCPU);
  const auto expected = torch::softmax(gpt2::choice_logits(model, batch).detach(), 1);
  for (const int64_t size : {1, 2, 16}) {
    ChoiceTestSettings s;
    s.batch = size;
    const auto p = gpt2::predict_choices(model, nullptr, questions, {0}, s);
    EXPECT_TRUE(torch::allclose(p.at(0).probs, expected, 1e-4, 1e-6));
    EXPECT_TRUE(torch::equal(p[0].answers, batch.answers));
    EXPECT_EQ(p[0].mutual_information.max().item<float>(), 0);
    EXPECT_TRUE(model.is_training());
  }
}

TEST(ChoiceScores, SamplesAreAveragedAndFollowFromTheSeed) {
  Gpt2 model = model_of_choices();
  const auto questions = token_questions();
  const auto q = posterior_of_choices(model, 400);
  ChoiceTestSettings s;
  s.seed = 3;
  const auto p = gpt2::predict_choices(model, &q, questions, {0, 2, 3}, s);
  s.batch = 2;
  const auto again = gpt2::predict_choices(model, &q, questions, {3}, s);
  EXPECT_TRUE(torch::allclose(p.at(2).probs, again.at(0).probs, 1e-3, 1e-6));
  ivon::Posterior by_hand = q;
  by_hand.manual_seed(3);
  torch::Tensor sum = torch::zeros({5, 4});
  for (int i = 0; i < 2; ++i) {
    const torch::NoGradGuard no_grad;
    const auto sample = by_hand.sampled_params(model);
    const auto batch = gpt2::choice_batch(questions, torch::arange(5), torch::kCPU);
    sum += torch::softmax(gpt2::choice_logits(model, batch), 1);
  }
  EXPECT_TRUE(torch::allclose(p[1].probs, sum / 2, 1e-4, 1e-6));
  EXPECT_EQ(p[1].samples, 2);
  EXPECT_GT(p[1].mutual_information.max().item<float>(), 1e-3);
}

TEST(ChoiceScores, EvaluationHasARowForEachVariant) {
  Gpt2 model = model_of_choices();
  const auto q = posterior_of_choices(model, 400);
  gpt2::ChoiceEvaluationSettings s;
  s.samples = 2;
  s.tau = 1e12;
  s.pruned = 1;
  const auto rows = gpt2::evaluate_choices(model, &q, token_questions(), s);
  std::vector<std::string> titles;
  for (const auto& row : rows) titles.push_back(row.title());
  EXPECT_THAT(titles, testing::ElementsAre("at the mean", "2 samples", "2 samples, tau 1e+12",
                                           "at the mean, 100 % pruned", "2 samples, 100 % pruned",
                                           "2 samples, tau 1e+12, 100 % pruned"));
  EXPECT_NEAR(rows[2].scores.nll, rows[0].scores.nll, 1e-3);  // hardly any variance
  // A row is that of a prediction of its own.
  const auto sampled = gpt2::predict_choices(model, &q, token_questions(), {2}, s.test);
  EXPECT_NEAR(rows[1].scores.nll, gpt2::score_choices(sampled[0]).nll, 1e-6);
  EXPECT_GT(std::abs(rows[1].scores.nll - rows[0].scores.nll), 1e-3);
  EXPECT_GT(std::abs(rows[3].scores.nll - rows[0].scores.nll), 1e-3);
  EXPECT_EQ(rows[4].scores.nll, rows[3].scores.nll);  // all weights are 0
  EXPECT_THAT(gpt2::choice_table(rows), testing::HasSubstr("2 samples, 100 % pruned"));
  EXPECT_EQ(gpt2::evaluate_choices(model, nullptr, token_questions(), s).size(), 1U);
}

TEST(ChoiceScores, WrongCountsAreRefused) {
  Gpt2 model = model_of_choices();
  const auto q = posterior_of_choices(model, 400);
  const auto questions = token_questions();
  const auto error = [&](const ivon::Posterior* posterior, const std::vector<int64_t>& counts,
                         int64_t batch = 16) {
    ChoiceTestSettings s;
    s.batch = batch;
    return error_of([&] { gpt2::predict_choices(model, posterior, questions, counts, s); });
  };
  const std::string rule =
      "the numbers of samples must be at least 0 and rise, and be 0 without a posterior, but ";
  EXPECT_EQ(error(nullptr, {1}), rule + "number 1 of them is 1 without a posterior; choose others");
  EXPECT_EQ(error(&q, {2, 1}), rule + "number 2 of them is 1; choose others");
  EXPECT_EQ(error(&q, {0}, 0),
            "the questions of a forward pass must be at least 1, but are 0; 16 is usual");
  EXPECT_EQ(error_of([&] { gpt2::predict_choices(model, &q, {}, {0}, {}); }),
            "there must be at least 1 question to predict, but there is none; check the file of "
            "questions");
}

}  // namespace
