// SPDX-License-Identifier: Apache-2.0
#include "choices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/data/memory_map.hpp"
#include "common/json_text.hpp"

namespace gpt2 {
namespace {

using examples::json_text;
using QuestionJson = nlohmann::ordered_json;

constexpr size_t kMostQuestionBytes = 1 << 20;  // of a line

// Where a line stands, for messages.
struct QuestionLine {
  const std::filesystem::path& file;
  int64_t number;  // from 1

  [[noreturn]] void fail(const std::string& what) const {
    examples::fail_file(file, fmt::format("line {}: {}", number, what));
  }
};

QuestionJson parse_question(std::string_view text, const QuestionLine& line) {
  if (text.size() > kMostQuestionBytes) {
    line.fail(fmt::format("must have at most {} bytes, but has {}; shorten the text",
                          kMostQuestionBytes, text.size()));
  }
  try {
    return QuestionJson::parse(text);
  } catch (const QuestionJson::parse_error& error) {
    line.fail(
        fmt::format("must be a JSON object in UTF-8, but is malformed at byte {}; write one "
                    "{{...}} a line",
                    error.byte));
  } catch (const QuestionJson::out_of_range&) {
    line.fail("its numbers must be within the range of float64, but one is not; change it");
  }
}

std::string question_string(const QuestionJson& value, const std::string& name,
                            const QuestionLine& line) {
  if (!value.is_string()) {
    line.fail(fmt::format("{} must be a string, but is {}; put it in quotation marks", name,
                          json_text(value)));
  }
  auto text = value.get<std::string>();
  if (text.empty()) {
    line.fail(
        fmt::format("{} must have at least 1 character, but is empty; fill it in or remove "
                    "the line",
                    name));
  }
  return text;
}

const QuestionJson& question_member(const QuestionJson& object, const std::string& key,
                                    const QuestionLine& line) {
  const auto found = object.find(key);
  if (found == object.end()) {
    line.fail(
        fmt::format("there must be \"{}\", but the keys lack it; write {{\"text\": \"...\", "
                    "\"choices\": [\"...\", \"...\"], \"answer\": 0}} or {{\"text\": "
                    "\"...\", \"label\": \"...\"}}",
                    key));
  }
  return *found;
}

int64_t question_answer(const QuestionJson& value, size_t choices, const QuestionLine& line) {
  const auto count = static_cast<int64_t>(choices);
  // A number above the range of int64 is an unsigned one for the JSON library.
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() || value.get<uint64_t>() < static_cast<uint64_t>(choices)) &&
      value.get<int64_t>() >= 0 && value.get<int64_t>() < count;
  if (!fits) {
    line.fail(
        fmt::format("\"answer\" must be a whole number from 0 to {}, but is {}; it is the "
                    "index of the right one of the {} choices",
                    count - 1, json_text(value), count));
  }
  return value.get<int64_t>();
}

std::vector<std::string> question_choices(const QuestionJson& value, const QuestionLine& line) {
  if (!value.is_array() || value.size() < 2) {
    const std::string found =
        value.is_array() ? fmt::format("has {}", value.size()) : "is " + json_text(value);
    line.fail(fmt::format(
        "\"choices\" must be a list of at least 2 strings, but {}; add the wrong choices", found));
  }
  std::vector<std::string> choices;
  std::map<std::string, size_t> places;  // of the choices in the list
  for (size_t i = 0; i < value.size(); ++i) {
    choices.push_back(question_string(value[i], fmt::format("choice {}", i), line));
    const auto [first, is_new] = places.emplace(choices.back(), i);
    if (is_new) continue;
    line.fail(
        fmt::format("the choices must differ, but choices {} and {} (from 0) are both {}; "
                    "change one",
                    first->second, i, json_text(value[i])));
  }
  return choices;
}

// The questions of a file, of which those of a classification have their label as only choice until
// finish() gives them all choices.
class QuestionReader {
 public:
  QuestionReader(const std::filesystem::path& file, const std::vector<std::string>& label_choices)
      : file_(file), label_choices_(label_choices) {}

