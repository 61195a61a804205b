// SPDX-License-Identifier: Apache-2.0
// What examples/image_classification reports for people who look at uncertain images: the error
// rate among the rest, and the AUROC of the class where there are two.
#include "image_classification/selective.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using image_classification::error_without;
using image_classification::Predicted;
using image_classification::Result;

// Images of two classes: the probability of class 1 and the class of each.
Predicted two_class_predictions(const std::vector<double>& of_one,
                                const std::vector<int64_t>& targets, int64_t samples = 0) {
  const torch::Tensor p = torch::tensor(of_one, torch::kDouble);
  const torch::Tensor none = torch::zeros_like(p);
  return {samples, torch::stack({1 - p, p}, 1), none, none, torch::tensor(targets), none};
}

TEST(Selective, LeavesTheMostCertain) {
  // In the order of certainty: right, right, wrong, wrong.
  const Predicted p = two_class_predictions({0.6, 0.05, 0.3, 0.99}, {0, 0, 1, 1});
  EXPECT_DOUBLE_EQ(error_without(p, 0), 0.5);
  EXPECT_DOUBLE_EQ(error_without(p, 0.25), 1.0 / 3);
  EXPECT_DOUBLE_EQ(error_without(p, 0.5), 0);
  EXPECT_DOUBLE_EQ(error_without(p, 0.12), 0.5);  // rounded: no image
  EXPECT_DOUBLE_EQ(error_without(p, 0.99), 0);    // at least one is left
}

TEST(Selective, TakesTheExpectedErrorOfTies) {
  const Predicted p = two_class_predictions({0.9, 0.75, 0.25, 0.75, 0.75}, {1, 0, 0, 1, 1});
  EXPECT_DOUBLE_EQ(error_without(p, 0), 0.2);
  EXPECT_DOUBLE_EQ(error_without(p, 0.4), 2 * 0.25 / 3);  // 2 of 4 ties left, 1 of 4 is wrong
  EXPECT_DOUBLE_EQ(error_without(p, 0.8), 0);
}

TEST(Selective, RefusesSharesThatLeaveNothing) {
  const Predicted p = two_class_predictions({0.9}, {1});
  EXPECT_THROW(error_without(p, 1), std::invalid_argument);
  EXPECT_THROW(error_without(p, -0.1), std::invalid_argument);
  EXPECT_THROW(error_without(two_class_predictions({}, {}), 0), std::invalid_argument);
}

Result selective_result(const std::string& optimizer, int64_t seed, Predicted averaged) {
  Result result;
  result.optimizer = optimizer;
  result.seed = seed;
  result.evaluation.averaged = std::move(averaged);
  return result;
}

TEST(Selective, TableHasARowForEachOptimizerAndMeansOverSeeds) {
  std::vector<double> certain(20, 0.9);
  std::vector<int64_t> ones(20, 1), one_wrong = ones;
  certain[3] = 0.6;
  one_wrong[3] = 0;
  const std::string table = image_classification::refusal_table(
      {selective_result("ivon", 1, two_class_predictions(certain, one_wrong, 16)),
       selective_result("sgd", 1, two_class_predictions(certain, one_wrong)),
       selective_result("ivon", 2, two_class_predictions(certain, ones, 16))});
  std::vector<std::vector<std::string>> lines;
  std::istringstream in(table);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words),
                       std::istream_iterator<std::string>());
  }
  using Line = std::vector<std::string>;
  ASSERT_EQ(lines.size(), 4U) << table;  // header, rule, two rows
  // One of 20 images is wrong and the least certain one.
  EXPECT_EQ(lines[2], (Line{"ivon,", "16", "samples", "2.50", "±", "2.50", "0.00", "±", "0.00",
                            "0.00", "±", "0.00", "0.00", "±", "0.00", "0.00", "±", "0.00"}));
  EXPECT_EQ(lines[3], (Line{"sgd", "5.00", "0.00", "0.00", "0.00", "0.00"}));
}

TEST(Scores, HaveTheAurocOfTwoClassesOnly) {
  // Of the 4 pairs, 3 are in the right order.
  const Predicted p = two_class_predictions({0.1, 0.7, 0.6, 0.8}, {0, 0, 1, 1});
  EXPECT_DOUBLE_EQ(image_classification::score(p, nullptr).class_auroc.value(), 0.75);
  EXPECT_FALSE(image_classification::score(two_class_predictions({0.1}, {0}), nullptr).class_auroc);
  Predicted three = p;
  three.probs = torch::full({4, 3}, 1.0 / 3, torch::kDouble);
  EXPECT_FALSE(image_classification::score(three, nullptr).class_auroc);
}

}  // namespace
