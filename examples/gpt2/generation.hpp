// SPDX-License-Identifier: Apache-2.0
// Generates text, token by token.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/text/tokenizer.hpp"
#include "next_token.hpp"
#include "stop_text.hpp"

namespace gpt2 {

struct GenerationSettings {
  int64_t max_tokens = 200;
  Sampling sampling;  // temperature, top-k and top-p
  uint64_t seed = 1;  // of the choice of tokens
  std::string stop;   // generation ends before this text; empty: no such text
  // Whether entropies and mutual information are computed. Without that they are 0, and a token of
  // a large vocabulary takes less time.
  bool uncertainty = true;
};

struct GeneratedText {
  std::vector<examples::TokenId> tokens;
  // The bytes of the tokens, as they are; of the last one perhaps only those before the stop text.
  std::string text;
  // Means over the tokens, in nats; 0 if there is none. A low negative log probability means that
  // the model finds the text likely, a high mutual information that the members disagree about it.
  // Of a token that the stop text has cut, which is the last, all of its uncertainty counts.
  double negative_log_probability = 0;
  double mutual_information = 0;
};

// tokens int64 [n, t] after those of the calls before -> probabilities of the next one, float32
// [members, n, vocabulary] on the CPU: Ensemble::next(), or a stand-in in tests.
using NextProbabilities = std::function<torch::Tensor(const torch::Tensor& tokens)>;

// Receives the tokens in their order, each as soon as it is certain which of its bytes stand before
// the stop text: all of them, or for the last token perhaps only the first ones.
using TokenCallback = std::function<void(const GeneratedToken& token)>;

// Continues a prompt. Ends after max_tokens tokens, before the stop text, or before the token
// that separates documents. Equal seeds and probabilities give equal texts. If the model has more
// tokens than the tokenizer (some round their number up), those are never drawn. `callback` may be
// empty. Throws std::invalid_argument if the prompt has no token or a setting is out of range.
GeneratedText generate_text(const NextProbabilities& next, const examples::Tokenizer& tokenizer,
                            const std::vector<examples::TokenId>& prompt,
                            const GenerationSettings& settings, const TokenCallback& callback);

// Throws std::invalid_argument if the prompt has no token, a setting is out of range, or the number
// of texts is below 1.
void check_generation(const std::vector<examples::TokenId>& prompt, const GenerationSettings& s,
                      int64_t count);

// Continues a prompt `count` >= 1 times, independently, in one batch. If the probabilities of a
// text do not depend on the size of its batch, the first text is that of generate_text(); a model's
// do, in the last bits. Throws as generate_text() does. Every step costs `count` tokens until the
// last text has ended.
std::vector<GeneratedText> generate_texts(const NextProbabilities& next,
                                          const examples::Tokenizer& tokenizer,
                                          const std::vector<examples::TokenId>& prompt,
                                          const GenerationSettings& settings, int64_t count);

}  // namespace gpt2
