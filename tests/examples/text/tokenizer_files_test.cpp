// SPDX-License-Identifier: Apache-2.0
// examples/common/text/open_tokenizer.hpp and vocabulary_files.hpp: which vocabulary of a folder is
// opened, and what is said where one is missing, too large or no file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bpe_small.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/character_tokenizer.hpp"
#include "common/text/open_tokenizer.hpp"
#include "common/text/vocabulary_files.hpp"
#include "small.hpp"

namespace {

using examples::BpeTokenizer;
using examples::CharacterTokenizer;
using examples::open_tokenizer;
using examples_test::error_of;
using examples_test::Folder;
using testing::HasSubstr;

std::string opening_error(const Folder& folder) {
  const std::string message = error_of([&] { open_tokenizer(folder.path); });
  EXPECT_THAT(message, HasSubstr(folder.path.string()));
  return message;
}

void put_file(const Folder& folder, const char* name) { std::ofstream(folder.path / name) << "{}"; }

TEST(TokenizerFiles, TheLastVocabularyThatWasSavedIsOpened) {
  const Folder folder("saved_twice");
  const BpeTokenizer pairs(bpe_small::small_vocabulary());
  const CharacterTokenizer characters("abc");
  for (const char* name : {"encoder.json", "vocab.bpe", "config.json"}) put_file(folder, name);
  for (int i = 0; i < 2; ++i) {
    pairs.save(folder.path);
    EXPECT_EQ(open_tokenizer(folder.path)->size(), 262);
    EXPECT_FALSE(std::filesystem::exists(folder.path / "encoder.json"));
    characters.save(folder.path);
    EXPECT_EQ(open_tokenizer(folder.path)->size(), 3);
  }
  EXPECT_TRUE(std::filesystem::exists(folder.path / "config.json"));
}

TEST(TokenizerFiles, AFileThatCannotBeRemovedIsNamed) {
  const Folder folder("not_removed");
  std::filesystem::create_directories(folder.path / "vocab.json" / "full");
  EXPECT_THAT(error_of([&] { CharacterTokenizer("a").save(folder.path); }),
              HasSubstr((folder.path / "vocab.json").string() + ": is of another vocabulary"));
}

TEST(TokenizerFiles, TheMissingHalfIsNamed) {
  const char* const halves[][2] = {{"vocab.json", "merges.txt"},
                                   {"merges.txt", "vocab.json"},
                                   {"encoder.json", "vocab.bpe"},
                                   {"vocab.bpe", "encoder.json"}};
  for (const auto& [given, missing] : halves) {
    const Folder folder("half");
    put_file(folder, given);
    EXPECT_THAT(opening_error(folder), HasSubstr(std::string("but ") + missing + " is missing"));
  }
}

TEST(TokenizerFiles, TokenizerJsonIsNotRead) {
  const Folder folder("other");
  EXPECT_THAT(opening_error(folder),
              HasSubstr("but has none; it needs vocab.json with merges.txt"));
  put_file(folder, "tokenizer.json");
  EXPECT_THAT(opening_error(folder), HasSubstr("only tokenizer.json, which is not read; it needs"));
}

TEST(TokenizerFiles, NamedPipesAndLargeFilesAreRefused) {
  for (const char* name : {"vocab.json", "characters.json"}) {
    const Folder folder("no_file");
    put_file(folder, "merges.txt");
    ASSERT_EQ(mkfifo((folder.path / name).c_str(), 0600), 0);
    EXPECT_THAT(error_of([&] {  // a thread that waits for a writer would never return
                  if (name[0] == 'c') CharacterTokenizer::read(folder.path / name);
                  open_tokenizer(folder.path);
                }),
                HasSubstr("must be an ordinary file"));
    std::filesystem::remove(folder.path / name);
    put_file(folder, name);
    std::filesystem::resize_file(folder.path / name, examples::kMaxVocabularyBytes + 1);
    EXPECT_THAT(error_of([&] { examples::map_vocabulary(folder.path / name); }),
                HasSubstr("at most 16777216 bytes, but has 16777217"));
    std::filesystem::resize_file(folder.path / name, examples::kMaxVocabularyBytes);
    EXPECT_EQ(examples::map_vocabulary(folder.path / name).size(), examples::kMaxVocabularyBytes);
  }
}

TEST(TokenizerFiles, DeepNestingIsRefused) {
  const std::string nested = std::string(100000, '[') + std::string(100000, ']');
  const Folder folder("nested");
  std::ofstream(folder.path / "characters.json") << "{\"characters\":[" << nested << "]}";
  EXPECT_THAT(opening_error(folder), HasSubstr("but entry 0 is a list;"));
  put_file(folder, "merges.txt");
  std::ofstream(folder.path / "vocab.json") << "{\"a\":" << nested << "}";
  EXPECT_THAT(opening_error(folder), HasSubstr("\"a\" must be an integer"));
}

TEST(TokenizerFiles, MessagesAreShort) {
  const Folder folder("long");
  const std::string text(100000, 'a');
  for (const std::string& content : {"[\"" + text + "\"]", "[\"" + text, "[" + text}) {
    std::ofstream(folder.path / "characters.json") << "{\"characters\":" << content << "}";
    EXPECT_LT(opening_error(folder).size(), 600U);
  }
  put_file(folder, "merges.txt");
  for (const std::string& content : {"\"" + text + "\":[]", "\"" + text + "\":-1", "\"" + text}) {
    std::ofstream(folder.path / "vocab.json") << "{" << content << "}";
    EXPECT_LT(opening_error(folder).size(), 600U);
  }
}

TEST(TokenizerFiles, ParallelEncodingNamesThePlaceInTheWholeText) {
  const CharacterTokenizer characters("ab ");
  std::string text;
  while (text.size() < 400000) text += "ab ";
  text[300000] = 'x';
  for (const int threads : {1, 3}) {
    EXPECT_THAT(error_of([&] { examples::encode_in_parallel(characters, text, threads); }),
                HasSubstr("at byte 300000 is not"));
  }
}

}  // namespace
