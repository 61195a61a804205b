// SPDX-License-Identifier: Apache-2.0
#include "next_token.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gpt2 {
namespace {

// The place of the largest probability. Throws as tokens_to_draw() does.
size_t most_probable_token(const std::vector<double>& probabilities) {
  size_t best = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (!(probabilities[i] >= 0 && std::isfinite(probabilities[i]))) {
      throw std::invalid_argument(fmt::format(
          "next token: probabilities must be finite and >= 0, but that of token {} is {}; check "
          "the weights of the model for numbers that are not finite",
          i, probabilities[i]));
    }
    if (probabilities[i] > probabilities[best]) best = i;
  }
  if (probabilities.empty() || probabilities[best] <= 0) {
    throw std::invalid_argument(fmt::format(
        "next token: at least one of the {} probabilities must be > 0, but none is; check the "
        "weights of the model",
        probabilities.size()));
  }
  return best;
}

bool is_more_probable_token(const WeightedToken& a, const WeightedToken& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

void divide_by_token_sum(std::vector<WeightedToken>& tokens) {
  double sum = 0;
  for (const WeightedToken& t : tokens) sum += t.probability;
  for (WeightedToken& t : tokens) t.probability /= sum;
}

// Sorts the tokens and leaves those that both limits allow.
void keep_most_probable_tokens(std::vector<WeightedToken>& tokens, const Sampling& sampling) {
  const auto limit = static_cast<size_t>(sampling.top_k);
  if (sampling.top_k > 0 && limit < tokens.size()) {
    const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(limit);
    std::partial_sort(tokens.begin(), end, tokens.end(), is_more_probable_token);
    tokens.erase(end, tokens.end());
  } else {
    std::sort(tokens.begin(), tokens.end(), is_more_probable_token);
  }
  divide_by_token_sum(tokens);
  if (sampling.top_p >= 1) return;
  double sum = 0;
  size_t count = 0;
  while (count < tokens.size() && sum < sampling.top_p) sum += tokens[count++].probability;
  tokens.resize(count);
  divide_by_token_sum(tokens);
}

}  // namespace

void check_sampling(const Sampling& sampling) {
  if (!(sampling.temperature >= 0 && std::isfinite(sampling.temperature))) {
    throw std::invalid_argument(
        fmt::format("the temperature must be finite and >= 0, but is {}; 0 always takes the most "
                    "probable token, 1 draws from the model's probabilities",
                    sampling.temperature));
  }
  if (sampling.top_k < 0) {
    throw std::invalid_argument(
        fmt::format("top-k must be >= 0, but is {}; 0 lets all tokens be drawn", sampling.top_k));
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    throw std::invalid_argument(
        fmt::format("top-p must be above 0 and at most 1, but is {}; 1 lets all tokens be drawn",
                    sampling.top_p));
  }
}

std::vector<WeightedToken> tokens_to_draw(const std::vector<double>& probabilities,
                                          const Sampling& sampling) {
  check_sampling(sampling);
  const size_t best = most_probable_token(probabilities);
  if (sampling.temperature == 0) return {{static_cast<examples::TokenId>(best), 1}};
  std::vector<WeightedToken> tokens;
  tokens.reserve(probabilities.size());
  const double scale = std::log(probabilities[best]);
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] == 0) continue;
    // Relative to the largest, so that it is 1 there also at a low temperature.
    const double weight =
        sampling.temperature == 1
            ? probabilities[i]
            : std::exp((std::log(probabilities[i]) - scale) / sampling.temperature);
    tokens.push_back({static_cast<examples::TokenId>(i), weight});
  }
  if (sampling.top_k > 0 || sampling.top_p < 1) {
    keep_most_probable_tokens(tokens, sampling);
  } else {
    divide_by_token_sum(tokens);
  }
  return tokens;
}

examples::TokenId choose_token(const std::vector<double>& probabilities, const Sampling& sampling,
                               examples::ExampleRandom& random) {
  const std::vector<WeightedToken> tokens = tokens_to_draw(probabilities, sampling);
  if (tokens.size() == 1 && sampling.temperature == 0) return tokens.front().token;
  double left = random.uniform();
  examples::TokenId last = tokens.front().token;
  for (const WeightedToken& t : tokens) {
    if (t.probability > 0) last = t.token;
    left -= t.probability;
    if (left < 0) break;
  }
  return last;  // Rounding can leave the sum a little below the random number: then the last one.
}

std::vector<double> softmax(const std::vector<double>& logits) {
  std::vector<double> result(logits.size());
  if (logits.empty()) return result;
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    result[i] = std::exp(logits[i] - largest);
    sum += result[i];
  }
  for (double& p : result) p /= sum;
  return result;
}

double entropy(const std::vector<double>& probabilities) {
  double sum = 0;
  for (const double p : probabilities) {
    if (p > 0) sum -= p * std::log(p);
  }
  return std::max(sum, 0.0);
}

TokenPrediction token_prediction(const float* first, size_t members, size_t stride,
                                 size_t vocabulary) {
  TokenPrediction result;
  result.probabilities.resize(vocabulary);
  double members_entropy = 0;
  std::vector<double> member(vocabulary);
  for (size_t m = 0; m < members; ++m) {
    double sum = 0;
    for (size_t i = 0; i < vocabulary; ++i) sum += first[m * stride + i];
    if (!(sum > 0 && std::isfinite(sum))) {
      throw std::invalid_argument(fmt::format(
          "next token: the probabilities of a model must have a finite sum > 0, but that of member "
          "{} is {}; check its weights for numbers that are not finite",
          m, sum));
    }
    for (size_t i = 0; i < vocabulary; ++i) {
      member[i] = first[m * stride + i] / sum;
      result.probabilities[i] += member[i] / static_cast<double>(members);
    }
    members_entropy += entropy(member) / static_cast<double>(members);
  }
  result.entropy = entropy(result.probabilities);
  // Entropy is concave; only rounding can make the difference negative.
  result.mutual_information = members == 1 ? 0 : std::max(result.entropy - members_entropy, 0.0);
  return result;
}

}  // namespace gpt2
