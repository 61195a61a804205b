// SPDX-License-Identifier: Apache-2.0
// examples/gpt2/candidates.hpp: chrF against sacrebleu (golden/chrf/chrf.json), and the choice.
#include "gpt2/candidates.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

TEST(Chrf, IsSacrebleus) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/chrf/chrf.json");
  const auto pairs = nlohmann::json::parse(in)["pairs"];
  EXPECT_GT(pairs.size(), 30U);
  for (const auto& pair : pairs) {
    EXPECT_NEAR(
        gpt2::chrf(pair["hypothesis"].get<std::string>(), pair["reference"].get<std::string>()),
        pair["chrf"].get<double>(), 1e-9)
        << pair.dump();
  }
}

TEST(Chrf, CountsBytesThatAreNoTextAsReplacements) {
  EXPECT_NEAR(gpt2::chrf("a\xFF\x62", "a\xEF\xBF\xBD\x62"), 100, 1e-9);
  EXPECT_LT(gpt2::chrf("a\xFF", "ab"), 100);
}

const std::vector<std::string> kCandidateAnswers = {"it was a dog", "the cat sat",
                                                    "the cat sat down"};

TEST(Candidates, TheOneThatAgreesWithTheOthersIsChosen) {
  const gpt2::Choice choice = gpt2::choose(kCandidateAnswers, {"the cat sat", "a cat sat"}, 50);
  EXPECT_EQ(choice.best, 1U);
  EXPECT_FALSE(choice.abstains);
  ASSERT_EQ(choice.utilities.size(), 3U);
  EXPECT_EQ(choice.utility, choice.utilities[1]);
  EXPECT_NEAR(choice.utility, (100 + gpt2::chrf("the cat sat", "a cat sat")) / 2, 1e-9);
}

TEST(Candidates, ATextIsNoReferenceOfItself) {
  const gpt2::Choice choice = gpt2::choose_among(kCandidateAnswers, 0);
  const double utility = (gpt2::chrf(kCandidateAnswers[1], kCandidateAnswers[0]) +
                          gpt2::chrf(kCandidateAnswers[1], kCandidateAnswers[2])) /
                         2;
  EXPECT_NEAR(choice.utilities[1], utility, 1e-9);
  EXPECT_NE(choice.best, 0U);
}

TEST(Candidates, AbstainsBelowTheThreshold) {
  const std::vector<std::string> different = {"abc", "xyz", "123"};
  EXPECT_TRUE(gpt2::choose_among(different, 1).abstains);
  EXPECT_FALSE(gpt2::choose_among(different, 0).abstains);
  EXPECT_FALSE(gpt2::choose_among({"same", "same"}, 100).abstains);
}

TEST(Candidates, RefusesTooFewAndThresholdsOutOfRange) {
  EXPECT_THROW(gpt2::choose({}, {"a"}, 0), std::invalid_argument);
  EXPECT_THROW(gpt2::choose({"a"}, {}, 0), std::invalid_argument);
  EXPECT_THROW(gpt2::choose_among({"a"}, 0), std::invalid_argument);
  EXPECT_THROW(gpt2::choose_among({"a", "b"}, 101), std::invalid_argument);
}

}  // namespace
