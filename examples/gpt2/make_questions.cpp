// SPDX-License-Identifier: Apache-2.0
#include "make_questions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/data/example_random.hpp"

namespace gpt2 {
namespace {

struct MadeWord {
  size_t begin, end;  // bytes of the text, the last one not included
};

std::vector<MadeWord> made_words(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  std::vector<MadeWord> words;
  size_t begin = text.find_first_not_of(kSpaces);
  while (begin != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(kSpaces, begin), text.size());
    words.push_back({begin, end});
    begin = text.find_first_not_of(kSpaces, end);
  }
  return words;
}

// Whether the texts differ in white space alone.
bool are_same_words(std::string_view a, std::string_view b) {
  const std::vector<MadeWord> of_a = made_words(a), of_b = made_words(b);
  return std::equal(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                    [a, b](const MadeWord& x, const MadeWord& y) {
                      return a.substr(x.begin, x.end - x.begin) ==
                             b.substr(y.begin, y.end - y.begin);
                    });
}

// The part of a text from which the questions of one set come.
class MadeQuestionPart {
 public:
  MadeQuestionPart(std::string_view text, std::vector<MadeWord> words,
                   const MadeQuestionSettings& settings)
      : text_(text), words_(std::move(words)), settings_(settings) {}

  Question question(examples::ExampleRandom& random) const {
    const int64_t length = settings_.passage_words + settings_.choice_words;
    const int64_t first = random.below(count() - length + 1);
    const int64_t answer_place = first + settings_.passage_words;
    Question question;
    question.text = std::string(
        text_.substr(word(first).begin, word(answer_place - 1).end - word(first).begin));
    question.choices = {continuation(answer_place)};
    while (static_cast<int64_t>(question.choices.size()) < settings_.choices) {
      question.choices.push_back(other(first, question.choices, random));
    }
    question.answer = random.below(settings_.choices);
    std::swap(question.choices.front(), question.choices[static_cast<size_t>(question.answer)]);
    return question;
  }

 private:
  int64_t count() const { return static_cast<int64_t>(words_.size()); }
  const MadeWord& word(int64_t index) const { return words_[static_cast<size_t>(index)]; }

  // The words of a choice from word `place` >= 1 on, with the white space before them.
  std::string continuation(int64_t place) const {
    const size_t begin = word(place - 1).end;
    return std::string(text_.substr(begin, word(place + settings_.choice_words - 1).end - begin));
  }

  // A choice from elsewhere whose words are those of none among `taken`.
  std::string other(int64_t passage, const std::vector<std::string>& taken,
                    examples::ExampleRandom& random) const {
    constexpr int kTries = 1000;
    const int64_t length = settings_.passage_words + settings_.choice_words;
    for (int i = 0; i < kTries; ++i) {
      const int64_t place = 1 + random.below(count() - settings_.choice_words);
      const bool apart = place + settings_.choice_words <= passage || place >= passage + length;
      if (!apart) continue;
      std::string choice = continuation(place);
      const bool is_new = std::none_of(taken.begin(), taken.end(), [&](const std::string& other) {
        return are_same_words(choice, other);
      });
      if (is_new) return choice;
    }
    throw std::invalid_argument(
        fmt::format("questions from a text: the {} choices of a question must differ, but {} "
                    "random places gave no new one; use a text that repeats itself less",
                    settings_.choices, kTries));
  }

  std::string_view text_;
  std::vector<MadeWord> words_;
  MadeQuestionSettings settings_;
};

void check_made_at_least(const char* what, int64_t value, int64_t least) {
  if (value >= least) return;
  throw std::invalid_argument(
      fmt::format("questions from a text: {} must be at least {}, but is {}; choose a larger "
                  "number",
                  what, least, value));
}

std::vector<Question> made_set(std::string_view text, std::vector<MadeWord> words,
                               const MadeQuestionSettings& s, const char* name, int64_t questions,
                               uint64_t number) {
  if (questions == 0) return {};
  // With so many words, a random choice lies apart from the passage at least half of the time.
  const int64_t needed = 4 * (s.passage_words + s.choices * s.choice_words);
  const auto count = static_cast<int64_t>(words.size());
  if (count < needed) {
    throw std::invalid_argument(
        fmt::format("questions from a text: the {} must have at least {} words for passages of {} "
                    "and {} choices of {} words, but has {}; use a longer text or fewer words",
                    name, needed, s.passage_words, s.choices, s.choice_words, count));
  }
  const MadeQuestionPart part(text, std::move(words), s);
  std::vector<Question> all;
  all.reserve(static_cast<size_t>(questions));
  for (int64_t i = 0; i < questions; ++i) {
    examples::ExampleRandom random(s.seed, number, static_cast<uint64_t>(i));
    all.push_back(part.question(random));
  }
  return all;
}

}  // namespace

MadeQuestions make_questions(std::string_view text, const MadeQuestionSettings& settings) {
  check_made_at_least("the number of training questions", settings.train, 0);
  check_made_at_least("the number of test questions", settings.test, 0);
  check_made_at_least("the number of words of a passage", settings.passage_words, 1);
  check_made_at_least("the number of words of a choice", settings.choice_words, 1);
  check_made_at_least("the number of choices", settings.choices, 2);
  const std::vector<MadeWord> words = made_words(text);
  const auto border = words.begin() + static_cast<std::ptrdiff_t>(words.size() * 9 / 10);
  MadeQuestions made;
  made.train = made_set(text, {words.begin(), border}, settings, "first 90 %", settings.train, 0);
  made.test = made_set(text, {border, words.end()}, settings, "last 10 %", settings.test, 1);
  return made;
}

void make_question_files(std::string_view text, const MadeQuestionSettings& settings,
                         const std::filesystem::path& folder) {
  const MadeQuestions made = make_questions(text, settings);
  write_questions(folder / "train.jsonl", made.train);
  write_questions(folder / "test.jsonl", made.test);
}

}  // namespace gpt2
