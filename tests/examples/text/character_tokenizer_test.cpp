// SPDX-License-Identifier: Apache-2.0
// examples/common/text/character_tokenizer.hpp and utf8.hpp, and open_tokenizer.hpp for the file of
// characters.
#include "common/text/character_tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>

#include "common/text/open_tokenizer.hpp"
#include "common/text/utf8.hpp"
#include "small.hpp"

namespace {

using examples::CharacterTokenizer;
using examples::decode_utf8;
using examples::open_tokenizer;
using examples::TokenId;
using examples_test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<TokenId> character_ids(const CharacterTokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> ids;
  tokenizer.encode(text, ids);
  return ids;
}

// The error of reading a file of characters with this content.
std::string character_file_error(const std::string& content) {
  const examples_test::Folder folder("characters");
  const std::filesystem::path file = folder.path / "characters.json";
  std::ofstream(file, std::ios::binary) << content;
  const std::string message = error_of([&] { CharacterTokenizer::read(file); });
  EXPECT_TRUE(message.empty() || message.rfind(file.string() + ": ", 0) == 0) << message;
  return message;
}

TEST(Utf8, DecodesTheFirstAndLastCodePointOfEachLength) {
  const std::pair<std::string, uint32_t> cases[] = {
      {std::string(1, '\0'), 0},     {"\x7F", 0x7F},           {"\xC2\x80", 0x80},
      {"\xDF\xBF", 0x7FF},           {"\xE0\xA0\x80", 0x800},  {"\xED\x9F\xBF", 0xD7FF},
      {"\xEE\x80\x80", 0xE000},      {"\xEF\xBF\xBF", 0xFFFF}, {"\xF0\x90\x80\x80", 0x10000},
      {"\xF4\x8F\xBF\xBF", 0x10FFFF}};
  for (const auto& [bytes, expected] : cases) {
    uint32_t found = 0;
    EXPECT_EQ(decode_utf8(bytes + "x", found), static_cast<int>(bytes.size())) << expected;
    EXPECT_EQ(found, expected);
    if (bytes.size() > 1) {
      EXPECT_EQ(decode_utf8(bytes.substr(0, bytes.size() - 1), found), 0) << expected;
    }
  }
}

TEST(Utf8, RefusesMalformedBytes) {
  uint32_t found = 0;
  for (const std::string bytes :
       {"", "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "\xE2\x82\x41", "\xF0\x9F\x98\xC0"}) {
    EXPECT_EQ(decode_utf8(bytes, found), 0) << testing::PrintToString(bytes);
  }
}

TEST(CharacterTokenizer, OrdersByCodePointThenStrayBytes) {
  const CharacterTokenizer tokenizer(
      "b\xFF\xE2\x82\xAC\n\xC3\xA9"
      "a\x80"
      "b");
  ASSERT_EQ(tokenizer.size(), 7);
  EXPECT_EQ(tokenizer.decode({0, 1, 2, 3, 4, 5, 6}), "\nab\xC3\xA9\xE2\x82\xAC\x80\xFF");
  EXPECT_THAT(character_ids(tokenizer, "ba\xC3\xA9\xFF"), ElementsAre(2, 1, 3, 6));
  EXPECT_FALSE(tokenizer.end_of_text().has_value());
}

TEST(CharacterTokenizer, AnyBytesComeBack) {
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    std::string text(1 + random() % 50, '\0');
    const char* const alphabet = "ab\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xED\xA0\xC0\xFF";
    for (char& c : text) c = i % 2 == 0 ? alphabet[random() % 15] : static_cast<char>(random());
    const CharacterTokenizer tokenizer(text);
    EXPECT_EQ(tokenizer.decode(character_ids(tokenizer, text)), text);
  }
}

TEST(CharacterTokenizer, AppendsAndSurvivesMovesAndCopies) {
  CharacterTokenizer first("xyz");
  const CharacterTokenizer copy = first;
  const CharacterTokenizer moved = std::move(first);
  std::vector<TokenId> ids = {9};
  moved.encode("zx", ids);
  copy.encode("y", ids);
  EXPECT_THAT(ids, ElementsAre(9, 2, 0, 1));
  EXPECT_EQ(moved.bytes(1), "y");
}

TEST(CharacterTokenizer, NamesTheUnknownCharacter) {
  const CharacterTokenizer tokenizer("abc");
  const auto error = [&](const std::string& text) {
    return error_of([&] { character_ids(tokenizer, text); });
  };
  EXPECT_EQ(error("ab\xC3\xA9"),
            "every character of a text must be in the vocabulary, but '\xC3\xA9' (U+00E9) at byte "
            "2 is not; make the tokenizer from a text that contains it");
  EXPECT_THAT(error("a\n"), HasSubstr("but U+000A at byte 1 is not"));
  EXPECT_THAT(error("\xC3"), HasSubstr("but byte 0xC3 (not UTF-8) at byte 0 is not"));
}

TEST(CharacterTokenizer, RefusesIdsOutOfRange) {
  const CharacterTokenizer tokenizer("abc");
  EXPECT_THROW(tokenizer.bytes(-1), std::out_of_range);
  EXPECT_THROW(tokenizer.bytes(3), std::out_of_range);
  EXPECT_THAT(error_of([&] { tokenizer.decode({0, 3}); }), HasSubstr("has 3 characters"));
}

TEST(CharacterTokenizer, RefusesNoneAndTooManyCharacters) {
  EXPECT_THROW(CharacterTokenizer(""), std::invalid_argument);
  std::string text;  // the code points from U+10000 on
  for (unsigned i = 0; i < 65536; ++i) {
    text += '\xF0';
    text += static_cast<char>(0x90 + (i >> 12));
    text += static_cast<char>(0x80 + (i >> 6) % 64);
    text += static_cast<char>(0x80 + i % 64);
  }
  EXPECT_EQ(CharacterTokenizer(text).size(), 65536);
  EXPECT_THAT(error_of([&] { CharacterTokenizer(text + "a"); }), HasSubstr("65537"));
}

TEST(CharacterTokenizer, FileRoundTrip) {
  const examples_test::Folder folder("characters");
  const CharacterTokenizer tokenizer(std::string("\"\\\n\0 \xE2\x82\xAC\x85\xFE", 10));
  tokenizer.save(folder.path);
  std::ifstream in(folder.path / "characters.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}),
            "{\"characters\":[\"\\u0000\",\"\\n\",\" \",\"\\\"\",\"\\\\\",\"\xE2\x82\xAC\",133,254]"
            "}\n");
  const auto opened = open_tokenizer(folder.path);
  ASSERT_EQ(opened->size(), tokenizer.size());
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    EXPECT_EQ(opened->bytes(id), tokenizer.bytes(id));
    std::vector<TokenId> ids;
    opened->encode(tokenizer.bytes(id), ids);
    EXPECT_THAT(ids, ElementsAre(id));
  }
}

