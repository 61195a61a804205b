// SPDX-License-Identifier: Apache-2.0
// Files of multiple-choice and classification questions.
#include "gpt2/choices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "small.hpp"

namespace {

using examples_test::error_of;
using gpt2::Question;
using testing::ElementsAre;

std::string questions_file(const std::string& text) {
  const std::string file = testing::TempDir() + "questions-" + std::to_string(getpid()) + ".jsonl";
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

// What is wrong with a file of this text, without the file's name.
std::string questions_error(const std::string& text, const std::vector<std::string>& labels = {}) {
  const std::string file = questions_file(text);
  const std::string error = error_of([&] { gpt2::read_questions(file, labels); });
  EXPECT_EQ(error.rfind(file + ": ", 0), 0U) << error;
  return error.substr(std::min(error.size(), file.size() + 2));
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
            "line 1: \"label\" must be one of the 2 labels of the training questions, but "
            "is \"x\"; remove the line or train with this label");
}

TEST(Choices, ErrorsNameTheLine) {
  const std::string good = R"({"text": "a", "choices": ["b", "c"], "answer": 0})";
  const std::string keys =
      R"(, but the keys lack it; write {"text": "...", "choices": ["...", "..."], "answer": 0} or )"
      R"({"text": "...", "label": "..."})";
  const std::string index = "; it is the index of the right one of the 2 choices";
  const std::string answer = "\"answer\" must be a whole number from 0 to 1, but is ";
  const std::string malformed = "must be a JSON object in UTF-8, but is malformed at byte ";
  const std::string least = "\"choices\" must be a list of at least 2 strings, but ";
  const std::string line = "; write one {...} a line";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"text": "a")", malformed + "13" + line},
      {"{\"text\": \"\xff\"}", malformed + "11" + line},
      {R"({"text": 1e999})",
       "its numbers must be within the range of float64, but one is not; change it"},
      {"[1]", "must be a JSON object, but is a list" + line},
      {"1.5", "must be a JSON object, but is 1.5" + line},
      {R"({"choices": ["b", "c"], "answer": 0})", "there must be \"text\"" + keys},
      {R"({"text": "a", "answer": 0})", "there must be \"choices\"" + keys},
      {R"({"text": "a", "choices": ["b", "c"]})", "there must be \"answer\"" + keys},
      {R"({"text": 1, "choices": ["b", "c"], "answer": 0})",
       "\"text\" must be a string, but is 1; put it in quotation marks"},
      {R"({"text": "", "choices": ["b", "c"], "answer": 0})",
       "\"text\" must have at least 1 character, but is empty; fill it in or remove the line"},
      {R"({"text": "a", "choices": ["b"], "answer": 0})", least + "has 1; add the wrong choices"},
      {R"({"text": "a", "choices": "b", "answer": 0})", least + "is \"b\"; add the wrong choices"},
      {R"({"text": "a", "choices": ["b", null], "answer": 0})",
       "choice 1 must be a string, but is null; put it in quotation marks"},
      {R"({"text": "a", "choices": ["b", "c", "d", "c"], "answer": 0})",
       "the choices must differ, but choices 1 and 3 (from 0) are both \"c\"; change one"},
      {R"({"text": "a", "choices": ["b", "c"], "answer": 2})", answer + "2" + index},
      {R"({"text": "a", "choices": ["b", "c"], "answer": -1})", answer + "-1" + index},
      {R"({"text": "a", "choices": ["b", "c"], "answer": 0.5})", answer + "0.5" + index},
      {R"({"text": "a", "choices": ["b", "c"], "answer": 18446744073709551615})",
       answer + "18446744073709551615" + index},
      {R"({"text": "a", "label": "b"})",
       "all lines must be of one form, but this one has a \"label\" and line 1 does not; put the "
       "two forms into two files"},
      {R"({"text": "a", "label": "b", "choices": ["b", "c"]})",
       "must have \"choices\" or \"label\", but has both; remove one"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(questions_error(good + "\n\n" + text), "line 3: " + message);
  }
  EXPECT_EQ(questions_error("{\"text\": \"a\", \"label\": \"b\"}\n" + good),
            "line 2: all lines must be of one form, but this one lacks a \"label\" and line 1 has "
            "one; put the two forms into two files");
}

TEST(Choices, DeepAndLongLinesAreRefused) {
  const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_EQ(questions_error(deep),
            "line 1: must be a JSON object, but is a list; write one {...} a line");
  EXPECT_EQ(questions_error("{\"text\": " + deep + "}"),
            "line 1: \"text\" must be a string, but is a list; put it in quotation marks");
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"\":";
  EXPECT_EQ(questions_error("{\"text\": " + objects + "0" + std::string(200'000, '}') + "}"),
            "line 1: \"text\" must be a string, but is an object; put it in quotation marks");
  EXPECT_EQ(questions_error(std::string((1 << 20) + 1, '[')),
            "line 1: must have at most 1048576 bytes, but has 1048577; shorten the text");
  EXPECT_EQ(questions_error("{\"text\": \"a\", \"choices\": \"" + std::string(100, 'x') + "\"}"),
            "line 1: \"choices\" must be a list of at least 2 strings, but is \"" +
                std::string(59, 'x') + "...; add the wrong choices");
}

TEST(Choices, FilesWithoutAChoiceAreRefused) {
  for (const char* text : {"", " \n\n"}) {
    EXPECT_EQ(questions_error(text),
              "must hold at least 1 question, but is empty; write one JSON object a line");
  }
  EXPECT_EQ(questions_error("{\"text\": \"a\", \"label\": \"b\"}"),
            "must have at least 2 labels, but all questions have the label \"b\"; add questions "
            "with another one");
  const auto error = [](const std::string& file) {
    return error_of([&] { gpt2::read_questions(file); });
  };
  const std::string file = testing::TempDir() + "no-such-file";
  EXPECT_EQ(error(file), file +
                             ": cannot be opened: No such file or directory; check that it "
                             "exists and is readable");
  EXPECT_EQ(error(testing::TempDir()),
            testing::TempDir() +
                ": must be an ordinary file, but is a folder, pipe or device; name "
                "a file");
}

TEST(Choices, WrittenQuestionsAreReadBack) {
  const std::string file = questions_file("");
  gpt2::write_questions(file, {{"a \"quoted\"\n\xc3\xa9", {" b", "\tc"}, 1}});
  const auto all = gpt2::read_questions(file);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].text, "a \"quoted\"\n\xc3\xa9");
  EXPECT_THAT(all[0].choices, ElementsAre(" b", "\tc"));
  EXPECT_EQ(all[0].answer, 1);
  const std::string error = error_of([&] {
    gpt2::write_questions(file, {{"\xff", {"b", "c"}, 0}});
  });
  EXPECT_EQ(error, file +
                       ": questions must be UTF-8 for JSON, but one is not; convert the text to "
                       "UTF-8");
  EXPECT_EQ(gpt2::read_questions(file).size(), 1U);  // as it was
}

}  // namespace
