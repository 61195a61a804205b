// SPDX-License-Identifier: Apache-2.0
// Multiple-choice questions made from a text.
#include "gpt2/make_questions.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace {

using gpt2::MadeQuestionSettings;
using gpt2::Question;

// The words w0 to w<count - 1>, with a line's end instead of each tenth space.
std::string made_text(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i % 10 == 9 ? "\nw" : " w") + std::to_string(i);
  return text;
}

MadeQuestionSettings made_settings() {
  MadeQuestionSettings s;
  s.train = 50;
  s.test = 20;
  s.passage_words = 8;
  s.choice_words = 3;
  return s;
}

int64_t count_made_words(const std::string& text) {
  return std::count(text.begin(), text.end(), 'w');
}

// The number of the first word.
int64_t first_made_word(const std::string& text) {
  return std::stol(text.substr(text.find('w') + 1));
}

std::string made_error(const std::string& text, const MadeQuestionSettings& s) {
  try {
    gpt2::make_questions(text, s);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(MakeQuestions, OnlyTheAnswerFollowsThePassage) {
  const std::string text = made_text(2000);
  for (const Question& q : gpt2::make_questions(text, made_settings()).train) {
    ASSERT_EQ(q.choices.size(), 4U);
    EXPECT_EQ(count_made_words(q.text), 8);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(count_made_words(q.choices[i]), 3);
      const bool follows = text.find(q.text + q.choices[i]) != std::string::npos;
      EXPECT_EQ(follows, static_cast<int64_t>(i) == q.answer) << q.text << q.choices[i];
    }
  }
}

TEST(MakeQuestions, OtherChoicesLieOutsideOfPassageAndAnswer) {
  for (const Question& q : gpt2::make_questions(made_text(1000), made_settings()).test) {
    const int64_t begin = first_made_word(q.text);
    for (size_t i = 0; i < 4; ++i) {
      const int64_t place = first_made_word(q.choices[i]);
      if (static_cast<int64_t>(i) != q.answer) {
        EXPECT_TRUE(place + 3 <= begin || place >= begin + 11) << begin << " " << place;
      }
    }
  }
}

TEST(MakeQuestions, PartsDoNotOverlapAndAnswersVary) {
  const auto made = gpt2::make_questions(made_text(2000), made_settings());
  std::set<int64_t> answers;
  for (const Question& q : made.train) {
    answers.insert(q.answer);
    for (const std::string& choice : q.choices) EXPECT_LE(first_made_word(choice) + 3, 1800);
  }
  for (const Question& q : made.test) {
    EXPECT_GE(first_made_word(q.text), 1800);
    for (const std::string& choice : q.choices) EXPECT_GE(first_made_word(choice), 1800);
  }
  EXPECT_EQ(answers.size(), 4U);
}

TEST(MakeQuestions, FollowFromTheSeed) {
  auto s = made_settings();
  const auto texts = [&] {
    std::vector<std::string> all;
    for (const Question& q : gpt2::make_questions(made_text(2000), s).train) all.push_back(q.text);
    return all;
  };
  const auto once = texts();
  EXPECT_EQ(texts(), once);
  s.seed = 2;
  EXPECT_NE(texts(), once);
}

TEST(MakeQuestions, FilesHoldTheQuestions) {
  const std::filesystem::path folder =
      testing::TempDir() + "made-questions-" + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  gpt2::make_question_files(made_text(2000), made_settings(), folder);
  const auto made = gpt2::make_questions(made_text(2000), made_settings());
  const auto read = gpt2::read_questions(folder / "test.jsonl");
  ASSERT_EQ(read.size(), made.test.size());
  EXPECT_EQ(gpt2::read_questions(folder / "train.jsonl").size(), 50U);
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].text, made.test[i].text);
    EXPECT_EQ(read[i].choices, made.test[i].choices);
    EXPECT_EQ(read[i].answer, made.test[i].answer);
  }
  std::filesystem::remove_all(folder);
}

TEST(MakeQuestions, UnsuitableTextsAndSettingsAreRefused) {
  auto s = made_settings();
  EXPECT_EQ(made_error(made_text(700), s),
            "questions from a text: the last 10 % must have at least 80 words for passages of 8 "
            "and 4 choices of 3 words, but has 70; use a longer text or fewer words");
  std::string same;
  for (int i = 0; i < 2000; ++i) same += " w";
  const std::string repeated =
      "questions from a text: the 4 choices of a question must differ, but 1000 random places gave "
      "no new one; use a text that repeats itself less";
  EXPECT_EQ(made_error(same, s), repeated);
  for (size_t i = 0; i < same.size(); i += 6) same[i] = '\n';  // the words are still the same
  EXPECT_EQ(made_error(same, s), repeated);
  s.choices = 1;
  EXPECT_EQ(made_error(made_text(2000), s),
            "questions from a text: the number of choices must be at least 2, but is 1; choose a "
            "larger number");
}

}  // namespace
