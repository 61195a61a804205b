// SPDX-License-Identifier: Apache-2.0
#include "choice_tokens.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gpt2 {
namespace {

int64_t longest_choice(const TokenQuestion& question) {
  size_t longest = 0;
  for (const auto& choice : question.choices) longest = std::max(longest, choice.size());
  return static_cast<int64_t>(longest);
}

TokenQuestion encode_question(const Question& question, const examples::Tokenizer& tokenizer) {
  const std::string_view text = question.text;
  // A text of nothing but spaces stays, because the first token of a choice needs one before it.
  const size_t last = text.find_last_not_of(' ');
  const size_t end = last == std::string_view::npos ? text.size() : last + 1;
  TokenQuestion result;
  result.answer = question.answer;
  tokenizer.encode(text.substr(0, end), result.text);
  for (const std::string& choice : question.choices) {
    tokenizer.encode(std::string(text.substr(end)) + choice, result.choices.emplace_back());
  }
  return result;
}

// Cuts the beginning of the text where the question is longer than the context. `number` is for the
// message. Returns whether it was.
bool cut_question(TokenQuestion& question, int64_t context, size_t number) {
  const int64_t longest = longest_choice(question);
  if (longest > context) {
    const auto place = std::find_if(
        question.choices.begin(), question.choices.end(),
        [&](const auto& choice) { return static_cast<int64_t>(choice.size()) == longest; });
    throw std::runtime_error(
        fmt::format("question {} (from 0): a choice must have at most as many tokens as the "
                    "model's context, {}, but choice {} has {}; shorten it or use a model with a "
                    "longer context",
                    number, context, place - question.choices.begin(), longest));
  }
  const int64_t too_many = question.longest() - 1 - context;
  if (too_many <= 0) return false;
  question.text.erase(question.text.begin(), question.text.begin() + too_many);
  return true;
}

// The contents of a batch, gathered row by row.
struct ChoiceBatchLists {
  std::vector<int64_t> inputs;  // [rows, t]
  std::vector<int64_t> positions, targets, slots;
  std::vector<int64_t> text_positions, text_targets;
  std::vector<bool> right;
  std::vector<float> lengths;  // [n, most choices]
  int64_t t = 0, most_choices = 0, most_tokens = 0;

  // `first` numbers the table's places before those of this question.
  void add(const TokenQuestion& question, int64_t first) {
    for (size_t c = 0; c < question.choices.size(); ++c) {
      const auto& choice = question.choices[c];
      const bool is_answer = static_cast<int64_t>(c) == question.answer;
      const auto row = static_cast<int64_t>(inputs.size());
      const auto text = static_cast<int64_t>(question.text.size());
      inputs.insert(inputs.end(), question.text.begin(), question.text.end());
      inputs.insert(inputs.end(), choice.begin(), choice.end() - 1);
      inputs.resize(static_cast<size_t>(row + t), 0);
      const auto length = static_cast<int64_t>(choice.size());
      const int64_t place = first + static_cast<int64_t>(c);
      for (int64_t i = 0; i < length; ++i) {
        positions.push_back(row + text - 1 + i);
        targets.push_back(choice[static_cast<size_t>(i)]);
        slots.push_back(place * most_tokens + i);
        right.push_back(is_answer);
      }
      lengths[static_cast<size_t>(place)] = static_cast<float>(length);
      if (!is_answer) continue;
      for (int64_t i = 0; i + 1 < text; ++i) {
        text_positions.push_back(row + i);
        text_targets.push_back(question.text[static_cast<size_t>(i + 1)]);
      }
    }
  }
};

torch::Tensor choice_tensor(const std::vector<int64_t>& values, const torch::Device& device) {
  return torch::tensor(values, torch::kLong).to(device);
}

}  // namespace

int64_t TokenQuestion::longest() const {
  return static_cast<int64_t>(text.size()) + longest_choice(*this);
}

TokenQuestions encode_questions(const std::vector<Question>& questions,
                                const examples::Tokenizer& tokenizer, int64_t context) {
  TokenQuestions result;
  result.questions.reserve(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    TokenQuestion question = encode_question(questions[i], tokenizer);
    if (cut_question(question, context, i)) ++result.cut;
    result.questions.push_back(std::move(question));
  }
  return result;
}

ChoiceBatch choice_batch(const std::vector<TokenQuestion>& questions, const torch::Tensor& rows,
                         const torch::Device& device, int64_t most_choices) {
  if (rows.numel() == 0) {
    throw std::invalid_argument(
        "a batch of questions must have at least 1 question, but has none; give their numbers");
  }
  const torch::Tensor numbers = rows.to(torch::kCPU, torch::kLong).contiguous();
  std::vector<const TokenQuestion*> chosen;
  ChoiceBatchLists lists;
  lists.most_choices = most_choices;
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    const auto number = static_cast<size_t>(numbers.const_data_ptr<int64_t>()[i]);
    const TokenQuestion& question = questions.at(number);
    chosen.push_back(&question);
    lists.t = std::max(lists.t, question.longest() - 1);
    lists.most_choices =
        std::max(lists.most_choices, static_cast<int64_t>(question.choices.size()));
    lists.most_tokens = std::max(lists.most_tokens, longest_choice(question));
  }
  lists.lengths.resize(chosen.size() * static_cast<size_t>(lists.most_choices), 0);
  std::vector<int64_t> answers;
  for (size_t i = 0; i < chosen.size(); ++i) {
    lists.add(*chosen[i], static_cast<int64_t>(i) * lists.most_choices);
    answers.push_back(chosen[i]->answer);
  }
  ChoiceBatch batch;
  batch.choice_targets = static_cast<int64_t>(lists.targets.size());
  batch.most_tokens = lists.most_tokens;
  const auto append = [](std::vector<int64_t>& to, const std::vector<int64_t>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(lists.positions, lists.text_positions);
  append(lists.targets, lists.text_targets);
  std::vector<int64_t> right(lists.right.begin(), lists.right.end());
  right.resize(lists.targets.size(), 1);
  batch.inputs = choice_tensor(lists.inputs, device).view({-1, lists.t});
  batch.positions = choice_tensor(lists.positions, device);
  batch.targets = choice_tensor(lists.targets, device);
  batch.slots = choice_tensor(lists.slots, device);
  batch.lengths = torch::tensor(lists.lengths).view({-1, lists.most_choices}).to(device);
  batch.right = choice_tensor(right, device).to(torch::kBool);
  batch.answers = choice_tensor(answers, device);
  return batch;
}

}  // namespace gpt2
