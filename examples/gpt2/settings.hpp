// SPDX-License-Identifier: Apache-2.0
// The settings of all commands.
#pragma once

#include <cstdint>
#include <string>

#include "choice_model.hpp"
#include "common/models/gpt2.hpp"
#include "common/models/lora.hpp"
#include "common/optimizers.hpp"
#include "common/program.hpp"
#include "common/settings.hpp"
#include "generate.hpp"
#include "make_questions.hpp"

namespace gpt2 {

// From text to token files.
struct TextSettings {
  std::string text;                // a file or a folder of .txt files; empty: the default text
  std::string tokenizer = "bpe";   // bpe (trained on the text), characters, vocabulary
  std::string vocabulary;          // folder of a vocabulary, for `vocabulary`
  int64_t vocabulary_size = 4096;  // of a trained vocabulary
  double validation = 0.1;         // share of the text, its end, that is not trained on
  std::string format = "nanogpt";  // of the token files: nanogpt, llmc
};

struct TrainingSettings {
  std::string data;  // folder that prepare has written; empty: prepares `text`
  int64_t iterations = 2000;
  int64_t batch = 12;            // pieces of text in a forward pass
  int64_t accumulate = 1;        // forward passes of an iteration
  bool fresh_samples = false;    // IVON: a sample of the weights for each forward pass
  double warmup = 0.05;          // share of the iterations with a rising learning rate
  bool linear = false;           // the learning rate falls in a line and not as a cosine
  double final_factor = 0.1;     // learning rate at the end, as a multiple of the highest
  double gradient_clip = 1;      // bound on the norm of the gradient; 0: none
  int64_t evaluate_every = 250;  // iterations; the number of iterations is a multiple of it
  int64_t measured = 200;        // pieces of the validation text scored at these times
  int64_t scored = 4000;         // pieces of the validation text scored at the end; 0: all
  int64_t preview = 300;         // tokens of generated text printed at the end
  double checkpoint_seconds = 60;
};

// Adapting a trained model.
struct FinetuneSettings {
  std::string questions;       // JSONL; empty: next tokens of text
  std::string test_questions;  // JSONL
  int64_t rank = 8;            // of the adapters; 0: all weights are trained
  double alpha = 16;           // adapters are multiplied by alpha / rank
  ChoiceSettings choice;
  double tau = 1;    // factor of the posterior's precision at test time
  double prune = 0;  // share of the trained weights, the least certain, set to 0 in a test
};

struct Settings {
  examples::CommonSettings common;
  TextSettings text;
  std::string size = "own";  // own: as the settings of `model` say; or a name of gpt2_options()
  examples::Gpt2Options model;
  TrainingSettings training;
  examples::OptimizerSettings optimizer = examples::optimizer_settings("ivon");
  FinetuneSettings finetune;
  GenerateSettings generate;
  MadeQuestionSettings questions;

  // Folder that train or finetune has written, or one of transformers' save_pretrained().
  std::string trained;
  int64_t stride = 0;  // perplexity: tokens from one window to the next; 0: half the context
  std::string json;    // perplexity: file for a record of each token
  bool lines = false;  // tokenize: each line on its own
  bool export_sample = false;  // export: a sample of the posterior instead of its mean

  Settings();
};

// Declare the settings of a command.
void add_prepare_settings(examples::Settings& list, Settings& s);
void add_tokenize_settings(examples::Settings& list, Settings& s);
void add_training_settings(examples::Settings& list, Settings& s);
void add_finetuning_settings(examples::Settings& list, Settings& s);
void add_generation_settings(examples::Settings& list, Settings& s);
void add_perplexity_settings(examples::Settings& list, Settings& s);
void add_question_settings(examples::Settings& list, Settings& s);
void add_export_settings(examples::Settings& list, Settings& s);

// Throws std::invalid_argument for settings of train and finetune that do not go together, so that
// the error comes before the work.
void check_training_settings(const Settings& s);

// Makes a run short, for --smoke.
void make_short(Settings& s);

}  // namespace gpt2
