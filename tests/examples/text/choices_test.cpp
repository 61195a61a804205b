// SPDX-License-Identifier: Apache-2.0
// Files of multiple-choice and classification questions.
#include "gpt2/choices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using gpt2::Question;
using testing::ElementsAre;
using testing::HasSubstr;

std::string questions_file(const std::string& text) {
  const std::string file = testing::TempDir() + "questions-" + std::to_string(getpid()) + ".jsonl";
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

std::string questions_error(const std::string& text, const std::vector<std::string>& labels = {}) {
  try {
    gpt2::read_questions(questions_file(text), labels);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Choices, MultipleChoice) {
  const auto all = gpt2::read_questions(
      questions_file("{\"text\": \"2 + 2 =\", \"choices\": [\" 3\", \" 4\"], \"answer\": 1}\r\n"
                     "\n"
                     "{\"id\": 7, \"text\": \"a\", \"choices\": [\"b\", \"c\", \"\\u00e9\"], "
                     "\"answer\": 0}"));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].text, "2 + 2 =");
  EXPECT_THAT(all[0].choices, ElementsAre(" 3", " 4"));
  EXPECT_EQ(all[0].answer, 1);
  EXPECT_THAT(all[1].choices, ElementsAre("b", "c", "\xc3\xa9"));
}

TEST(Choices, LabelsOfTheFileAreTheChoices) {
  const auto all = gpt2::read_questions(
      questions_file("{\"text\": \"a\", \"label\": \"positive\"}\n{\"text\": \"b\", \"label\": "
                     "\"negative\"}\n{\"text\": \"c\", \"label\": \"positive\"}\n"));
  ASSERT_EQ(all.size(), 3U);
  for (const Question& q : all) EXPECT_THAT(q.choices, ElementsAre(" negative", " positive"));
  EXPECT_EQ(all[0].answer, 1);
  EXPECT_EQ(all[1].answer, 0);
  EXPECT_EQ(all[2].answer, 1);
}

TEST(Choices, GivenLabelsAreTheChoices) {
  const std::string file = questions_file("{\"text\": \"a\", \"label\": \"x\"}");
  const auto all = gpt2::read_questions(file, {" z", " y", " x"});
  EXPECT_THAT(all.front().choices, ElementsAre(" z", " y", " x"));
  EXPECT_EQ(all.front().answer, 2);
  EXPECT_EQ(questions_error("{\"text\": \"a\", \"label\": \"x\"}", {" y", " z"}),
            file +
                ": line 1: \"label\" must be one of the 2 labels of the training questions, but "
                "is \"x\"; remove the line or train with this label");
}

TEST(Choices, ErrorsNameTheLine) {
  const std::string good = "{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}\n\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"text\": \"a\"", "must be JSON in UTF-8, one object a line, but is not"},
      {"{\"text\": \"\xff\"}", "must be JSON in UTF-8, one object a line, but is not"},
      {"[1]", "must be a JSON object, but is [1]; write one {...} a line"},
      {"{\"choices\": [\"b\", \"c\"], \"answer\": 0}", "there must be \"text\", but"},
      {"{\"text\": \"a\", \"answer\": 0}", "there must be \"choices\", but"},
      {"{\"text\": \"a\", \"choices\": [\"b\", \"c\"]}", "there must be \"answer\", but"},
      {"{\"text\": 1, \"choices\": [\"b\", \"c\"], \"answer\": 0}",
       "\"text\" must be a string, but is 1"},
      {"{\"text\": \"\", \"choices\": [\"b\", \"c\"], \"answer\": 0}",
       "\"text\" must have at least 1 character, but is empty"},
      {"{\"text\": \"a\", \"choices\": [\"b\"], \"answer\": 0}",
       "\"choices\" must be a list of at least 2 strings, but is [\"b\"]"},
      {"{\"text\": \"a\", \"choices\": [\"b\", null], \"answer\": 0}",
       "choice 1 must be a string, but is null"},
      {"{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}",
       "\"answer\" must be a whole number from 0 to 1, but is 2; it is the index"},
      {"{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": -1}", "0 to 1, but is -1;"},
      {"{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0.5}", "0 to 1, but is 0.5;"},
      {"{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 18446744073709551615}",
       "0 to 1, but is 18446744073709551615;"},
      {"{\"text\": \"a\", \"label\": \"b\"}", "all lines must be of one form, but this one has a"},
      {"{\"text\": \"a\", \"label\": \"b\", \"choices\": [\"b\", \"c\"]}", "but has both"},
  };
  for (const auto& [line, message] : cases) {
    const std::string error = questions_error(good + line);
    EXPECT_THAT(error, HasSubstr(".jsonl: line 3: "));
    EXPECT_THAT(error, HasSubstr(message));
  }
}

TEST(Choices, FilesWithoutAChoiceAreRefused) {
  EXPECT_THAT(questions_error(" \n\n"), HasSubstr("must hold at least 1 question, but is empty"));
  EXPECT_THAT(questions_error("{\"text\": \"a\", \"label\": \"b\"}"),
              HasSubstr("must have at least 2 labels, but all questions have the label \"b\""));
  EXPECT_THROW(gpt2::read_questions(testing::TempDir() + "no-such-file"), std::runtime_error);
  EXPECT_THROW(gpt2::read_questions(testing::TempDir()), std::runtime_error);
}

TEST(Choices, WrittenQuestionsAreReadBack) {
  const std::string file = questions_file("");
  gpt2::write_questions(file, {{"a \"quoted\"\n\xc3\xa9", {" b", "\tc"}, 1}});
  const auto all = gpt2::read_questions(file);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].text, "a \"quoted\"\n\xc3\xa9");
  EXPECT_THAT(all[0].choices, ElementsAre(" b", "\tc"));
  EXPECT_EQ(all[0].answer, 1);
  EXPECT_THROW(gpt2::write_questions(file, {{"\xff", {"b", "c"}, 0}}), std::runtime_error);
  EXPECT_EQ(gpt2::read_questions(file).size(), 1U);  // as it was
}

}  // namespace
