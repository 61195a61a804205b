// SPDX-License-Identifier: Apache-2.0
#include "text_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/progress.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/bpe_trainer.hpp"
#include "common/text/character_tokenizer.hpp"
#include "common/text/open_tokenizer.hpp"

namespace gpt2 {
namespace {

namespace fs = std::filesystem;

std::string file_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) examples::fail_file(file, examples::kCannotBeOpened);
  return std::move(text).str();
}

std::vector<fs::path> text_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == ".txt") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The verses that Debian's program `bible` prints, without their places ("Ge1:1 ").
std::string king_james_bible() {
  std::string text;
  if (std::FILE* verses = popen("bible -f gen1:1-rev22:21 2>/dev/null", "r")) {
    char line[4096];
    while (std::fgets(line, sizeof(line), verses) != nullptr) {
      const std::string_view verse(line);
      const size_t space = verse.find(' ');
      if (space != std::string_view::npos) text += verse.substr(space + 1);
    }
    pclose(verses);
  }
  if (text.empty()) {
    throw std::runtime_error(
        "the default text is that of Debian's packages bible-kjv and bible-kjv-text, which are not "
        "installed; install them or give a text of your own with --text FILE");
  }
  return text;
}

// Where the validation text begins: after a line end, so that no character is cut.
size_t validation_start(const std::string& text, double share) {
  auto start = static_cast<size_t>(static_cast<double>(text.size()) * (1 - share));
  const size_t line_end = text.find('\n', start);
  if (line_end != std::string::npos && line_end - start < text.size() / 100) return line_end + 1;
  while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) ++start;
  return start;
}

std::vector<examples::TokenId> encoded(const examples::Tokenizer& tokenizer, std::string_view text,
                                       int threads) {
  return examples::encode_in_parallel(tokenizer, text, threads);
}

}  // namespace

std::string read_text(const std::string& path) {
  if (path.empty()) return king_james_bible();
  std::string text;
  if (fs::is_directory(path)) {
    for (const fs::path& file : text_files(path)) text += file_text(file);
    if (text.empty()) examples::fail_file(path, "holds no text in files that end with .txt");
    return text;
  }
  if (!fs::exists(path)) examples::fail_file(path, examples::kCannotBeOpened);
  if (fs::file_size(path) == 0) examples::fail_file(path, "is empty; name a file with text");
  return file_text(path);
}

std::unique_ptr<examples::Tokenizer> make_tokenizer(const TextSettings& s,
                                                    const std::string& text) {
  if (!s.vocabulary.empty() || s.tokenizer == "vocabulary") {
    if (s.vocabulary.empty()) {
      throw std::invalid_argument(
          "--vocabulary must name a folder with vocab.json and merges.txt for "
          "--tokenizer vocabulary, but is not given");
    }
    return examples::open_tokenizer(s.vocabulary);
  }
  if (s.tokenizer == "characters") return std::make_unique<examples::CharacterTokenizer>(text);
  examples::CountProgress progress("vocabulary", s.vocabulary_size, "tokens");
  auto vocabulary = examples::train_bpe(
      text, s.vocabulary_size, [&](int64_t tokens) { progress.show(static_cast<double>(tokens)); });
  progress.end();
  return std::make_unique<examples::BpeTokenizer>(std::move(vocabulary));
}

void prepare_text(const TextSettings& s, const fs::path& folder, int threads) {
  const std::string text = read_text(s.text);
  const size_t cut = validation_start(text, s.validation);
  const auto tokenizer = make_tokenizer(s, text);
  if (tokenizer->size() > 65536) {
    throw std::runtime_error(
        fmt::format("token files hold ids of 16 bits, so a vocabulary has at most 65,536 tokens, "
                    "but this one has {}; choose another",
                    tokenizer->size()));
  }
  fs::create_directories(folder);
  const auto format =
      s.format == "llmc" ? examples::TokenFormat::kLlmC : examples::TokenFormat::kNanoGpt;
  const auto train = encoded(*tokenizer, std::string_view(text).substr(0, cut), threads);
  const auto validation = encoded(*tokenizer, std::string_view(text).substr(cut), threads);
  if (train.empty() || validation.empty()) {
    throw std::runtime_error(fmt::format(
        "the text must give tokens for training and for validation, but gives {} and {}; give more "
        "text or change --validation",
        train.size(), validation.size()));
  }
  tokenizer->save(folder);
  examples::write_token_file(folder / "train.bin", train, format);
  examples::write_token_file(folder / "val.bin", validation, format);
  const examples::Json meta = {{"vocab_size", tokenizer->size()},
                               {"train_tokens", train.size()},
                               {"validation_tokens", validation.size()},
                               {"bytes", text.size()}};
  examples::write_atomically(folder / "meta.json", meta.dump(2) + "\n");
  fmt::print("{}: {} bytes of text became {} training and {} validation tokens of {} kinds\n",
             folder.string(), text.size(), train.size(), validation.size(), tokenizer->size());
}

TextData open_text_data(const fs::path& folder) {
  TextData data{examples::TokenFile(folder / "train.bin"), examples::TokenFile(folder / "val.bin"),
                examples::open_tokenizer(folder)};
  data.train.check_ids(data.tokenizer->size());
  data.validation.check_ids(data.tokenizer->size());
  return data;
}

}  // namespace gpt2
