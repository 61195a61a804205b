// SPDX-License-Identifier: Apache-2.0
// From the probabilities of the next token to one token, and how uncertain they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/data/example_random.hpp"
#include "common/text/tokenizer.hpp"

namespace gpt2 {

// How a token is drawn. The limits apply one after the other: first the temperature, then the
// `top_k` most probable tokens remain, then the fewest of these that reach `top_p`.
struct Sampling {
  // Probabilities become p^(1 / temperature), divided by their sum: below 1 the probable tokens
  // gain. 0: always the most probable token.
  double temperature = 1;
  int64_t top_k = 0;  // 0: all
  // The most probable tokens remain whose sum of probabilities first reaches it (nucleus sampling:
  // Holtzman et al. 2020, arXiv 1904.09751). 0 to 1, without 0; 1: all.
  double top_p = 1;
};

// Throws std::invalid_argument that names the number out of range.
void check_sampling(const Sampling& sampling);

struct WeightedToken {
  examples::TokenId token;
  double probability;
};

// The tokens that can be drawn, with probabilities whose sum is 1. With a limit, the most probable
// comes first, and of two as probable the one with the smaller id. `probabilities` [vocabulary] are
// those of the model, >= 0; their sum need not be 1. Throws std::invalid_argument if one is
// negative or not a number, or if all are 0.
std::vector<WeightedToken> tokens_to_draw(const std::vector<double>& probabilities,
                                          const Sampling& sampling);

// Draws a token with one number of `random`, or with none if the temperature is 0. The arithmetic
// is this program's own, so that a seed gives the same token everywhere, but for the last bits of
// std::exp and std::log.
examples::TokenId choose_token(const std::vector<double>& probabilities, const Sampling& sampling,
                               examples::ExampleRandom& random);

// What an ensemble says about the next token.
struct TokenPrediction {
  std::vector<double> probabilities;  // [vocabulary]: the mean of the members
  // H[mean p] in nats, where H[p] = -sum p log p: all of the uncertainty, 0 to log(vocabulary).
  double entropy = 0;
  // H[mean p] - mean H[p] in nats, 0 to log(members): the part of it on which the members disagree
  // (Houlsby et al. 2011, arXiv 1112.5745). 0 with one member.
  double mutual_information = 0;
};

// The prediction of `members` >= 1 models, whose probabilities [vocabulary] begin at `first`,
// `first + stride`, and so on. They are divided by their sum before, so that a part of a vocabulary
// may be given. Without `uncertainty`, entropy and mutual information stay 0, which saves the
// logarithms of members + 1 vocabularies, or of one for one member. Throws std::invalid_argument
// where a sum is 0 or not a number.
TokenPrediction token_prediction(const float* first, size_t members, size_t stride,
                                 size_t vocabulary, bool uncertainty = true);

}  // namespace gpt2
