// SPDX-License-Identifier: Apache-2.0
// One training of a model on a text: its steps and what surrounds them.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/compiled_ivon.hpp"
#include "common/run_log.hpp"
#include "settings.hpp"
#include "text_data.hpp"

namespace gpt2 {

// What a model learns.
struct Task {
  // The mean loss of the pieces with the numbers `rows` (int64 [n]) of a part of the training,
  // which is what lies between two evaluations. The same arguments give the same pieces.
  std::function<torch::Tensor(const torch::Tensor& rows, int64_t part)> loss;
  // Scores the model as it stands. What it returns is printed and logged.
  std::function<examples::Json()> measure;
  double examples = 1;           // training tokens or questions: the ess where --ess is 0
  std::string items = "tokens";  // what the progress line counts
  int64_t items_per_piece = 1;
};

// The next token of text: `data` and `model` must outlive the task. Without `measured` pieces of
// the validation text to score, measure() is empty.
Task next_token_task(examples::Gpt2& model, const TextData& data, int64_t measured, int64_t seed,
                     bool bf16);

// What one training depends on. The references must outlive it.
struct Run {
  const Settings& s;
  int64_t seed;
  examples::Json fingerprint;
  examples::RunLog& log;
};

struct Trained {
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  double seconds = 0;  // of the training alone
  double loss = 0;     // mean since the last evaluation before the end
};

// The losses of the validation text, in nats a token.
struct Validation {
  double mean = 0;                 // with the weights at the posterior mean
  std::optional<double> averaged;  // over samples of the weights, for IVON
};

// "1.6012 at the mean, 1.5987 averaged over 16 samples (perplexity 4.95)"
std::string description(const Validation& validation, int64_t samples);

// Trains `model`, which is on the device of the settings, from the run's checkpoint with --resume.
// All parameters that require gradients are trained. Afterwards the model is in evaluation mode, at
// the mean. Throws examples::Interrupted as examples::train() does.
Trained train_model(examples::Gpt2& model, const Task& task, const Run& run);

// Of IVON, with samples that follow from the seed; nothing of another optimizer.
std::optional<ivon::Posterior> posterior_of(torch::optim::Optimizer& optimizer,
                                            const examples::Gpt2& model, int64_t seed);

// Scores `pieces` pieces of the validation text (0: all) at the mean and, with a posterior,
// averaged over `samples` samples.
Validation validate(examples::Gpt2& model, std::optional<ivon::Posterior>& posterior,
                    const TextData& data, int64_t pieces, int64_t samples, bool bf16);

}  // namespace gpt2
