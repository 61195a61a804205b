// SPDX-License-Identifier: Apache-2.0
// Multiple-choice questions made from any text: which of four continuations follows a passage?
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "choices.hpp"

namespace gpt2 {

struct MadeQuestionSettings {
  int64_t train = 1000, test = 500;  // questions, >= 0
  int64_t passage_words = 40;        // of Question::text, >= 1
  int64_t choice_words = 6;          // of each choice, >= 1
  int64_t choices = 4;               // of each question, >= 2
  uint64_t seed = 1;
};

struct MadeQuestions {
  std::vector<Question> train, test;
};

// A word is a run of bytes other than ASCII white space. The passage of a question begins at a
// random word; one choice is what follows the passage, with the white space before it, and the
// others are as many words from random other places of the text, which do not overlap the passage
// or its continuation. The choices of a question differ in their words. The training questions come
// from the first 90 % of the words and the test questions from the others. The result follows from
// the text and the settings alone.
//
// Throws std::invalid_argument for a setting out of range, if a part of the text that is used has
// too few words, or if it repeats itself so much that no different choices are found.
MadeQuestions make_questions(std::string_view text, const MadeQuestionSettings& settings);

// Writes the questions to train.jsonl and test.jsonl in `folder`, which exists, for
// read_questions(). Throws as make_questions() and write_questions() do.
void make_question_files(std::string_view text, const MadeQuestionSettings& settings,
                         const std::filesystem::path& folder);

}  // namespace gpt2
