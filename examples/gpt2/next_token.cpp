// SPDX-License-Identifier: Apache-2.0
// A vocabulary has 50,257 tokens and each of them is looked at for every token that is drawn, so
// that sorting and logarithms of all of them would take longer than a small model.
#include "next_token.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace gpt2 {
namespace {

// The sum of value(0) to value(count - 1). Several sums run side by side, because each addition to
// a single one would wait for the one before.
template <class Value>
double token_sum(size_t count, const Value& value) {
  constexpr size_t kSums = 8;
  std::array<double, kSums> sums{};
  size_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (size_t j = 0; j < kSums; ++j) sums[j] += value(i + j);
  }
  for (; i < count; ++i) sums[0] += value(i);
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

// The place of the largest probability. Throws as tokens_to_draw() does.
size_t most_probable_token(const std::vector<double>& probabilities) {
  size_t best = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = probabilities[i];
    if (!(p >= 0 && p <= std::numeric_limits<double>::max())) {
      throw std::invalid_argument(fmt::format(
          "next token: probabilities must be finite and >= 0, but that of token {} is {}; check "
          "the weights of the model for numbers that are not finite",
          i, p));
    }
    if (p > probabilities[best]) best = i;
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

// The `count` >= 1 most probable tokens, in no order; those of probability 0 are left out.
std::vector<WeightedToken> most_probable_tokens(const std::vector<double>& probabilities,
                                                size_t count) {
  std::vector<WeightedToken> heap;  // the least probable first
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = probabilities[i];
    // Of two as probable the earlier one stays.
    if (p == 0 || (heap.size() == count && p <= heap.front().probability)) continue;
    if (heap.size() == count) {
      std::pop_heap(heap.begin(), heap.end(), is_more_probable_token);
      heap.pop_back();
    }
    heap.push_back({static_cast<examples::TokenId>(i), p});
    std::push_heap(heap.begin(), heap.end(), is_more_probable_token);
  }
  return heap;
}

// p^(1 / temperature), divided by that of the largest, so that it is 1 there also at a low
// temperature. Exponents and logarithms of floats are twice as fast as those of doubles, and
// precise enough for the probabilities of a model, which are floats.
double tempered_weight(double p, double largest, double temperature) {
  const auto ratio = static_cast<float>(p / largest);
  const auto exponent = static_cast<float>(double{std::log(ratio)} / temperature);
  return double{std::exp(exponent)};
}

std::vector<double> tempered_weights(const std::vector<double>& probabilities, double largest,
                                     double temperature) {
  std::vector<double> weights(probabilities);
  if (temperature == 1) return weights;
  for (double& w : weights) w = tempered_weight(w, largest, temperature);
  return weights;
}

double sum_of_weights(const std::vector<double>& weights) {
  return token_sum(weights.size(), [&](size_t i) { return weights[i]; });
}

void divide_by_token_sum(std::vector<WeightedToken>& tokens) {
  const double sum = token_sum(tokens.size(), [&](size_t i) { return tokens[i].probability; });
  for (WeightedToken& t : tokens) t.probability /= sum;
}

// A power of two such that the weights from it on have a sum of at least `wanted`, nearly the
// largest such one; 0 if there is none. It spares the sorting of the others.
double least_wanted_weight(const std::vector<double>& weights, double wanted) {
  constexpr double kRounding = 1e-9;  // more than sums in another order can differ
  constexpr int kExponentBias = 1023, kMantissaBits = 52;  // of a double
  std::array<double, 2048> sums{};                         // of the weights with the same exponent
  for (const double w : weights) {
    uint64_t bits = 0;
    std::memcpy(&bits, &w, sizeof bits);
    sums[bits >> kMantissaBits & 0x7FF] += w;
  }
  double sum = 0;
  for (int exponent = static_cast<int>(sums.size()) - 1; exponent > 0; --exponent) {
    sum += sums[static_cast<size_t>(exponent)];
    if (sum > wanted * (1 + kRounding)) return std::ldexp(1, exponent - kExponentBias);
  }
  return 0;
}

// The tokens from this weight on, without those of the weight 0.
std::vector<WeightedToken> tokens_from(double least, const std::vector<double>& weights) {
  std::vector<WeightedToken> tokens;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= least && weights[i] > 0) {
      tokens.push_back({static_cast<examples::TokenId>(i), weights[i]});
    }
  }
  return tokens;
}

