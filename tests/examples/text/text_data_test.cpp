// SPDX-License-Identifier: Apache-2.0
// From text to token files: documents, the cut between training and validation, what may lie in the
// folder.
#include "gpt2/text_data.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "small.hpp"

namespace {

using examples_test::error_of;
using examples_test::Folder;

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

std::string decoded(const gpt2::TextData& data, const examples::TokenFile& file) {
  return data.tokenizer->decode({file.ids(), file.ids() + file.size()});
}

std::string lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

gpt2::TextSettings settings_for(const std::string& text, const std::string& tokenizer) {
  gpt2::TextSettings settings;
  settings.text = text;
  settings.tokenizer = tokenizer;
  settings.vocabulary_size = 270;
  return settings;
}

TEST(TextData, IsTheTextInTwoPartsThatMeetAtALineEnd) {
  const Folder folder("text_data");
  const std::string text = lines(500);
  write_text(folder.path / "a.txt", text);
  for (const std::string tokenizer : {"bpe", "characters"}) {
    gpt2::prepare_text(settings_for((folder.path / "a.txt").string(), tokenizer),
                       folder.path / "data", 1);
    const gpt2::TextData data = gpt2::open_text_data(folder.path / "data");
    const std::string train = decoded(data, data.train);
    EXPECT_EQ(train + decoded(data, data.validation), text);
    EXPECT_EQ(train.back(), '\n');
    EXPECT_NEAR(static_cast<double>(train.size()), 0.9 * static_cast<double>(text.size()), 20);
  }
}

TEST(TextData, SeparatesTheFilesOfAFolder) {
  const Folder folder("text_files");
  write_text(folder.path / "text/b.txt", "second");
  write_text(folder.path / "text/a/c.txt", lines(100));
  write_text(folder.path / "text/notes.md", "not read");
  gpt2::prepare_text(settings_for((folder.path / "text").string(), "bpe"), folder.path / "data", 1);
  const gpt2::TextData data = gpt2::open_text_data(folder.path / "data");
  EXPECT_EQ(decoded(data, data.train) + decoded(data, data.validation),
            lines(100) + "<|endoftext|>second<|endoftext|>");
}

TEST(TextData, IsPreparedOnceForTheSameSettings) {
  const Folder folder("text_once");
  write_text(folder.path / "a.txt", lines(500));
  gpt2::TextSettings settings = settings_for((folder.path / "a.txt").string(), "bpe");
  gpt2::prepare_text_once(settings, folder.path / "data", 1);
  const auto time = std::filesystem::last_write_time(folder.path / "data/train.bin");
  gpt2::prepare_text_once(settings, folder.path / "data", 1);
  EXPECT_EQ(std::filesystem::last_write_time(folder.path / "data/train.bin"), time);
  settings.tokenizer = "characters";
  gpt2::prepare_text_once(settings, folder.path / "data", 1);
  EXPECT_LT(gpt2::open_text_data(folder.path / "data").tokenizer->size(), 30);
}

TEST(TextData, RefusesWhatDoesNotFit) {
  const Folder folder("text_errors");
  write_text(folder.path / "a.txt", lines(500));
  write_text(folder.path / "empty.txt", "");
  std::filesystem::create_directories(folder.path / "none");
  const auto prepare = [&](gpt2::TextSettings settings) {
    return error_of([&] { gpt2::prepare_text(settings, folder.path / "data", 1); });
  };
  const auto of_file = [&](const char* file, const char* tokenizer = "bpe") {
    return settings_for((folder.path / file).string(), tokenizer);
  };
  EXPECT_THAT(prepare(of_file("missing.txt")), testing::HasSubstr("missing.txt: cannot be opened"));
  EXPECT_THAT(prepare(of_file("empty.txt")), testing::EndsWith("is empty; name a file with text"));
  EXPECT_THAT(prepare(of_file("none")),
              testing::EndsWith("holds no text in files that end with .txt"));
  EXPECT_EQ(prepare(of_file("a.txt", "vocabulary")),
            "--vocabulary must name a folder with vocab.json and merges.txt for --tokenizer "
            "vocabulary, but is not given");
  gpt2::TextSettings both = of_file("a.txt", "characters");
  both.vocabulary = "elsewhere";
  EXPECT_EQ(prepare(both),
            "--tokenizer characters makes a vocabulary of its own and cannot use that of "
            "--vocabulary; leave one of the two out");
}

TEST(TextData, RefusesTokensOfAnotherVocabulary) {
  const Folder folder("text_other");
  write_text(folder.path / "a.txt", lines(500));
  for (const std::string tokenizer : {"bpe", "characters"}) {
    gpt2::prepare_text(settings_for((folder.path / "a.txt").string(), tokenizer),
                       folder.path / tokenizer, 1);
  }
  const gpt2::TextData data = gpt2::open_text_data(folder.path / "bpe");
  const gpt2::TextData other = gpt2::open_text_data(folder.path / "characters");
  gpt2::check_same_vocabulary(data, *data.tokenizer);
  EXPECT_EQ(error_of([&] { gpt2::check_same_vocabulary(data, *other.tokenizer); }),
            (folder.path / "bpe").string() +
                ": has tokens of another vocabulary than the model; prepare the text with "
                "--vocabulary and the model's folder");
}

}  // namespace
