// SPDX-License-Identifier: Apache-2.0
// GPT-2's tokenizer with a small vocabulary: pieces, merging, files, threads.
#include "common/text/bpe_tokenizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bpe_small.hpp"
#include "common/text/pre_tokenizer.hpp"
#include "small.hpp"

namespace {

using bpe_small::merged_slowly;
using bpe_small::random_bytes;
using bpe_small::random_vocabulary;
using bpe_small::small_vocabulary;
using examples::BpeTokenizer;
using examples::BpeVocabulary;
using examples::TokenId;

std::vector<size_t> piece_lengths(std::string_view text) {
  std::vector<size_t> lengths;
  const char* const end = text.data() + text.size();
  for (const char* piece = text.data(); piece != end;) {
    const char* const next = examples::next_piece(piece, end);
    lengths.push_back(static_cast<size_t>(next - piece));
    piece = next;
  }
  return lengths;
}

std::vector<TokenId> bpe_ids(const examples::Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  tokenizer.encode(text, ids);
  return ids;
}

// A text of the strings that matter to the pieces.
std::string mixed_text(std::mt19937& random, size_t parts) {
  static const std::vector<std::string> kParts = {"a",
                                                  "b",
                                                  " ",
                                                  "\n",
                                                  "'",
                                                  "'s",
                                                  "ll",
                                                  "1",
                                                  ".",
                                                  "\xE3\x80\x80",
                                                  "\xC2\x85",
                                                  "\xC3\xA9",
                                                  "\xE4\xB8\xAD",
                                                  "\xF0\x9F\x98\x80",
                                                  "\xFF",
                                                  "\xE3\x80",
                                                  "\x80",
                                                  "\xC2"};
  std::string text;
  for (size_t i = 0; i < parts; ++i) text += kParts[random() % kParts.size()];
  return text;
}

TEST(BpePieces, AreThoseOfTheReferences) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/tokenizer/pieces.json");
  const auto record = nlohmann::json::parse(in);
  ASSERT_GT(record["cases"].size(), 1000U);
  for (const auto& golden : record["cases"]) {
    const std::string hex = golden["text"];
    std::string text;
    for (size_t i = 0; i < hex.size(); i += 2) {
      text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    EXPECT_EQ(piece_lengths(text), golden["pieces"].get<std::vector<size_t>>()) << hex;
  }
}

TEST(BpePieces, BytesThatAreNotUtf8AreOtherCharacters) {
  EXPECT_EQ(piece_lengths("a\xFF\xFE b"), (std::vector<size_t>{1, 2, 2}));
  EXPECT_EQ(piece_lengths(" \xC3"), (std::vector<size_t>{2}));      // cut off
  EXPECT_EQ(piece_lengths("\xC0\xAF!"), (std::vector<size_t>{3}));  // longer than necessary
  EXPECT_EQ(piece_lengths("\xED\xA0\x80"
                          "a"),
            (std::vector<size_t>{3, 1}));  // a surrogate
}

TEST(BpePieces, SafeCutsKeepThem) {
  std::mt19937 random(1);
  int safe = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string text = mixed_text(random, 12);
    const std::vector<size_t> whole = piece_lengths(text);
    for (size_t place = 1; place < text.size(); ++place) {
      if (!examples::is_safe_cut(text, place)) continue;
      ++safe;
      std::vector<size_t> parts = piece_lengths(text.substr(0, place));
      for (const size_t length : piece_lengths(text.substr(place))) parts.push_back(length);
      ASSERT_EQ(parts, whole) << testing::PrintToString(text) << " at " << place;
    }
  }
  EXPECT_GT(safe, 10000);
}

TEST(BpeTokenizer, MergesInTheOrderOfTheList) {
  const BpeTokenizer tokenizer(small_vocabulary());
  EXPECT_EQ(bpe_ids(tokenizer, "low lower"), (std::vector<TokenId>{258, 260, 259}));
  EXPECT_EQ(bpe_ids(tokenizer, ""), std::vector<TokenId>{});
}

TEST(BpeTokenizer, TokenThatNoMergesMakeIsNotFound) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.emplace_back("xyz");
  const BpeTokenizer tokenizer(vocabulary);
  EXPECT_EQ(bpe_ids(tokenizer, "xyz"), (std::vector<TokenId>{'x', 'y', 'z'}));
}

