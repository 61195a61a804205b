// SPDX-License-Identifier: Apache-2.0
// examples/common/text/bpe_trainer.hpp against Hugging Face's tokenizers
// (golden/tokenizer/trainer.json).
#include "common/text/bpe_trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "small.hpp"

namespace {

using examples::BpeVocabulary;
using examples::train_bpe;
using examples_test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using BpeMerges = std::vector<std::pair<examples::TokenId, examples::TokenId>>;

const nlohmann::json& trainer_golden() {
  static const nlohmann::json record = [] {
    std::ifstream in(IVON_TEST_GOLDEN_DIR "/tokenizer/trainer.json");
    return nlohmann::json::parse(in);
  }();
  return record;
}

std::string hex_of_token(const std::string& bytes) {
  std::string digits;
  for (const char c : bytes) {
    for (const int shift : {4, 0})
      digits += "0123456789abcdef"[static_cast<uint8_t>(c) >> shift & 15];
  }
  return digits;
}

TEST(BpeTrainer, EqualsHuggingFacesTokenizers) {
  const auto text = trainer_golden()["text"].get<std::string>();
  ASSERT_EQ(trainer_golden()["cases"].size(), 4U);
  for (const auto& expected : trainer_golden()["cases"]) {
    const BpeVocabulary found = train_bpe(text, expected["size"].get<int64_t>());
    std::vector<std::string> tokens;
    for (const std::string& token : found.tokens) tokens.push_back(hex_of_token(token));
    EXPECT_EQ(tokens, expected["tokens"].get<std::vector<std::string>>());
    EXPECT_EQ(found.merges, expected["merges"].get<BpeMerges>());
  }
}

TEST(BpeTrainer, BeginsWithEndOfTextAndTheBytes) {
  const BpeVocabulary found = train_bpe("a", 257);
  ASSERT_EQ(found.tokens.size(), 257U);
  EXPECT_EQ(found.end_of_text, 0);
  EXPECT_EQ(found.tokens[0], "<|endoftext|>");
  EXPECT_EQ(found.tokens[1], "!");
  EXPECT_EQ(found.tokens[94], "~");
  EXPECT_EQ(found.tokens[95], "\xA1");
  EXPECT_EQ(found.tokens[189], std::string(1, '\0'));
  EXPECT_EQ(found.tokens[256], "\xAD");
  EXPECT_TRUE(found.merges.empty());
}

TEST(BpeTrainer, MergesTheMostFrequentPairThenTheSmallerIds) {
  // "cd" occurs three times; "ab" and "ef" twice each; "gh" once.
  const BpeVocabulary found = train_bpe("ef!ab!cd!gh!cd!ab!ef!cd", 1000);
  const std::vector<std::string> merged(found.tokens.begin() + 257, found.tokens.end());
  EXPECT_THAT(merged, ElementsAre("cd", "ab", "ef"));
}

TEST(BpeTrainer, DoesNotMergeAcrossPieces) {
  const BpeVocabulary found = train_bpe("a1a1a1a1", 1000);
  EXPECT_TRUE(found.merges.empty());
}

TEST(BpeTrainer, CountsRunsFromTheLeft) {
  // The five letters become aa aa a, then aa aaa, because the pair (aa, a) has the smaller ids.
  const BpeVocabulary found = train_bpe("aaaaa!aaaaa", 1000);
  const std::vector<std::string> merged(found.tokens.begin() + 257, found.tokens.end());
  EXPECT_THAT(merged, ElementsAre("aa", "aaa", "aaaaa"));
}

TEST(BpeTrainer, ReportsItsProgress) {
  std::vector<int64_t> calls;
  train_bpe("ab!ab!cd!cd", 1000, [&](int64_t tokens) { calls.push_back(tokens); });
  EXPECT_THAT(calls, ElementsAre(258, 259));
}

TEST(BpeTrainer, RefusesSmallSizesAndNoText) {
  EXPECT_THROW(train_bpe("a", 256), std::invalid_argument);
  EXPECT_THROW(train_bpe("", 257), std::invalid_argument);
  EXPECT_THAT(error_of([] { train_bpe("a", -5); }), HasSubstr("at least 257 tokens"));
  EXPECT_THAT(error_of([] { train_bpe("a", -5); }), HasSubstr("but -5 were asked for"));
}

// Any bytes can be trained on: each merge is of two tokens before it, and no token is made twice.
TEST(BpeTrainer, TrainsOnMalformedText) {
  std::mt19937 random(4);
  for (int i = 0; i < 100; ++i) {
    std::string text(1 + random() % 400, '\0');
    for (char& c : text) c = static_cast<char>(random() % (i % 2 == 0 ? 256 : 4) + 0xBE);
    const BpeVocabulary found = train_bpe(text, 400);
    ASSERT_EQ(found.tokens.size(), 257 + found.merges.size());
    for (size_t m = 0; m < found.merges.size(); ++m) {
      const auto left = static_cast<size_t>(found.merges[m].first);
      const auto right = static_cast<size_t>(found.merges[m].second);
      ASSERT_LT(std::max(left, right), 257 + m);
      ASSERT_EQ(found.tokens[257 + m], found.tokens[left] + found.tokens[right]);
    }
    const std::set<std::string> different(found.tokens.begin(), found.tokens.end());
    EXPECT_EQ(different.size(), found.tokens.size());
  }
}

}  // namespace
