// SPDX-License-Identifier: Apache-2.0
// Questions as tokens, and batches of them for one forward pass.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "choices.hpp"
#include "common/text/tokenizer.hpp"

namespace gpt2 {

struct TokenQuestion {
  std::vector<examples::TokenId> text;                  // at least 1 token
  std::vector<std::vector<examples::TokenId>> choices;  // at least 2, each of at least 1 token
  int64_t answer = 0;

  // The tokens of the text with the longest choice.
  int64_t longest() const;
};

struct TokenQuestions {
  std::vector<TokenQuestion> questions;
  int64_t cut = 0;  // how many of them have lost the beginning of their text
};

// The tokens of text and choices, each encoded on its own, so that a token never spans both. Spaces
// at the end of a text move to the beginning of its choices, because GPT-2 has tokens for words
// with the space before them.
//
// A model with the context `context` sees the text and all tokens of a choice but the last one.
// Where that is too long with the longest choice, the text loses tokens at its beginning, the same
// number for all choices, and the question counts as cut. Throws std::runtime_error naming the
// question (from 0), the choice and the remedy if a choice alone is longer than the context, and
// what the tokenizer throws.
TokenQuestions encode_questions(const std::vector<Question>& questions,
                                const examples::Tokenizer& tokenizer, int64_t context);

// The questions of one forward pass. A row of `inputs` is a text with one of its choices; after a
// row's end it is padded with token 0, which no earlier token sees.
//
// Positions number the tokens of `inputs`, row by row. At each of the m_c + m_t positions listed, a
// token of interest is predicted: first those m_c of the choices, then those m_t of the texts, each
// text once, from its second token on.
struct ChoiceBatch {
  torch::Tensor inputs;     // int64 [rows, t]: all choices of all questions
  torch::Tensor positions;  // int64 [m_c + m_t], all different
  torch::Tensor targets;    // int64 [m_c + m_t]: the token that follows the position
  torch::Tensor slots;      // int64 [m_c]: the place in a table [n, most choices, most tokens]
  torch::Tensor lengths;    // float32 [n, most choices]: tokens of a choice; 0 where there is none
  torch::Tensor right;      // bool [m_c + m_t]: of the text or of the right choice
  torch::Tensor answers;    // int64 [n]
  int64_t most_tokens = 0;  // of a choice
  int64_t choice_targets = 0;  // m_c
};

// The batch of the questions with the numbers `rows`, int64 [n] with n >= 1. The table has at least
// `most_choices` places for the choices of a question, so that batches can be joined. Throws
// std::invalid_argument for no rows and std::out_of_range for a number that no question has.
ChoiceBatch choice_batch(const std::vector<TokenQuestion>& questions, const torch::Tensor& rows,
                         const torch::Device& device, int64_t most_choices = 2);

}  // namespace gpt2