  void add(std::string_view text, int64_t number) {
    const QuestionLine line{file_, number};
    const QuestionJson object = parse_question(text, line);
    if (!object.is_object()) {
      line.fail(fmt::format("must be a JSON object, but is {}; write one {{...}} a line",
                            json_text(object)));
    }
    check_form(object.contains("label"), object.contains("choices"), line);
    Question question;
    question.text = question_string(question_member(object, "text", line), "\"text\"", line);
    if (has_labels_) {
      question.choices = {" " + question_string(object.at("label"), "\"label\"", line)};
    } else {
      question.choices = question_choices(question_member(object, "choices", line), line);
      question.answer =
          question_answer(question_member(object, "answer", line), question.choices.size(), line);
    }
    questions_.push_back(std::move(question));
    lines_.push_back(number);
  }

  std::vector<Question> finish() {
    if (questions_.empty()) {
      examples::fail_file(file_,
                          "must hold at least 1 question, but is empty; write one JSON "
                          "object a line");
    }
    if (has_labels_) replace_labels();
    return std::move(questions_);
  }

 private:
  void check_form(bool has_label, bool has_choices, const QuestionLine& line) {
    if (has_label && has_choices) {
      line.fail("must have \"choices\" or \"label\", but has both; remove one");
    }
    if (questions_.empty()) has_labels_ = has_label;
    if (has_label == has_labels_) return;
    line.fail(fmt::format(
        "all lines must be of one form, but this one {} a \"label\" and line {} "
        "{}; put the two forms into two files",
        has_label ? "has" : "lacks", lines_.front(), has_label ? "does not" : "has one"));
  }

  void replace_labels() {
    std::vector<std::string> all = label_choices_;
    if (all.empty()) {
      std::set<std::string> labels;
      for (const Question& question : questions_) labels.insert(question.choices.front());
      all.assign(labels.begin(), labels.end());
    }
    if (all.size() < 2) {
      examples::fail_file(file_, fmt::format("must have at least 2 labels, but all questions have "
                                             "the label \"{}\"; add questions with another one",
                                             all.front().substr(1)));
    }
    for (size_t i = 0; i < questions_.size(); ++i) {
      const auto found = std::find(all.begin(), all.end(), questions_[i].choices.front());
      if (found == all.end()) {
        QuestionLine{file_, lines_[i]}.fail(
            fmt::format("\"label\" must be one of the {} labels of the training questions, but is "
                        "\"{}\"; remove the line or train with this label",
                        all.size(), questions_[i].choices.front().substr(1)));
      }
      questions_[i].answer = found - all.begin();
      questions_[i].choices = all;
    }
  }

  const std::filesystem::path& file_;
  const std::vector<std::string>& label_choices_;
  std::vector<Question> questions_;
  std::vector<int64_t> lines_;  // where each question stands
  bool has_labels_ = false;     // the form of the first line
};

}  // namespace

std::vector<Question> read_questions(const std::filesystem::path& file,
                                     const std::vector<std::string>& label_choices) {
  const examples::MemoryMap map(file);
  std::string_view rest(reinterpret_cast<const char*>(map.data()), static_cast<size_t>(map.size()));
  QuestionReader reader(file, label_choices);
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) reader.add(line, number);
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return reader.finish();
}

void write_questions(const std::filesystem::path& file, const std::vector<Question>& questions) {
  examples::AtomicFile out(file);
  for (const Question& question : questions) {
    const QuestionJson object = {
        {"text", question.text}, {"choices", question.choices}, {"answer", question.answer}};
    std::string line;
    try {
      line = object.dump() + "\n";
    } catch (const QuestionJson::exception&) {
      examples::fail_file(
          file, "questions must be UTF-8 for JSON, but one is not; convert the text to UTF-8");
    }
    out.write(line.data(), line.size());
  }
  out.commit();
}

}  // namespace gpt2
