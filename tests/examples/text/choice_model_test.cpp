// SPDX-License-Identifier: Apache-2.0
// Questions as tokens, and the logits of their choices.
#include "gpt2/choice_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "choice_questions.hpp"
#include "small.hpp"

namespace {

using examples::Gpt2;
using examples::TokenId;
using examples_test::ByteTokenizer;
using examples_test::error_of;
using examples_test::model_of_choices;
using examples_test::token_questions;
using gpt2::ChoiceBatch;
using gpt2::ChoiceSettings;
using gpt2::Question;
using gpt2::TokenQuestion;

constexpr double kChoiceInfinity = std::numeric_limits<double>::infinity();

std::string choice_bytes(const std::vector<TokenId>& ids) { return {ids.begin(), ids.end()}; }

ChoiceBatch choice_batch_of_all(const std::vector<TokenQuestion>& questions) {
  const auto n = static_cast<int64_t>(questions.size());
  return gpt2::choice_batch(questions, torch::arange(n), torch::kCPU);
}

// The log probabilities of tokens[first] and all after it, each by a forward pass of its own over
// the tokens before it.
torch::Tensor naive_choice_log_p(Gpt2& model, const std::vector<TokenId>& tokens, size_t first) {
  std::vector<torch::Tensor> all;
  for (size_t i = first; i < tokens.size(); ++i) {
    const std::vector<int64_t> before(tokens.begin(), tokens.begin() + static_cast<int64_t>(i));
    const auto logits = model.forward(torch::tensor(before, torch::kLong).unsqueeze(0));
    all.push_back(torch::log_softmax(logits[0][-1], 0)[tokens[i]]);
  }
  return torch::stack(all);
}

std::vector<TokenId> text_and_choice(const TokenQuestion& question, size_t choice) {
  std::vector<TokenId> tokens = question.text;
  const auto& more = question.choices[choice];
  tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

// [choices]
torch::Tensor naive_choice_logits(Gpt2& model, const TokenQuestion& question, bool per_token) {
  std::vector<torch::Tensor> all;
  for (size_t c = 0; c < question.choices.size(); ++c) {
    const auto log_p =
        naive_choice_log_p(model, text_and_choice(question, c), question.text.size());
    all.push_back(per_token ? log_p.mean() : log_p.sum());
  }
  return torch::stack(all);
}

torch::Tensor naive_choice_loss(Gpt2& model, const std::vector<TokenQuestion>& questions,
                                const ChoiceSettings& s) {
  torch::Tensor loss = torch::zeros({});
  std::vector<torch::Tensor> tokens;
  for (const TokenQuestion& q : questions) {
    loss = loss - torch::log_softmax(naive_choice_logits(model, q, s.per_token), 0)[q.answer];
    const auto all = text_and_choice(q, static_cast<size_t>(q.answer));
    tokens.push_back(naive_choice_log_p(model, all, 1));
  }
  return loss / static_cast<double>(questions.size()) - s.next_token * torch::cat(tokens).mean();
}

TEST(ChoiceTokens, SpacesBeforeAWordBelongToIt) {
  const std::vector<Question> questions = {{"It is  ", {"a", " b"}, 1}, {"  ", {"a", "b"}, 0}};
  const auto all = gpt2::encode_questions(questions, ByteTokenizer(), 16).questions;
  EXPECT_EQ(choice_bytes(all[0].text), "It is");
  EXPECT_EQ(choice_bytes(all[0].choices[0]), "  a");
  EXPECT_EQ(choice_bytes(all[0].choices[1]), "   b");
  EXPECT_EQ(all[0].answer, 1);
  EXPECT_EQ(choice_bytes(all[1].text), "  ");
  EXPECT_EQ(choice_bytes(all[1].choices[0]), "a");
}

TEST(ChoiceTokens, LongTextsLoseTheirBeginning) {
  const std::vector<Question> questions = {
      {"12345", {"ab", "abcd"}, 0}, {"123456", {"ab", "abcd"}, 0}, {"123", {"abcdefgh", "a"}, 0}};
  const auto all = gpt2::encode_questions(questions, ByteTokenizer(), 8);
  EXPECT_EQ(all.cut, 2);
  EXPECT_EQ(choice_bytes(all.questions[0].text),
            "12345");  // 8 tokens and the last one of the choice
  EXPECT_EQ(choice_bytes(all.questions[1].text), "23456");
  EXPECT_EQ(choice_bytes(all.questions[2].text), "3");
}

TEST(ChoiceTokens, ChoicesBeyondTheContextAreRefused) {
  const std::vector<Question> questions = {{"1", {"a", "b"}, 0}, {"1", {"a", "123456789"}, 0}};
  try {
    gpt2::encode_questions(questions, ByteTokenizer(), 8);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "question 1 (from 0): a choice must have at most as many tokens as the model's "
                 "context, 8, but choice 1 has 9; shorten it or use a model with a longer context");
  }
}

TEST(ChoiceModel, LogitsAreThoseOfSingleSequences) {
  Gpt2 model = model_of_choices();
  const auto questions = token_questions();
  for (const bool per_token : {false, true}) {
    const auto logits = gpt2::choice_logits(model, choice_batch_of_all(questions), {per_token, 0});
    ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{5, 4}));
    for (size_t i = 0; i < questions.size(); ++i) {
      const auto naive = naive_choice_logits(model, questions[i], per_token);
      const auto row = logits[static_cast<int64_t>(i)];
      EXPECT_TRUE(torch::allclose(row.slice(0, 0, naive.size(0)), naive, 1e-5, 1e-4)) << row;
      EXPECT_TRUE((row.slice(0, naive.size(0)) == -kChoiceInfinity).all().item<bool>()) << row;
    }
  }
}

TEST(ChoiceModel, RowsPickQuestionsInAnyOrder) {
  Gpt2 model = model_of_choices();
  const auto questions = token_questions();
  const auto rows = torch::tensor({3, 1, 3}, torch::kLong);
  const auto batch = gpt2::choice_batch(questions, rows, torch::kCPU, 4);
  const auto all = gpt2::choice_logits(model, choice_batch_of_all(questions));
  EXPECT_TRUE(torch::allclose(gpt2::choice_logits(model, batch).exp(),
                              all.index_select(0, rows).exp(), 1e-3, 1e-30));
  EXPECT_TRUE(torch::equal(batch.answers, torch::tensor({0, 1, 0}, torch::kLong)));
}

TEST(ChoiceModel, BatchesHaveAQuestion) {
  EXPECT_EQ(error_of([] {
              const auto none = torch::empty({0}, torch::kLong);
              gpt2::choice_batch(token_questions(), none, torch::kCPU);
            }),
            "a batch of questions must have at least 1 question, but has none; give their numbers");
}

TEST(ChoiceModel, LossAndGradientsAreThoseOfSingleSequences) {
  Gpt2 model = model_of_choices();
  const auto questions = token_questions();
  for (const ChoiceSettings& s : {ChoiceSettings{false, 0}, {true, 0}, {false, 0.5}}) {
    const auto loss = gpt2::choice_loss(model, choice_batch_of_all(questions), s);
    const auto naive = naive_choice_loss(model, questions, s);
    EXPECT_NEAR(loss.item<double>(), naive.item<double>(), 1e-4);
    const auto parameters = model.parameters();
    const auto gradients = torch::autograd::grad({loss}, parameters);
    const auto expected = torch::autograd::grad({naive}, parameters);
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(torch::allclose(gradients[i], expected[i], 1e-3, 1e-4)) << i;
    }
  }
}

}  // namespace
