// SPDX-License-Identifier: Apache-2.0
// Questions with a few possible answers, for finetuning a language model and for scoring it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpt2 {

struct Question {
  std::string text;
  std::vector<std::string>
      choices;         // at least 2, all different; each is read as the continuation of `text`
  int64_t answer = 0;  // the index of the right choice
};

// Reads a file of one JSON object a line, in one of two forms, the same on all lines:
//   {"text": "2 + 2 =", "choices": [" 3", " 4"], "answer": 1}   multiple choice
//   {"text": "I liked it.", "label": "positive"}                classification
// A choice is used as it stands, so it usually begins with a space. In a classification, the
// choices of every question are " " + label of all labels of the file in the order of their bytes;
// where `label_choices` is not empty, they are these, and the file may use no other. Pass the
// choices of the training questions when the test questions are read, so that both have the same.
//
// Lines of white space are passed over, and so are other keys of an object. Throws
// std::runtime_error naming the file, and the line where there is one: for a file that cannot be
// read or has no question, a line of more than 1 MiB, malformed JSON, a key that is missing or has
// another type, an empty text, choice or label, fewer than two choices or labels, two equal
// choices, an answer that is no index of a choice, a line of the other form, and a label that
// `label_choices` lacks.
std::vector<Question> read_questions(const std::filesystem::path& file,
                                     const std::vector<std::string>& label_choices = {});

// Writes the questions in the form of multiple choice. The file appears under its name when all of
// it is on disk. Throws std::runtime_error naming the file if it cannot be written or if a text or
// choice is not UTF-8.
void write_questions(const std::filesystem::path& file, const std::vector<Question>& questions);

}  // namespace gpt2
