// SPDX-License-Identifier: Apache-2.0
// Chooses among generated texts the one that agrees best with the others, or none of them: minimum
// Bayes risk decoding with abstention, with texts from several samples of the weights as the
// distribution of what the answer may be (arXiv 2503.05318).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

// The similarity chrF2 (Popovic 2015), 0 to 100: the F-score with beta = 2 of the means of
// precision and recall of the n-grams of characters, n = 1 to 6, without white space. Orders of
// which one text has no n-gram are left out of the means; 0 if that leaves none. It is sacrebleu's
// score of a sentence with its default settings. Bytes that are not UTF-8 count as U+FFFD.
double chrf(std::string_view hypothesis, std::string_view reference);

struct Choice {
  size_t best = 0;                // the candidate of the highest utility; the first of several
  double utility = 0;             // its expected utility, 0 to 100
  bool abstains = false;          // whether the utility is below the threshold
  std::vector<double> utilities;  // the expected utility of each candidate
};

// The utility of a candidate is the mean of chrf(candidate, reference) over the references. Throws
// std::invalid_argument if there is no candidate or no reference, or if the threshold is not 0 to
// 100.
Choice choose(const std::vector<std::string>& candidates,
              const std::vector<std::string>& references, double abstain_below);

// The same where each text is a candidate and the others are its references. Throws
// std::invalid_argument if there are fewer than two texts, or for the threshold.
Choice choose_among(const std::vector<std::string>& texts, double abstain_below);

}  // namespace gpt2
