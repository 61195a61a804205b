// SPDX-License-Identifier: Apache-2.0
#include "candidates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "common/text/unicode_classes.hpp"
#include "utf8_stream.hpp"

namespace gpt2 {
namespace {

constexpr size_t kChrfOrders = 6;
constexpr double kChrfBetaSquared = 4;

// What Python's str.split() takes for white space: Unicode's and four separators of ASCII.
bool is_chrf_space(char32_t c) {
  return examples::class_of(c) == examples::CharacterClass::kSpace || (c >= 0x1C && c <= 0x1F);
}

// The characters of a text that count.
std::u32string chrf_characters(std::string_view text) {
  std::u32string characters = code_points(text);
  characters.erase(std::remove_if(characters.begin(), characters.end(), is_chrf_space),
                   characters.end());
  return characters;
}

// All n-grams of a text with n = 1, 2, ..., each order sorted. They are views of the text.
using ChrfGrams = std::array<std::vector<std::u32string_view>, kChrfOrders>;

ChrfGrams chrf_grams(std::u32string_view text) {
  ChrfGrams grams;
  for (size_t n = 1; n <= kChrfOrders; ++n) {
    for (size_t i = 0; i + n <= text.size(); ++i) grams[n - 1].push_back(text.substr(i, n));
    std::sort(grams[n - 1].begin(), grams[n - 1].end());
  }
  return grams;
}

// How many n-grams two sorted lists share, each as often as it is in both.
size_t chrf_matches(const std::vector<std::u32string_view>& a,
                    const std::vector<std::u32string_view>& b) {
  size_t count = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const int order = a[i].compare(b[j]);
    count += order == 0 ? 1 : 0;
    i += order <= 0 ? 1 : 0;
    j += order >= 0 ? 1 : 0;
  }
  return count;
}

double chrf_of(const ChrfGrams& hypothesis, const ChrfGrams& reference) {
  double precision = 0, recall = 0, orders = 0;
  for (size_t i = 0; i < kChrfOrders; ++i) {
    if (hypothesis[i].empty() || reference[i].empty()) continue;
    const auto matches = static_cast<double>(chrf_matches(hypothesis[i], reference[i]));
    precision += matches / static_cast<double>(hypothesis[i].size());
    recall += matches / static_cast<double>(reference[i].size());
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return 100 * (1 + kChrfBetaSquared) * precision * recall /
         (kChrfBetaSquared * precision + recall);
}

// The n-grams of several texts, which own the characters.
struct ChrfTexts {
  explicit ChrfTexts(const std::vector<std::string>& texts) {
    characters.reserve(texts.size());  // so that the views stay valid
    for (const std::string& text : texts) {
      grams.push_back(chrf_grams(characters.emplace_back(chrf_characters(text))));
    }
  }
  ChrfTexts(const ChrfTexts&) = delete;
  ChrfTexts& operator=(const ChrfTexts&) = delete;

  std::vector<std::u32string> characters;
  std::vector<ChrfGrams> grams;
};

void check_candidates(bool enough, const char* rule, size_t candidates, size_t references,
                      double abstain_below) {
  if (!enough) {
    throw std::invalid_argument(
        fmt::format("candidates: there must be {}, but there are {} candidates and {} references; "
                    "generate more texts",
                    rule, candidates, references));
  }
  if (!(abstain_below >= 0 && abstain_below <= 100)) {
    throw std::invalid_argument(
        fmt::format("candidates: the utility below which no text is chosen must be 0 to 100, as "
                    "chrF is, but is {}; 0 always chooses a text",
                    abstain_below));
  }
}

Choice best_candidate(std::vector<double> utilities, double abstain_below) {
  Choice choice;
  const auto best = std::max_element(utilities.begin(), utilities.end());
  choice.best = static_cast<size_t>(best - utilities.begin());
  choice.utility = *best;
  choice.abstains = choice.utility < abstain_below;
  choice.utilities = std::move(utilities);
  return choice;
}

}  // namespace

double chrf(std::string_view hypothesis, std::string_view reference) {
  const std::u32string h = chrf_characters(hypothesis), r = chrf_characters(reference);
  return chrf_of(chrf_grams(h), chrf_grams(r));
}

Choice choose(const std::vector<std::string>& candidates,
              const std::vector<std::string>& references, double abstain_below) {
  check_candidates(!candidates.empty() && !references.empty(),
                   "at least one candidate and one reference", candidates.size(), references.size(),
                   abstain_below);
  const ChrfTexts from(candidates), to(references);
  std::vector<double> utilities;
  for (const ChrfGrams& candidate : from.grams) {
    double sum = 0;
    for (const ChrfGrams& reference : to.grams) sum += chrf_of(candidate, reference);
    utilities.push_back(sum / static_cast<double>(references.size()));
  }
  return best_candidate(std::move(utilities), abstain_below);
}

Choice choose_among(const std::vector<std::string>& texts, double abstain_below) {
  check_candidates(texts.size() >= 2, "at least two texts, each a reference of the others",
                   texts.size(), texts.size(), abstain_below);
  const ChrfTexts all(texts);
  std::vector<double> utilities;
  for (size_t i = 0; i < texts.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < texts.size(); ++j) {
      if (j != i) sum += chrf_of(all.grams[i], all.grams[j]);
    }
    utilities.push_back(sum / static_cast<double>(texts.size() - 1));
  }
  return best_candidate(std::move(utilities), abstain_below);
}

}  // namespace gpt2
