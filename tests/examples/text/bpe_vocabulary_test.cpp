// SPDX-License-Identifier: Apache-2.0
// The two files of a vocabulary of byte-pair encoding: writing, reading, every error.
#include "common/text/bpe_vocabulary.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>

#include "bpe_small.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "small.hpp"

namespace {

using bpe_small::small_vocabulary;

// The two files of small_vocabulary() in a folder of this process, to be changed.
class BpeFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / ("bpe-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    examples::write_bpe_vocabulary(small_vocabulary(), folder_);
    vocab_ = content("vocab.json");
    merges_ = content("merges.txt");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::remove(folder_ / name);  // some file systems flush a file that is written over
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  examples::BpeVocabulary read() const {
    return examples::read_bpe_vocabulary(folder_ / "vocab.json", folder_ / "merges.txt");
  }
  // The message after the name of the file, with this text in place of `from`.
  std::string vocab_error(const std::string& from, const std::string& to) {
    return error_with("vocab.json", vocab_, from, to);
  }
  std::string merges_error(const std::string& from, const std::string& to) {
    return error_with("merges.txt", merges_, from, to);
  }

  std::filesystem::path folder_;
  std::string vocab_, merges_;

 private:
  std::string error_with(const std::string& name, std::string text, const std::string& from,
                         const std::string& to) {
    EXPECT_NE(text.find(from), std::string::npos) << from;
    put(name, text.replace(text.find(from), from.size(), to));
    const std::string error = examples_test::error_of([&] { read(); });
    const std::string start = (folder_ / name).string() + ": ";
    EXPECT_EQ(error.rfind(start, 0), 0U) << error;
    return error.substr(std::min(start.size(), error.size()));
  }
};

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST_F(BpeFiles, GiveBackTheVocabulary) {
  const examples::BpeVocabulary vocabulary = read();
  EXPECT_EQ(vocabulary.tokens, small_vocabulary().tokens);
  EXPECT_EQ(vocabulary.merges, small_vocabulary().merges);
  EXPECT_EQ(vocabulary.end_of_text, small_vocabulary().end_of_text);
}

TEST_F(BpeFiles, HaveGpt2sCharacters) {
  expect_contains(vocab_, "\"\xC4\xA0low\": 260");  // U+0120 for the space
  expect_contains(vocab_, "\"\xC4\x8A\": 10");      // U+010A for the end of a line
  EXPECT_EQ(merges_, "#version: 0.2\nl o\nlo w\ne r\n\xC4\xA0 low\n");
}

TEST_F(BpeFiles, LinesMayEndAsOnWindows) {
  put("merges.txt", "#version: 0.2\r\nl o\r\nlo w\r\n");
  EXPECT_EQ(read().merges.size(), 2U);
}

TEST_F(BpeFiles, ErrorsOfVocab) {
  EXPECT_EQ(
      vocab_error("\"low\": 258", "\"low\": 257"),
      "each id must be given once, but the tokens \"lo\" and \"low\" have the id 257; restore "
      "the file");
  expect_contains(vocab_error("\"low\": 258", "\"low\": 300"),
                  "must be the numbers 0 to 261, but the token \"low\" has the id 300");
  expect_contains(vocab_error("\"low\": 258", "\"low\": 18446744073709551615"),
                  "\"low\" has the id");
  expect_contains(vocab_error("\"low\": 258", "\"low\": -1"), "\"low\" has the id -1");
  EXPECT_EQ(vocab_error("\"low\": 258", "\"low\": 2.5"),
            "the id of the token \"low\" must be an integer; restore the file");
  expect_contains(vocab_error("\"low\": 258", "\"low\": [258]"), "must be an integer");
  expect_contains(vocab_error("\"low\"", "\"lo\""), "\"lo\" is given twice");
  expect_contains(vocab_error("\"low\"", "\"l w\""), "\"l w\" has a character that stands for no");
  expect_contains(vocab_error("\"low\"", "\"\""), "a token must have a byte or more");
  expect_contains(vocab_error("\"A\"", "\"AA\""), "the byte 0x41 is none");
  expect_contains(vocab_error("\"low\": 258", "\"low\" 258"), "is no well-formed JSON (");
  expect_contains(vocab_error(vocab_, "[1, 2]"), "must be a JSON object from tokens to ids");
  expect_contains(vocab_error(vocab_, ""), "is no well-formed JSON (");
}

TEST_F(BpeFiles, ErrorsOfMerges) {
  EXPECT_EQ(merges_error("lo w", "lo q"),
            "line 3: the two tokens put together must be a token of the vocabulary; restore both "
            "files of the vocabulary");
  expect_contains(merges_error("lo w", "loq w"), "line 3: the vocabulary has no token \"loq\"");
  expect_contains(merges_error("lo w", "low"), "line 3: must be two tokens with a space between");
  expect_contains(merges_error("lo w", "lo w w"), "line 3: the vocabulary has no token \"w w\"");
  expect_contains(merges_error("lo w", "l o"), "line 3: each merge must be given once");
  expect_contains(merges_error("lo w", ""), "line 3: must be two tokens");
  expect_contains(merges_error("#version: 0.2\n", ""), "line 1: must begin with #version");
  expect_contains(merges_error(merges_, ""), "is empty");
}

TEST_F(BpeFiles, MissingFileIsNamed) {
  std::filesystem::remove(folder_ / "merges.txt");
  EXPECT_EQ(examples_test::error_of([&] { read(); }),
            (folder_ / "merges.txt").string() +
                ": cannot be opened: No such file or directory; check that it exists and is "
                "readable");
}

TEST_F(BpeFiles, DamagedOnesGiveErrorsOrWork) {
  std::mt19937 random(5);
  int errors = 0;
  for (int i = 0; i < 10000; ++i) {
    const bool change_vocab = i % 2 == 0;
    std::string text = change_vocab ? vocab_ : merges_;
    for (size_t changes = 1 + random() % 2; changes > 0 && !text.empty(); --changes) {
      const size_t place = random() % text.size();
      const char mark = "{}[]\",:09 \n"[random() % 11];
      const char byte = random() % 2 == 0 ? mark : static_cast<char>(random() % 256);
      if (random() % 3 == 0) {
        text.erase(place, 1 + random() % 9);
      } else if (random() % 2 == 0) {
        text.insert(place, 1, byte);
      } else {
        text[place] = byte;
      }
    }
    if (random() % 20 == 0) text.resize(random() % (text.size() + 1));
    put(change_vocab ? "vocab.json" : "merges.txt", text);
    try {
      const examples::BpeTokenizer tokenizer(read());
      std::vector<examples::TokenId> ids;
      tokenizer.encode("low lower", ids);
      EXPECT_EQ(tokenizer.decode(ids), "low lower");
    } catch (const std::runtime_error&) {
      ++errors;
    }
    put(change_vocab ? "vocab.json" : "merges.txt", change_vocab ? vocab_ : merges_);
  }
  EXPECT_GT(errors, 5000);
  EXPECT_LT(errors, 10000);
}

}  // namespace
