// SPDX-License-Identifier: Apache-2.0
// examples/common/data/token_file.hpp and memory_map.hpp: what is written is read, and files that
// are no token files are refused by name.
#include "common/data/token_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <utility>

#include "small.hpp"

namespace {

using examples::MemoryMap;
using examples::TokenFile;
using examples::TokenFormat;
using examples::TokenId;
using examples::write_token_file;
using examples_test::error_of;
using testing::HasSubstr;

class TokenFileTest : public testing::Test {
 protected:
  TokenFileTest() : folder("token_file"), file(folder.path / "train.bin") {}

  // Some file systems flush a file that is written over, which takes milliseconds; a new one is
  // not.
  void put(const std::string& bytes) {
    std::filesystem::remove(file);
    std::ofstream(file, std::ios::binary) << bytes;
  }

  std::string bytes() const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // Puts a number into the header of llm.c's format.
  void change_header(size_t index, int32_t value) {
    std::string changed = bytes();
    std::memcpy(&changed[4 * index], &value, sizeof value);
    put(changed);
  }

  std::vector<TokenId> ids() const {
    const TokenFile tokens(file);
    return {tokens.ids(), tokens.ids() + tokens.size()};
  }

  // The error of opening the file, which must begin with the file's name.
  std::string error() const {
    const std::string message = error_of([&] { TokenFile{file}; });
    EXPECT_EQ(message.rfind(file.string() + ": ", 0), 0U) << message;
    return message;
  }

