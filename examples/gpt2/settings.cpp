// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace gpt2 {
namespace {

using examples::Effect;

constexpr int64_t kBillion = 1'000'000'000;
const CLI::Range kNotNegativeCount(int64_t{0}, kBillion);
const CLI::Range kPositiveCount(int64_t{1}, kBillion);
const CLI::Range kShareOfAll(0.0, 1.0);
const CLI::Range kPositiveShare(std::numeric_limits<double>::min(), 1.0);
const CLI::Range kPositiveReal(std::numeric_limits<double>::min(),
                               std::numeric_limits<double>::max());
const CLI::Range kNotNegativeReal(0.0, std::numeric_limits<double>::max());

void add_trained(examples::Settings& list, Settings& s) {
  // The fingerprint of finetune has a checksum of the weights; where they lie may change.
  list.add("trained", s.trained,
           "folder that train or finetune has written, or one of transformers' save_pretrained(); "
           "must be given",
           Effect::kOther);
  list.add("vocabulary", s.text.vocabulary, "folder of the vocabulary; empty = that of --trained",
           Effect::kOther);
}

void add_text(examples::Settings& list, TextSettings& s) {
  list.add("text", s.text,
           "text file, or folder of .txt files; empty = the King James Bible of Debian's "
           "bible-kjv-text",
           Effect::kTraining);
}

void add_tokenizer(examples::Settings& list, TextSettings& s) {
  list.add("tokenizer", s.tokenizer,
           "bpe = byte pairs, trained on the text; characters; vocabulary = that of --vocabulary",
           Effect::kTraining, CLI::IsMember({"bpe", "characters", "vocabulary"}));
  list.add("vocabulary", s.vocabulary, "folder with vocab.json and merges.txt, such as GPT-2's",
           Effect::kTraining);
  list.add("vocabulary-size", s.vocabulary_size, "tokens of a vocabulary trained on the text",
           Effect::kTraining, CLI::Range(int64_t{257}, int64_t{65536}));
}

void add_validation(examples::Settings& list, TextSettings& s) {
  list.add("validation", s.validation, "share of the text, its end, that is not trained on",
           Effect::kTraining, CLI::Range(0.0001, 0.9));
}

void add_model(examples::Settings& list, Settings& all) {
  examples::Gpt2Options& s = all.model;
  list.add("size", all.size, "of GPT-2: sets layers, heads, width and context; own = as they say",
           Effect::kTraining, CLI::IsMember({"own", "124M", "355M", "774M", "1558M"}));
  list.on_change("size", [&all] {
    if (all.size == "own") return;
    const examples::Gpt2Options named = examples::gpt2_options(all.size);
    all.model.layers = named.layers;
    all.model.heads = named.heads;
    all.model.width = named.width;
    all.model.context = named.context;
  });
  list.add("layers", s.layers, "blocks of attention and MLP", Effect::kTraining, kPositiveCount);
  list.add("heads", s.heads, "attention heads; the width is a multiple", Effect::kTraining,
           kPositiveCount);
  list.add("width", s.width, "numbers in the vector of a token", Effect::kTraining, kPositiveCount);
  list.add("context", s.context, "tokens that a prediction can use", Effect::kTraining,
           kPositiveCount);
}

void add_steps(examples::Settings& list, Settings& s) {
  TrainingSettings& t = s.training;
  list.add("dropout", s.model.dropout, "share of numbers dropped in training", Effect::kTraining,
           CLI::Range(0.0, 0.99));
  list.add("recompute", s.model.recompute,
           "compute activations again in the backward pass: less memory, a third more work",
           Effect::kTraining);
  list.add("iterations", t.iterations, "steps of the optimizer, a multiple of --evaluate-every",
           Effect::kTraining, kPositiveCount);
  list.add("batch", t.batch, "pieces of text in a forward pass", Effect::kTraining, kPositiveCount);
  list.add("accumulate", t.accumulate, "forward passes of an iteration", Effect::kTraining,
           kPositiveCount);
  list.add("fresh-samples", t.fresh_samples, "IVON: a sample of the weights for each forward pass",
           Effect::kTraining);
  list.add("warmup", t.warmup, "share of the iterations with a rising learning rate",
           Effect::kTraining, kShareOfAll);
  list.add("linear", t.linear, "the learning rate falls in a line and not as a cosine",
           Effect::kTraining);
  list.add("final-factor", t.final_factor, "learning rate at the end, as a multiple of the highest",
           Effect::kTraining, kShareOfAll);
  list.add("gradient-clip", t.gradient_clip, "bound on the gradient's norm; 0 = none",
           Effect::kTraining, kNotNegativeReal);
  list.add("evaluate-every", t.evaluate_every, "iterations between evaluations", Effect::kTraining,
           kPositiveCount);
  list.add("measured", t.measured, "pieces of text scored at these times; 0 = none", Effect::kOther,
           kNotNegativeCount);
  list.add("scored", t.scored, "pieces of text scored at the end; 0 = all", Effect::kOther,
           kNotNegativeCount);
  list.add("checkpoint-seconds", t.checkpoint_seconds, "time between checkpoints", Effect::kOther,
           kNotNegativeReal);
}

void add_choice_of_tokens(examples::Settings& list, GenerationSettings& s) {
  list.add("temperature", s.sampling.temperature, "0 = the most probable token", Effect::kOther,
           kNotNegativeReal);
  list.add("top-k", s.sampling.top_k, "draw among the k most probable tokens; 0 = all",
           Effect::kOther, kNotNegativeCount);
  list.add("top-p", s.sampling.top_p,
           "draw among the fewest tokens that have this probability together; 1 = all",
           Effect::kOther, kPositiveShare);
}

}  // namespace