// Sorts the tokens and leaves the first that reach a sum of `wanted`.
void keep_first_tokens(std::vector<WeightedToken>& tokens, double wanted) {
  std::sort(tokens.begin(), tokens.end(), is_more_probable_token);
  double sum = 0;
  size_t count = 0;
  while (count < tokens.size() && sum < wanted) sum += tokens[count++].probability;
  tokens.resize(count);
}

// The token at which the sum of probability(0) to probability(count - 1) exceeds `left`. Rounding
// can leave that sum a little below it: then the last token that can be drawn.
template <class Probability>
size_t token_at(double left, size_t count, const Probability& probability) {
  size_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const double p = probability(i);
    if (p > 0) last = i;
    left -= p;
    if (left < 0) break;
  }
  return last;
}

// -sum p log p of probability(0) to probability(count - 1), whose sum is 1. The logarithm has the
// precision of a float, as the probabilities of a model have.
template <class Probability>
double token_entropy(size_t count, const Probability& probability) {
  const double sum = token_sum(count, [&](size_t i) {
    const auto p = static_cast<float>(probability(i));
    return p > 0 ? -double{p} * double{std::log(p)} : 0.0;
  });
  return std::max(sum, 0.0);
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
  const double largest = probabilities[best], t = sampling.temperature;
  std::vector<WeightedToken> tokens;
  if (sampling.top_k > 0) {
    tokens = most_probable_tokens(probabilities, static_cast<size_t>(sampling.top_k));
    if (t != 1) {
      for (WeightedToken& token : tokens) {
        token.probability = tempered_weight(token.probability, largest, t);
      }
    }
    divide_by_token_sum(tokens);
    keep_first_tokens(tokens, sampling.top_p < 1 ? sampling.top_p : 2);  // 2: all
  } else if (sampling.top_p < 1) {
    const std::vector<double> weights = tempered_weights(probabilities, largest, t);
    const double wanted = sampling.top_p * sum_of_weights(weights);
    tokens = tokens_from(least_wanted_weight(weights, wanted), weights);
    keep_first_tokens(tokens, wanted);
  } else {
    tokens = tokens_from(0, tempered_weights(probabilities, largest, t));
  }
  divide_by_token_sum(tokens);
  return tokens;
}

examples::TokenId choose_token(const std::vector<double>& probabilities, const Sampling& sampling,
                               examples::ExampleRandom& random) {
  if (sampling.temperature > 0 && sampling.top_k == 0 && sampling.top_p == 1) {
    check_sampling(sampling);
    const double largest = probabilities[most_probable_token(probabilities)];
    const std::vector<double> weights =
        tempered_weights(probabilities, largest, sampling.temperature);
    return static_cast<examples::TokenId>(token_at(random.uniform() * sum_of_weights(weights),
                                                   weights.size(),
                                                   [&](size_t i) { return weights[i]; }));
  }
  const std::vector<WeightedToken> tokens = tokens_to_draw(probabilities, sampling);
  if (sampling.temperature == 0) return tokens.front().token;
  return tokens[token_at(random.uniform(), tokens.size(),
                         [&](size_t i) { return tokens[i].probability; })]
      .token;
}

TokenPrediction token_prediction(const float* first, size_t members, size_t stride,
                                 size_t vocabulary, bool uncertainty) {
  TokenPrediction result;
  result.probabilities.resize(vocabulary);
  double members_entropy = 0;
  for (size_t m = 0; m < members; ++m) {
    const float* const p = first + m * stride;
    const double sum = token_sum(vocabulary, [p](size_t i) { return double{p[i]}; });
    if (!(sum > 0 && std::isfinite(sum))) {
      throw std::invalid_argument(fmt::format(
          "next token: the probabilities of a model must have a finite sum > 0, but that of member "
          "{} is {}; check its weights for numbers that are not finite",
          m, sum));
    }
    const double share = 1 / (sum * static_cast<double>(members));
    for (size_t i = 0; i < vocabulary; ++i) result.probabilities[i] += p[i] * share;
    if (uncertainty && members > 1) {
      members_entropy += token_entropy(vocabulary, [p, sum](size_t i) { return p[i] / sum; }) /
                         static_cast<double>(members);
    }
  }
  if (!uncertainty) return result;
  result.entropy = token_entropy(vocabulary, [&](size_t i) { return result.probabilities[i]; });
  // Entropy is concave; only rounding can make the difference negative.
  result.mutual_information = members == 1 ? 0 : std::max(result.entropy - members_entropy, 0.0);
  return result;
}

}  // namespace gpt2
