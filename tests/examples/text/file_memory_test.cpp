// SPDX-License-Identifier: Apache-2.0
// The memory that reading a file needs, in proportion to the file's size, for the files that need
// the most for their size. Whatever a damaged or hostile file says, it cannot ask for more.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "bpe_small.hpp"
#include "common/data/token_file.hpp"
#include "common/models/safetensors_header.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/character_tokenizer.hpp"
#include "common/text/open_tokenizer.hpp"
#include "peak_memory.hpp"
#include "safetensors_file.hpp"
#include "small.hpp"

namespace {

using examples_test::bytes_needed_by;
using examples_test::Folder;

// The needed memory is `least` to `most` times the file's. The lower bound shows that the measuring
// has seen the reading at all.
void expect_file_memory(int64_t needed, int64_t file_bytes, double least, double most) {
  const double ratio = static_cast<double>(needed) / static_cast<double>(file_bytes);
  testing::Test::RecordProperty("bytes_for_each_byte", std::to_string(ratio));
  EXPECT_GT(ratio, least);
  EXPECT_LT(ratio, most);
}

// A header of at least `size` bytes whose entries need the most memory for their length.
std::string densest_safetensors(size_t size) {
  std::string header = "{";
  for (int i = 0; header.size() < size; ++i) {
    if (i > 0) header += ',';
    header +=
        examples_test::safetensors_entry("U8", "[0,0,0,0,0,0,0,0]", "[0,0]", std::to_string(i));
  }
  return header + "}";
}

TEST(FileMemory, OfAHeaderOfTensorsIsLessThanTwice) {
  if (!examples_test::kMeasuresMemory) GTEST_SKIP() << "a sanitizer needs memory itself";
  const std::string header = densest_safetensors(20'000'000);
  const uint64_t length = header.size();
  const std::string bytes = std::string(reinterpret_cast<const char*>(&length), 8) + header;
  const int64_t needed = bytes_needed_by([&] {
    const examples::SafetensorsHeader read("a.safetensors",
                                           reinterpret_cast<const uint8_t*>(bytes.data()),
                                           static_cast<int64_t>(bytes.size()));
    if (read.entries().size() < 200'000) std::abort();
  });
  expect_file_memory(needed, static_cast<int64_t>(bytes.size()), 0.75, 2);
}

TEST(FileMemory, OfTokensIsTheFileItself) {
  if (!examples_test::kMeasuresMemory) GTEST_SKIP() << "a sanitizer needs memory itself";
  const Folder folder("token_memory");
  const std::filesystem::path file = folder.path / "train.bin";
  std::ofstream(file, std::ios::binary) << std::string(20'000'000, '\1');
  const int64_t needed = bytes_needed_by([&] {
    const examples::TokenFile tokens(file);
    tokens.check_ids(65536);
    if (tokens.size() != 10'000'000) std::abort();
  });
  expect_file_memory(needed, 20'000'000, 0.75, 1.25);
}

int64_t vocabulary_folder_bytes(const Folder& folder) {
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path)) {
    bytes += static_cast<int64_t>(file.file_size());
  }
  return bytes;
}

// All tokens of one and two bytes with their merges, and one of three bytes, so that there are just
// too many merges for 2^17 places of a hash table. No vocabulary of so many tokens has shorter
// ones.
examples::BpeVocabulary densest_vocabulary() {
  examples::BpeVocabulary vocabulary;
  vocabulary.tokens = bpe_small::single_bytes();
  for (int left = 0; left < 256; ++left) {
    for (int right = 0; right < 256; ++right) {
      vocabulary.tokens.push_back({static_cast<char>(left), static_cast<char>(right)});
      vocabulary.merges.emplace_back(left, right);
    }
  }
  vocabulary.tokens.push_back(std::string(3, '\0'));
  vocabulary.merges.emplace_back(256, 0);
  return vocabulary;
}

// A token of two bytes has about 13 bytes in the files and its merge 5. In memory a token is a
// std::string of 32 bytes, and tokens and merges stand in several hash tables, some of which are
// needed for the checks only. The largest files that are read, of 16 MiB each, can so need 600 MB;
// GPT-2's, of 1.5 MB together, need 18 MB.
TEST(FileMemory, OfBytePairsIsLessThanThirtyTimes) {
  if (!examples_test::kMeasuresMemory) GTEST_SKIP() << "a sanitizer needs memory itself";
  const Folder folder("pair_memory");
  examples::write_bpe_vocabulary(densest_vocabulary(), folder.path);
  const int64_t needed = bytes_needed_by([&] {
    const auto tokenizer = examples::open_tokenizer(folder.path);
    if (tokenizer->size() != 256 + 65536 + 1) std::abort();
  });
  expect_file_memory(needed, vocabulary_folder_bytes(folder), 5, 30);
}

// A token that is given again is found at the end only: the 6 bytes of each take 40 bytes until
// then, and as much twice again while the list of them grows.
TEST(FileMemory, OfATokenGivenAgainIsLessThanThirtyTimes) {
  if (!examples_test::kMeasuresMemory) GTEST_SKIP() << "a sanitizer needs memory itself";
  const Folder folder("bad_pair_memory");
  std::string vocab = "{\"a\":1";
  for (int i = 0; i < (1 << 18); ++i) vocab += ",\"a\":1";
  std::ofstream(folder.path / "vocab.json") << vocab << "}";
  std::ofstream(folder.path / "merges.txt") << "#version: 0.2\n";
  const int64_t needed = bytes_needed_by([&] { examples::open_tokenizer(folder.path); });
  expect_file_memory(needed, vocabulary_folder_bytes(folder), 5, 30);
}

// The list is read by nlohmann/json, for which the 3 bytes of an empty object are a std::map of 64
// bytes with what malloc() adds, and an element of 16 bytes in a vector that grows. Good lists need
// less and have at most 65,536 characters.
TEST(FileMemory, OfCharactersIsLessThanSixtyTimes) {
  if (!examples_test::kMeasuresMemory) GTEST_SKIP() << "a sanitizer needs memory itself";
  const Folder folder("character_memory");
  std::string characters = "{\"characters\":[{}";
  for (int i = 0; i < (1 << 19); ++i) characters += ",{}";
  std::ofstream(folder.path / "characters.json") << characters << "]}";
  const int64_t needed = bytes_needed_by([&] { examples::open_tokenizer(folder.path); });
  expect_file_memory(needed, vocabulary_folder_bytes(folder), 5, 60);
}

}  // namespace
