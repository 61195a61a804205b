// SPDX-License-Identifier: Apache-2.0
#include "generate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "candidates.hpp"
#include "coloured_text.hpp"
#include "ensemble.hpp"
#include "utf8_stream.hpp"

namespace gpt2 {
namespace {

void check_generate(const GenerateSettings& s, const ivon::Posterior* posterior) {
  const auto need = [](bool holds, const std::string& message) {
    if (!holds) throw std::invalid_argument("generate: " + message);
  };
  need(s.from == "mean" || s.from == "sample" || s.from == "average",
       fmt::format("the weights must be from mean, sample or average, but are from '{}'; name one "
                   "of these",
                   s.from));
  need(s.from == "mean" || posterior != nullptr,
       fmt::format("weights from '{}' need a posterior, but the model has none; use the mean, or "
                   "a model trained with IVON",
                   s.from));
  need(s.samples >= 1,
       fmt::format("the number of samples must be >= 1, but is {}; give another", s.samples));
  need(s.candidates >= 0,
       fmt::format("the number of candidates must be >= 0, but is {}; 0 writes one text",
                   s.candidates));
  need(s.candidates == 0 || !s.uncertainty,
       "candidates are whole texts, so the uncertainty of tokens cannot be shown with them; leave "
       "one of the two options out");
  need(s.candidates > 0 || s.abstain == 0,
       fmt::format("the model can abstain below {} only where it has candidates to compare; set "
                   "their number",
                   s.abstain));
  need(s.abstain >= 0 && s.abstain <= 100,
       fmt::format("the utility below which the model abstains must be 0 to 100, as chrF is, but "
                   "is {}; give another",
                   s.abstain));
}

std::vector<examples::TokenId> generate_prompt_tokens(const std::string& prompt,
                                                      const examples::Tokenizer& tokenizer) {
  std::vector<examples::TokenId> ids;
  tokenizer.encode(prompt, ids);
  const auto start = tokenizer.end_of_text();
  if (ids.empty() && start) ids.push_back(*start);
  if (ids.empty()) {
    throw std::invalid_argument(
        "generate: the prompt must not be empty, because the vocabulary has no token that begins a "
        "document; give a prompt");
  }
  return ids;
}

NextProbabilities ensemble_next(Ensemble& ensemble) {
  return [&ensemble](const torch::Tensor& tokens) { return ensemble.next(tokens); };
}

Ensemble generate_ensemble(const GenerateSettings& s, examples::Gpt2& model,
                           ivon::Posterior* posterior) {
  if (posterior == nullptr) return Ensemble(model);
  if (s.from == "mean") return Ensemble::of_mean(model, *posterior);
  return {model, *posterior, s.from == "sample" ? 1 : s.samples};
}

// Writes one text as it comes.
void generate_one(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
                  const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal) {
  Ensemble ensemble = generate_ensemble(s, model, posterior);
  const TokenOutput output = !s.uncertainty ? TokenOutput::kPlain
                             : terminal     ? TokenOutput::kColoured
                                            : TokenOutput::kJson;
  const std::unique_ptr<TokenPrinter> printer = token_printer(output, out);
  const std::vector<examples::TokenId> prompt = generate_prompt_tokens(s.prompt, tokenizer);
  printer->begin(s.prompt);
  const GeneratedText text =
      generate_text(ensemble_next(ensemble), tokenizer, prompt, s.generation,
                    [&](const GeneratedToken& token) { printer->add(token); });
  printer->finish();
  fmt::print(
      stderr,
      "tokens: {}; means per token: negative log probability {:.4f} nats, mutual information "
      "{:.4f} nats; models averaged: {}\n",
      text.tokens.size(), text.negative_log_probability, text.mutual_information,
      ensemble.members());
}

// Writes candidates with one sample of the weights after the other, so that only one is in memory.
std::vector<std::string> generate_candidates(const GenerateSettings& s, examples::Gpt2& model,
                                             ivon::Posterior* posterior,
                                             const examples::Tokenizer& tokenizer) {
  const std::vector<examples::TokenId> prompt = generate_prompt_tokens(s.prompt, tokenizer);
  GenerateSettings one = s;
  if (s.from == "average") one.from = "sample";
  std::vector<std::string> texts;
  for (int64_t i = 0; i < (s.from == "average" ? s.samples : 1); ++i) {
    Ensemble ensemble = generate_ensemble(one, model, posterior);
    // Equal random numbers for two samples would make their texts more alike than they are.
    one.generation.seed =
        examples::ExampleRandom(s.generation.seed, 1, static_cast<uint64_t>(i)).next();
    for (GeneratedText& text :
         generate_texts(ensemble_next(ensemble), tokenizer, prompt, one.generation, s.candidates)) {
      texts.push_back(std::move(text.text));
    }
  }
  return texts;
}

}  // namespace

void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal) {
  check_generate(s, posterior);
  if (posterior != nullptr) posterior->manual_seed(s.generation.seed);
  if (s.candidates == 0) return generate_one(s, model, posterior, tokenizer, out, terminal);
  const std::vector<std::string> texts = generate_candidates(s, model, posterior, tokenizer);
  const Choice choice = choose_among(texts, s.abstain);
  fmt::print(stderr, "candidates: {}; the best has an expected chrF of {:.2f} with the others\n",
             texts.size(), choice.utility);
  if (choice.abstains) {
    fmt::print(stderr, "no answer: that is below {}\n", s.abstain);
    return;
  }
  out << valid_utf8(s.prompt + texts[choice.best]) << std::endl;
}

void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer) {
  generate(s, model, posterior, tokenizer, std::cout, isatty(STDOUT_FILENO) == 1);
}

}  // namespace gpt2
