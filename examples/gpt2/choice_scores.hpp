// SPDX-License-Identifier: Apache-2.0
// What a language model scores on multiple-choice questions: at the mean of its posterior, averaged
// over samples of it, and without the weights that the posterior knows least about.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <ivon/posterior/posterior.hpp>
#include <string>
#include <vector>

#include "choice_model.hpp"
#include "common/settings.hpp"

namespace gpt2 {

// The probabilities of the choices of all questions, in their order and on the CPU.
struct ChoicePrediction {
  int64_t samples = 0;               // of the weights; 0: the mean
  torch::Tensor probs;               // float32 [n, most choices], 0 where a question has fewer
  torch::Tensor entropy;             // [n], nats
  torch::Tensor mutual_information;  // [n], nats, of choice and weights; 0 without samples
  torch::Tensor answers;             // int64 [n]
};

struct ChoiceTestSettings {
  ChoiceSettings choice;
  int64_t batch = 16;  // questions of a forward pass, >= 1
  bool bf16 = false;   // the forward pass in bfloat16
  uint64_t seed = 0;   // of the samples of the weights
};

// Predicts with each of the numbers of samples `counts`, which are >= 0 and rise. All questions see
// the same samples, so the predictions do not depend on the batch beyond rounding. The averages are
// those of the probabilities. Without a posterior (null) the model's own weights are the mean, and
// `counts` may be {0} only. The model is in evaluation mode meanwhile and is then as before. Shows
// its progress under the name `label` where it takes long. Throws std::invalid_argument for no
// questions, a batch below 1 or other counts, and what ivon::Posterior::sampled_params() throws if
// the posterior does not fit the model.
std::vector<ChoicePrediction> predict_choices(examples::Gpt2& model,
                                              const ivon::Posterior* posterior,
                                              const std::vector<TokenQuestion>& questions,
                                              const std::vector<int64_t>& counts,
                                              const ChoiceTestSettings& settings,
                                              const std::string& label = "test");

struct ChoiceScores {
  double accuracy = 0;  // 0..1
  double nll = 0;       // nats a question; infinite where the probabilities are not finite
  double ece = 0;       // 15 bins, 0..1
  double brier = 0;     // 0..2

  examples::Json to_json() const;
};

ChoiceScores score_choices(const ChoicePrediction& prediction);

// One line of a table of scores.
struct ChoiceRow {
  int64_t samples = 0;  // 0: at the mean
  double tau = 1;       // the precision of the posterior was multiplied by it
  double pruned = 0;    // the share of the posterior's weights that were set to 0
  ChoiceScores scores;

  std::string title() const;  // "at the mean", "10 samples, tau 4, 10 % pruned"
  examples::Json to_json() const;
};

struct ChoiceEvaluationSettings {
  int64_t samples = 10;  // of the weights, >= 1
  // The test-time temperature, > 0: samples are drawn with the variance divided by it.
  double tau = 1;
  // The share, 0 to 1, of the posterior's weights with the lowest signal-to-noise ratio that are
  // set to 0 in rows of their own (ivon::prune()). With LoRA these are weights of the adapters.
  double pruned = 0;
  ChoiceTestSettings test;
};

// The rows of an evaluation: at the mean; with a posterior also averaged over samples, and again
// with tau where it is not 1; and all of them again with pruned weights where `pruned` is not 0.
// Throws as predict_choices() and, for settings out of range, ivon::prune() and tempered() do.
std::vector<ChoiceRow> evaluate_choices(examples::Gpt2& model, const ivon::Posterior* posterior,
                                        const std::vector<TokenQuestion>& questions,
                                        const ChoiceEvaluationSettings& settings);

// The rows as a table for a terminal.
std::string choice_table(const std::vector<ChoiceRow>& rows);

}  // namespace gpt2