TEST(CharacterTokenizer, NamesTheFolderAndFilesThatAreMissing) {
  const examples_test::Folder folder("characters");
  EXPECT_THAT(error_of([&] { open_tokenizer(folder.path); }),
              testing::AllOf(HasSubstr(folder.path.string()), HasSubstr("merges.txt"),
                             HasSubstr("vocab.bpe"), HasSubstr("characters.json")));
  EXPECT_THAT(error_of([&] { CharacterTokenizer("a").save(folder.path / "none"); }),
              HasSubstr((folder.path / "none" / "characters.json").string()));
}

TEST(CharacterTokenizer, RefusesMalformedFiles) {
  EXPECT_EQ(character_file_error(R"({"characters": ["a", "b", 200]})"), "");
  EXPECT_THAT(character_file_error(""), HasSubstr("must be JSON"));
  EXPECT_THAT(character_file_error(R"({"characters": ["a")"), HasSubstr("must be JSON"));
  EXPECT_THAT(character_file_error("{\"characters\": [\"\xFF\"]}"), HasSubstr("must be JSON"));
  for (const char* content : {"[]", "3", R"({"characters": {}})", R"({"letters": ["a"]})",
                              R"({"characters": ["a"], "more": 1})"}) {
    EXPECT_THAT(character_file_error(content), HasSubstr("must be {\"characters\"")) << content;
  }
  EXPECT_THAT(character_file_error(R"({"characters": []})"), HasSubstr("has 0"));
}

TEST(CharacterTokenizer, RefusesEntriesThatAreNoCharactersOfTheirOwn) {
  for (const char* entry : {R"("")", R"("bc")", R"("a")", "127", "256", "-1", "200.5", "null",
                            "true", "18446744073709551615"}) {
    EXPECT_THAT(character_file_error(std::string(R"({"characters": ["a", )") + entry + "]}"),
                HasSubstr(std::string("but entry 1 is ") + entry));
  }
  EXPECT_THAT(character_file_error(R"({"characters": ["a", {}]})"), HasSubstr("is an object;"));
  EXPECT_THAT(character_file_error(R"({"characters": [200, 200]})"), HasSubstr("entry 1 is 200"));
}

TEST(CharacterTokenizer, DamagedFilesAreReadOrRefused) {
  const examples_test::Folder folder("characters");
  const std::filesystem::path file = folder.path / "characters.json";
  const std::string whole = "{\"characters\":[\"\\n\",\" \",\"a\",\"\xE2\x82\xAC\",133,254]}";
  const std::string replacements = "\"[]{}:,\\0129abu \x80\xE2\xFF";
  std::mt19937 random(3);
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] = replacements[random() % replacements.size()];
    if (i % 8 == 0) damaged.resize(random() % damaged.size());
    std::filesystem::remove(file);  // some file systems flush a file that is written over
    std::ofstream(file, std::ios::binary) << damaged;
    const std::string message = error_of([&] {
      const CharacterTokenizer tokenizer = CharacterTokenizer::read(file);
      for (TokenId id = 0; id < tokenizer.size(); ++id) {
        EXPECT_THAT(character_ids(tokenizer, std::string(tokenizer.bytes(id))), ElementsAre(id));
      }
    });
    if (!message.empty()) ++refused;
    EXPECT_TRUE(message.empty() || message.rfind(file.string(), 0) == 0) << message;
  }
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 3900);
}

}  // namespace
