// SPDX-License-Identifier: Apache-2.0
// A language model as a classifier of the choices of questions, for training and for predictions.
#pragma once

#include <torch/types.h>

#include "choice_tokens.hpp"
#include "common/models/gpt2.hpp"

namespace gpt2 {

struct ChoiceSettings {
  // Divides the log probability of a choice by the number of its tokens. A sum over more tokens is
  // lower, so without this long choices look less probable; that is right where the length is part
  // of the answer, and wrong where the choices are paraphrases of different lengths (Brown et al.
  // 2020, "Language Models are Few-Shot Learners", section 2.4).
  bool per_token = false;
  // The weight, >= 0, of the mean loss of the next token of the text and of the right choice, which
  // choice_loss() adds.
  double next_token = 0;
};

// The log probability in nats of each choice after its text, the sum of log p(token | text, earlier
// tokens of the choice): [n, most choices], -infinity where a question has fewer choices. float32,
// or float64 for a model of float64. Their softmax are the probabilities of the choices. With
// gradients where grad mode is on.
//
// One forward pass of [rows, t] tokens; the head, whose logits would be the largest tensor, is
// computed for the tokens of the choices alone.
torch::Tensor choice_logits(examples::Gpt2& model, const ChoiceBatch& batch,
                            const ChoiceSettings& settings = {});

// The training loss in nats, a scalar: the mean over the questions of -log of the right choice's
// probability among the choices, plus settings.next_token times the mean cross entropy of the
// tokens. One forward pass.
torch::Tensor choice_loss(examples::Gpt2& model, const ChoiceBatch& batch,
                          const ChoiceSettings& settings = {});

}  // namespace gpt2