TEST(BpeTokenizer, EndOfTextIsNotMadeFromText) {
  const BpeTokenizer tokenizer(small_vocabulary());
  ASSERT_EQ(tokenizer.end_of_text(), std::optional<TokenId>(261));
  const std::vector<TokenId> ids = bpe_ids(tokenizer, examples::kEndOfText);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 261), 0);
  EXPECT_EQ(tokenizer.decode(ids), examples::kEndOfText);
}

TEST(BpeTokenizer, EqualsSlowMerging) {
  std::mt19937 random(2);
  for (int i = 0; i < 30; ++i) {
    const BpeVocabulary vocabulary = random_vocabulary(random);
    const BpeTokenizer tokenizer(vocabulary);
    for (const size_t size : {1U, 2U, 7U, 15U, 16U, 63U, 64U, 65U, 66U, 200U}) {
      std::string piece;
      for (size_t j = 0; j < size; ++j) piece += "abc"[random() % 3];
      const std::vector<TokenId> expected = merged_slowly(vocabulary, piece);
      EXPECT_EQ(bpe_ids(tokenizer, piece), expected) << piece;
      EXPECT_EQ(bpe_ids(tokenizer, piece), expected) << piece << " for the second time";
    }
  }
}

TEST(BpeTokenizer, TwoOnOneThreadDoNotMix) {
  BpeVocabulary other = small_vocabulary();
  other.merges.resize(1);
  const BpeTokenizer first(small_vocabulary()), second(other);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(bpe_ids(first, "lowx"), (std::vector<TokenId>{258, 'x'}));
    EXPECT_EQ(bpe_ids(second, "lowx"), (std::vector<TokenId>{257, 'w', 'x'}));
  }
}

TEST(BpeTokenizer, GivesBackAnyBytes) {
  std::mt19937 random(3);
  const BpeTokenizer tokenizer(small_vocabulary());
  for (int i = 0; i < 300; ++i) {
    const std::string text = i % 2 == 0 ? random_bytes(random, 200) : mixed_text(random, 80);
    EXPECT_EQ(tokenizer.decode(bpe_ids(tokenizer, text)), text);
  }
}

TEST(BpeTokenizer, LongRunsTakeNoQuadraticTime) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.emplace_back("aa");
  vocabulary.merges.emplace_back('a', 'a');
  const std::string text(300001, 'a');  // hours if each merge looked at all of it
  EXPECT_EQ(bpe_ids(BpeTokenizer(vocabulary), text).size(), 150001U);
}

TEST(BpeTokenizer, ParallelEncodingIsEqual) {
  std::mt19937 random(4);
  const BpeTokenizer tokenizer(small_vocabulary());
  const std::string text = mixed_text(random, 300000);
  const std::vector<TokenId> expected = bpe_ids(tokenizer, text);
  for (const int threads : {1, 3}) {
    EXPECT_EQ(examples::encode_in_parallel(tokenizer, text, threads), expected) << threads;
  }
  EXPECT_TRUE(examples::encode_in_parallel(tokenizer, "", 2).empty());
  const std::string run(200000, 'a');  // no place to cut
  EXPECT_EQ(examples::encode_in_parallel(tokenizer, run, 2), bpe_ids(tokenizer, run));
}

TEST(BpeTokenizer, UnknownIdNamesTheSize) {
  const BpeTokenizer tokenizer(small_vocabulary());
  EXPECT_THROW(tokenizer.bytes(-1), std::out_of_range);
  EXPECT_EQ(examples_test::error_of([&] { tokenizer.bytes(262); }),
            "the ids of a vocabulary of 262 tokens are 0 to 261, but 262 was asked for; check that "
            "ids and vocabulary belong together");
}

TEST(BpeTokenizer, RejectsVocabulariesThatCannotBeRead) {
  const auto error_with = [](auto&& change) {
    BpeVocabulary vocabulary = small_vocabulary();
    change(vocabulary);
    return examples_test::error_of([&] { BpeTokenizer tokenizer(vocabulary); });
  };
  EXPECT_NE(error_with([](auto& v) { v.end_of_text.reset(); }).find("end_of_text"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& v) { v.merges[1].first = 262; }).find("merge 1: the ids of 262"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& v) { v.tokens[7] = "ab"; }).find("0x07"), std::string::npos);
  EXPECT_NE(error_with([](auto& v) { v.tokens[260] = "a"; }).find("earlier"), std::string::npos);
}

}  // namespace