  examples_test::Folder folder;
  std::filesystem::path file;
};

TEST_F(TokenFileTest, NanoGptFormatIsTheIdsAlone) {
  write_token_file(file, {1, 258, 65535});
  EXPECT_EQ(bytes(), std::string("\x01\x00\x02\x01\xFF\xFF", 6));
  EXPECT_EQ(ids(), (std::vector<TokenId>{1, 258, 65535}));
}

TEST_F(TokenFileTest, LlmCFormatHasItsHeader) {
  write_token_file(file, {7, 50256}, TokenFormat::kLlmC);
  ASSERT_EQ(bytes().size(), 1024U + 4U);
  EXPECT_EQ(bytes().substr(0, 16), std::string("\x88\xD8\x34\x01\x01\0\0\0\x02\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes().substr(1024), std::string("\x07\x00\x50\xC4", 4));
  EXPECT_EQ(ids(), (std::vector<TokenId>{7, 50256}));
}

TEST_F(TokenFileTest, ManyIdsComeBackInBothFormats) {
  std::vector<TokenId> many(200001);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<TokenId>(i * 40503 % 65536);
  for (const TokenFormat format : {TokenFormat::kNanoGpt, TokenFormat::kLlmC}) {
    write_token_file(file, many, format);
    EXPECT_EQ(ids(), many);
  }
}

TEST_F(TokenFileTest, MovedFileKeepsItsIds) {
  write_token_file(file, {5, 6});
  TokenFile first(file);
  const TokenFile second(std::move(first));
  EXPECT_EQ(second.ids()[1], 6);
  EXPECT_EQ(second.file(), file);
}

TEST_F(TokenFileTest, RefusesMissingFolderPipeEmptyAndOdd) {
  EXPECT_THAT(error(), HasSubstr("No such file"));
  put("");
  EXPECT_THAT(error(), HasSubstr("at least one token"));
  put("abc");
  EXPECT_THAT(error(), HasSubstr("even number of bytes, two for each token, but has 3"));
  EXPECT_THAT(error_of([&] { TokenFile{folder.path}; }), HasSubstr("ordinary file"));
  const std::filesystem::path pipe = folder.path / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { TokenFile{pipe}; }), HasSubstr("ordinary file"));
}

TEST_F(TokenFileTest, RefusesWrongHeadersOfLlmC) {
  write_token_file(file, {7, 8, 9}, TokenFormat::kLlmC);
  change_header(1, 2);
  EXPECT_THAT(error(), HasSubstr("must have version 1 of llm.c's token files, but has version 2"));
  change_header(1, 1);
  change_header(2, 4);
  EXPECT_THAT(error(), HasSubstr("as many tokens as its header says, 4, but has 3"));
  change_header(2, -3);
  EXPECT_THAT(error(), HasSubstr("its header says, -3, but has 3"));
  put(bytes().substr(0, 1022));
  EXPECT_THAT(error(), HasSubstr("1024 bytes, but has 1022"));
}

TEST_F(TokenFileTest, RefusesLlmCFileWithoutTokens) {
  write_token_file(file, {}, TokenFormat::kLlmC);
  EXPECT_THAT(error(), HasSubstr("at least one token"));
}

TEST_F(TokenFileTest, ChecksIdsAgainstTheVocabulary) {
  write_token_file(file, {3, 299, 300, 400});
  const TokenFile tokens(file);
  EXPECT_NO_THROW(tokens.check_ids(401));
  EXPECT_THAT(error_of([&] { tokens.check_ids(300); }),
              HasSubstr("train.bin: must have ids below 300, the size of the vocabulary, but has "
                        "id 300 at position 2"));
}

TEST_F(TokenFileTest, WritesNothingForIdsOutOfRange) {
  write_token_file(file, {1});
  EXPECT_THROW(write_token_file(file, {2, -1}), std::invalid_argument);
  EXPECT_THROW(write_token_file(file, {2, 65536}), std::invalid_argument);
  EXPECT_THAT(error_of([&] {
                write_token_file(file, {2, 65536});
              }),
              HasSubstr("0 to 65535, but id 65536 at position 1"));
  EXPECT_EQ(ids(), (std::vector<TokenId>{1}));
}

TEST_F(TokenFileTest, DoesNotWriteIdsThatLookLikeTheHeaderOfLlmC) {
  EXPECT_THROW(write_token_file(file, {55432, 308, 1}), std::invalid_argument);
  write_token_file(file, {55432, 308, 1}, TokenFormat::kLlmC);
  EXPECT_EQ(ids(), (std::vector<TokenId>{55432, 308, 1}));
  write_token_file(file, {55432, 309});
  EXPECT_EQ(ids(), (std::vector<TokenId>{55432, 309}));
}

TEST_F(TokenFileTest, NamesTheFileThatCannotBeWritten) {
  const std::filesystem::path missing = folder.path / "none" / "a.bin";
  EXPECT_THAT(error_of([&] { write_token_file(missing, {1}); }), HasSubstr(missing.string()));
}

TEST_F(TokenFileTest, DamagedFilesAreReadOrRefused) {
  write_token_file(file, {7, 8, 9}, TokenFormat::kLlmC);
  const std::string whole = bytes();
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = whole;
    const size_t place = random() % (i % 2 == 0 ? 16 : damaged.size());
    damaged[place] = static_cast<char>(random());
    if (i % 3 == 0) damaged.resize(random() % (damaged.size() + 1));
    put(damaged);
    const std::string message = error_of([&] { TokenFile(file).check_ids(65536); });
    if (!message.empty()) ++refused;
    EXPECT_TRUE(message.empty() || message.rfind(file.string(), 0) == 0) << message;
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 2900);
}

TEST_F(TokenFileTest, MemoryMapHasTheBytesAndMoves) {
  put("hello");
  MemoryMap map(file);
  ASSERT_EQ(map.size(), 5);
  EXPECT_EQ(std::memcmp(map.data(), "hello", 5), 0);
  MemoryMap moved(std::move(map));
  put("");
  MemoryMap empty(file);
  EXPECT_EQ(empty.size(), 0);
  empty = std::move(moved);
  EXPECT_EQ(empty.size(), 5);
  EXPECT_EQ(empty.file(), file);
}

}  // namespace
