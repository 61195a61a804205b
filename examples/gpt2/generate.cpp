// SPDX-License-Identifier: Apache-2.0
#include "generate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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

// How many times `candidates` texts are written.
int64_t generate_rounds(const GenerateSettings& s) { return s.from == "average" ? s.samples : 1; }

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
  need(s.candidates != 1 || generate_rounds(s) > 1,
       fmt::format("candidates are compared with each other, so that there must be at least 2, but "
                   "there is {}; set a larger number",
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

// Calls `use` with a function that gives the probabilities, and with the number of models averaged.
// A single sample is shown in the model meanwhile, which needs no copy of it.
template <class Use>
void with_probabilities(const GenerateSettings& s, examples::Gpt2& model,
                        ivon::Posterior* posterior, Use&& use) {
  const auto use_ensemble = [&](Ensemble ensemble) {
    use([&](const torch::Tensor& tokens) { return ensemble.next(tokens); }, ensemble.members());
  };
  if (s.from == "average") return use_ensemble(Ensemble(model, *posterior, s.samples));
  if (s.from == "mean") return use_ensemble(Ensemble(model));
  const auto sample = posterior->sampled_params(model);
  use_ensemble(Ensemble(model));
}

// Writes one text as it comes.
void generate_one(const GenerateSettings& s, const std::vector<examples::TokenId>& prompt,
                  examples::Gpt2& model, ivon::Posterior* posterior,
                  const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal) {
  const TokenOutput output = s.uncertainty ? terminal ? TokenOutput::kColoured : TokenOutput::kJson
                             : terminal    ? TokenOutput::kTerminal
                                           : TokenOutput::kPlain;
  with_probabilities(s, model, posterior, [&](const NextProbabilities& next, int64_t members) {
    GenerationSettings generation = s.generation;
    generation.uncertainty = s.uncertainty || members > 1;
    const std::unique_ptr<TokenPrinter> printer = token_printer(output, out, members > 1);
    printer->begin(s.prompt);
    const GeneratedText text =
        generate_text(next, tokenizer, prompt, generation,
                      [&](const GeneratedToken& token) { printer->add(token); });
    printer->finish();
    fmt::print(stderr, "tokens: {}; means per token: negative log probability {:.4f} nats{}\n",
               text.tokens.size(), text.negative_log_probability,
               members == 1 ? ""
                            : fmt::format(", mutual information {:.4f} nats; models averaged: {}",
                                          text.mutual_information, members));
  });
}

// Writes candidates with one sample of the weights after the other, so that only one is in memory.
std::vector<std::string> generate_candidates(const GenerateSettings& s,
                                             const std::vector<examples::TokenId>& prompt,
                                             examples::Gpt2& model, ivon::Posterior* posterior,
                                             const examples::Tokenizer& tokenizer) {
  GenerateSettings one = s;
  if (s.from == "average") one.from = "sample";
  one.generation.uncertainty = false;
  std::vector<std::string> texts;
  for (int64_t i = 0; i < generate_rounds(s); ++i) {
    // Equal random numbers for two samples would make their texts more alike than they are.
    one.generation.seed =
        examples::ExampleRandom(s.generation.seed, 1, static_cast<uint64_t>(i)).next();
    with_probabilities(one, model, posterior, [&](const NextProbabilities& next, int64_t) {
      for (GeneratedText& text :
           generate_texts(next, tokenizer, prompt, one.generation, s.candidates)) {
        texts.push_back(std::move(text.text));
      }
    });
  }
  return texts;
}

// Prints the candidate that agrees best with the others, unless the model abstains.
void generate_best(const GenerateSettings& s, const std::vector<examples::TokenId>& prompt,
                   examples::Gpt2& model, ivon::Posterior* posterior,
                   const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal) {
  const std::vector<std::string> texts =
      generate_candidates(s, prompt, model, posterior, tokenizer);
  const Choice choice = choose_among(texts, s.abstain);
  fmt::print(stderr, "candidates: {}; the best has an expected chrF of {:.2f} with the others\n",
             texts.size(), choice.utility);
  if (choice.abstains) {
    fmt::print(stderr, "no answer: that is below {}\n", s.abstain);
    return;
  }
  const std::string text = s.prompt + texts[choice.best];
  out << (terminal ? printable_text(text) : valid_utf8(text)) << std::endl;
}

}  // namespace

void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal) {
  check_generate(s, posterior);
  const std::vector<examples::TokenId> prompt = generate_prompt_tokens(s.prompt, tokenizer);
  check_generation(prompt, s.generation, std::max<int64_t>(s.candidates, 1));
  const auto context = static_cast<size_t>(model.options().context);
  if (prompt.size() > context) {
    fmt::print(stderr,
               "the prompt has {0} tokens, but the context of the model is {1}: it begins with the "
               "last {1} of them\n",
               prompt.size(), context);
  }
  if (posterior != nullptr) posterior->manual_seed(s.generation.seed);
  if (s.candidates == 0) {
    generate_one(s, prompt, model, posterior, tokenizer, out, terminal);
  } else {
    generate_best(s, prompt, model, posterior, tokenizer, out, terminal);
  }
  if (!out.flush()) {
    throw std::runtime_error(
        "generate: the text could not be written in full; check that the disk has space and that "
        "the program which reads it still runs");
  }
}

void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer) {
  generate(s, model, posterior, tokenizer, std::cout, isatty(STDOUT_FILENO) == 1);
}

}  // namespace gpt2