Settings::Settings() {
  common.samples = 16;
  generate.prompt = "\n";
  model.layers = 4;
  model.heads = 4;
  model.width = 128;
  model.context = 64;
}

void add_prepare_settings(examples::Settings& list, Settings& s) {
  add_text(list, s.text);
  add_tokenizer(list, s.text);
  add_validation(list, s.text);
  list.add("format", s.text.format, "of the token files: nanogpt or llmc", Effect::kOther,
           CLI::IsMember({"nanogpt", "llmc"}));
}

void add_tokenize_settings(examples::Settings& list, Settings& s) {
  list.add("vocabulary", s.text.vocabulary,
           "folder with vocab.json and merges.txt, or another vocabulary; must be given",
           Effect::kOther);
  list.add("lines", s.lines, "print the ids of each line on a line of its own", Effect::kOther);
}

void add_training_settings(examples::Settings& list, Settings& s) {
  list.add("data", s.training.data,
           "folder that prepare has written; empty = the text is prepared in --out",
           Effect::kOther);
  add_text(list, s.text);
  add_tokenizer(list, s.text);
  add_validation(list, s.text);
  add_model(list, s);
  add_steps(list, s);
  list.add("preview", s.training.preview, "tokens of generated text printed at the end",
           Effect::kOther, kNotNegativeCount);
  add_choice_of_tokens(list, s.generate.generation);
  examples::add_optimizer_choice(list, s.optimizer);
}

void add_finetuning_settings(examples::Settings& list, Settings& s) {
  add_trained(list, s);
  FinetuneSettings& f = s.finetune;
  list.add("questions", f.questions,
           "JSONL: {\"text\", \"choices\", \"answer\"} or {\"text\", \"label\"} a line; empty = "
           "the next token of --text",
           Effect::kTraining);
  list.add("test-questions", f.test_questions, "JSONL to test on", Effect::kOther);
  list.add("data", s.training.data,
           "folder that prepare has written with the model's vocabulary; empty = the text is "
           "prepared in --out",
           Effect::kOther);
  add_text(list, s.text);
  add_validation(list, s.text);
  list.add("rank", f.rank, "of the adapters (LoRA); 0 = all weights are trained", Effect::kTraining,
           kNotNegativeCount);
  list.add("alpha", f.alpha, "adapters are multiplied by alpha / rank", Effect::kTraining,
           kNotNegativeReal);
  list.add("per-token", f.choice.per_token,
           "divide the log probability of a choice by its number of tokens", Effect::kTraining);
  list.add("next-token", f.choice.next_token,
           "questions: weight of the loss of the next token, which is added", Effect::kTraining,
           kNotNegativeReal);
  list.add("tau", f.tau, "factor of the posterior's precision at test time; above 1 = less noise",
           Effect::kOther, kPositiveReal);
  list.add("prune", f.prune, "share of the trained weights, the least certain, set to 0 in a test",
           Effect::kOther, kShareOfAll);
  add_steps(list, s);
  examples::add_optimizer_choice(list, s.optimizer);
}

