// SPDX-License-Identifier: Apache-2.0
// The command `generate`: continues a prompt and says how certain the model is.
#pragma once

#include <cstdint>
#include <iostream>
#include <ivon/posterior/posterior.hpp>
#include <string>

#include "common/models/gpt2.hpp"
#include "common/text/tokenizer.hpp"
#include "generation.hpp"

namespace gpt2 {

struct GenerateSettings {
  GenerationSettings generation;
  // The weights: `mean`, which are the model's own (load_model() gives it those of the posterior's
  // mean), one `sample` of the posterior, or the `average` of the probabilities over `samples` of
  // them.
  std::string from = "mean";
  int64_t samples = 8;
  // Shows probability, entropy and mutual information of each token: as colours on a terminal,
  // otherwise as JSON lines (coloured_text.hpp).
  bool uncertainty = false;
  // 0: one text, printed as it comes. Otherwise that many texts are written with each sample of the
  // weights, each text with one of them (`average`: `samples` of them), and the text is printed
  // that agrees best with the others (candidates.hpp).
  int64_t candidates = 0;
  // With candidates: no text is printed if the best has a lower expected chrF, 0 to 100.
  double abstain = 0;
  std::string prompt;  // empty: the text begins where a document does
};

// Continues the prompt and prints it. `posterior` may be null if `from` is "mean". Its samples
// follow from generation.seed, and generation.uncertainty from the settings here. `terminal` says
// whether `out` is one. Lines about the text as a whole go to stderr, also where the prompt is
// longer than the context. Afterwards the model has its own weights again and is in evaluation
// mode. Before any weights are drawn it throws std::invalid_argument for settings out of range or
// that do not go together, and what Tokenizer::encode() throws for the prompt. Throws
// std::runtime_error if not all could be written to `out`.
void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer, std::ostream& out, bool terminal);

// The same on stdout.
void generate(const GenerateSettings& s, examples::Gpt2& model, ivon::Posterior* posterior,
              const examples::Tokenizer& tokenizer);

}  // namespace gpt2