void add_generation_settings(examples::Settings& list, Settings& s) {
  GenerateSettings& g = s.generate;
  add_trained(list, s);
  list.add("prompt", g.prompt,
           "text to continue; the default begins a line, and an empty one a document",
           Effect::kOther);
  list.add("tokens", g.generation.max_tokens, "to generate, at most", Effect::kOther,
           kPositiveCount);
  add_choice_of_tokens(list, g.generation);
  list.add("stop", g.generation.stop, "text before which generation ends", Effect::kOther);
  list.add("from", g.from, "mean = posterior mean, sample = one sample, average = of --samples",
           Effect::kOther, CLI::IsMember({"mean", "sample", "average"}));
  list.add("uncertainty", g.uncertainty,
           "colours tokens by entropy and marks those about which the samples disagree; JSON lines "
           "where the output is no terminal",
           Effect::kOther);
  list.add(
      "candidates", g.candidates,
      "texts of each sample of the weights, of which the one most like the others is printed; 0 = "
      "no choice",
      Effect::kOther, kNotNegativeCount);
  list.add("abstain", g.abstain,
           "print nothing if that text is less like the others than this, a chrF of 0 to 100",
           Effect::kOther, CLI::Range(0.0, 100.0));
}

void add_perplexity_settings(examples::Settings& list, Settings& s) {
  add_trained(list, s);
  add_text(list, s.text);
  list.add("stride", s.stride, "tokens from one window to the next; 0 = half the context",
           Effect::kOther, kNotNegativeCount);
  list.add("json", s.json, "file for a line with each token and its log probability",
           Effect::kOther);
}

void add_question_settings(examples::Settings& list, Settings& s) {
  MadeQuestionSettings& q = s.questions;
  add_text(list, s.text);
  list.add("train", q.train, "questions from the first 90 % of the text", Effect::kOther,
           kNotNegativeCount);
  list.add("test", q.test, "questions from the rest", Effect::kOther, kNotNegativeCount);
  list.add("passage-words", q.passage_words, "words of a question", Effect::kOther, kPositiveCount);
  list.add("choice-words", q.choice_words, "words of a choice", Effect::kOther, kPositiveCount);
  list.add("choices", q.choices, "of each question", Effect::kOther,
           CLI::Range(int64_t{2}, int64_t{1000}));
}

void add_export_settings(examples::Settings& list, Settings& s) {
  add_trained(list, s);
  list.add("sample", s.export_sample, "write a sample of the posterior instead of its mean",
           Effect::kOther);
}

void check_training_settings(const Settings& s) {
  const TrainingSettings& t = s.training;
  const auto need = [](bool holds, const std::string& message) {
    if (!holds) throw std::invalid_argument(message);
  };
  const int64_t part = std::min(t.evaluate_every, t.iterations);
  need(t.iterations % part == 0,
       fmt::format("--iterations must be a multiple of --evaluate-every, but {} is none of {}; "
                   "give {}",
                   t.iterations, part, (t.iterations / part + 1) * part));
  need(!t.fresh_samples || s.optimizer.name == "ivon" || s.optimizer.name == "ivon-paper",
       "--fresh-samples is for IVON, but the optimizer is " + s.optimizer.name +
           "; add --no-fresh-samples");
  need(!t.fresh_samples || !s.optimizer.sample_on_step,
       "--fresh-samples draws samples itself and cannot be used with --sample-on-step; add "
       "--no-sample-on-step");
  const FinetuneSettings& f = s.finetune;
  need(f.test_questions.empty() == f.questions.empty(),
       "--questions and --test-questions must be given together, but one of the two is missing");
  const bool for_questions = f.prune > 0 || f.choice.per_token || f.choice.next_token > 0;
  need(!f.questions.empty() || !for_questions,
       "--prune, --per-token and --next-token are for --questions, which is not given; leave them "
       "out");
}

void make_short(Settings& s) {
  s.model.layers = 1;
  s.model.heads = 2;
  s.model.width = 16;
  s.model.context = 16;
  s.text.vocabulary_size = 300;
  s.training.iterations = 4;
  s.training.evaluate_every = 2;
  s.training.batch = 2;
  s.training.measured = 4;
  s.training.scored = 8;
  s.training.preview = 8;
  s.questions.train = 20;
  s.questions.test = 10;
  s.generate.generation.max_tokens = 8;
  s.common.samples = 2;
}

}  // namespace gpt2
