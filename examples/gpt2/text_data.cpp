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

constexpr const char* kMetaFile = "meta.json";
constexpr int64_t kMostTokens = 65536;  // of a vocabulary, because token files have 16 bits an id

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
  bool whole = false;
  if (std::FILE* verses = popen("bible -f gen1:1-rev22:21 2>/dev/null", "r")) {
    char line[4096];
    while (std::fgets(line, sizeof(line), verses) != nullptr) {
      const std::string_view verse(line);
      const size_t space = verse.find(' ');
      if (space != std::string_view::npos) text += verse.substr(space + 1);
    }
    whole = pclose(verses) == 0;
  }
  if (!whole || text.empty()) {
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

// The tokens of the text from `begin` to `end`.
std::vector<examples::TokenId> tokens_of(const Documents& documents, size_t begin, size_t end,
                                         const examples::Tokenizer& tokenizer, int threads) {
  const bool separated = documents.ends.size() > 1 && tokenizer.end_of_text();
  std::vector<examples::TokenId> ids;
  for (const size_t document_end : documents.ends) {
    if (document_end <= begin) continue;
    const size_t part_end = std::min(document_end, end);
    const auto part = examples::encode_in_parallel(
        tokenizer, std::string_view(documents.text).substr(begin, part_end - begin), threads);
    ids.insert(ids.end(), part.begin(), part.end());
    if (separated && part_end == document_end) ids.push_back(*tokenizer.end_of_text());
    begin = part_end;
    if (begin == end) break;
  }
  return ids;
}

// Throws std::invalid_argument for settings that contradict each other.
std::unique_ptr<examples::Tokenizer> make_tokenizer(const TextSettings& s,
                                                    const std::string& text) {
  if (s.tokenizer == "vocabulary" && s.vocabulary.empty()) {
    throw std::invalid_argument(
        "--vocabulary must name a folder with vocab.json and merges.txt for --tokenizer "
        "vocabulary, but is not given");
  }
  if (s.tokenizer == "characters") {
    if (s.vocabulary.empty()) return std::make_unique<examples::CharacterTokenizer>(text);
    throw std::invalid_argument(
        "--tokenizer characters makes a vocabulary of its own and cannot use that of --vocabulary; "
        "leave one of the two out");
  }
  if (!s.vocabulary.empty()) return examples::open_tokenizer(s.vocabulary);
  examples::CountProgress progress("vocabulary", s.vocabulary_size, "tokens");
  auto vocabulary = examples::train_bpe(
      text, s.vocabulary_size, [&](int64_t tokens) { progress.show(static_cast<double>(tokens)); });
  progress.end();
  return std::make_unique<examples::BpeTokenizer>(std::move(vocabulary));
}

// What the token files depend on.
examples::Json settings_of(const TextSettings& s) {
  return {{"text", s.text},
          {"tokenizer", s.tokenizer},
          {"vocabulary", s.vocabulary},
          {"vocabulary-size", s.vocabulary_size},
          {"validation", s.validation},
          {"format", s.format}};
}

// The content of meta.json; null where the file is missing or malformed.
examples::Json read_meta(const fs::path& folder) {
  std::ifstream in(folder / kMetaFile);
  examples::Json meta = examples::Json::parse(in, nullptr, /*allow_exceptions=*/false);
  return meta.is_object() ? meta : examples::Json();
}

}  // namespace

Documents read_text(const std::string& path) {
  Documents documents;
  if (path.empty()) {
    documents.text = king_james_bible();
    documents.ends = {documents.text.size()};
    return documents;
  }
  const std::vector<fs::path> files =
      fs::is_directory(path) ? text_files(path) : std::vector<fs::path>{path};
  for (const fs::path& file : files) {
    documents.text += file_text(file);
    documents.ends.push_back(documents.text.size());
  }
  if (documents.text.empty()) {
    examples::fail_file(path, files.size() == 1 ? "is empty; name a file with text"
                                                : "holds no text in files that end with .txt");
  }
  return documents;
}

void prepare_text(const TextSettings& s, const fs::path& folder, int threads) {
  const Documents documents = read_text(s.text);
  const std::string& text = documents.text;
  const auto tokenizer = make_tokenizer(s, text);
  if (tokenizer->size() > kMostTokens) {
    throw std::runtime_error(
        fmt::format("token files hold ids of 16 bits, so a vocabulary has at most {} tokens, but "
                    "this one has {}; choose another",
                    kMostTokens, tokenizer->size()));
  }
  const size_t cut = validation_start(text, s.validation);
  const auto train = tokens_of(documents, 0, cut, *tokenizer, threads);
  const auto validation = tokens_of(documents, cut, text.size(), *tokenizer, threads);
  if (train.empty() || validation.empty()) {
    throw std::runtime_error(fmt::format(
        "the text must give tokens for training and for validation, but gives {} and {}; give more "
        "text or change --validation",
        train.size(), validation.size()));
  }
  fs::create_directories(folder);
  fs::remove(folder / kMetaFile);  // it says that all of the files belong together
  const auto format =
      s.format == "llmc" ? examples::TokenFormat::kLlmC : examples::TokenFormat::kNanoGpt;
  tokenizer->save(folder);
  examples::write_token_file(folder / "train.bin", train, format);
  examples::write_token_file(folder / "val.bin", validation, format);
  const examples::Json meta = {{"vocab_size", tokenizer->size()},
                               {"train_tokens", train.size()},
                               {"validation_tokens", validation.size()},
                               {"bytes", text.size()},
                               {"settings", settings_of(s)}};
  examples::write_atomically(folder / kMetaFile, meta.dump(2) + "\n");
  fmt::print("{}: {} bytes of text became {} training and {} validation tokens of {} kinds\n",
             folder.string(), text.size(), train.size(), validation.size(), tokenizer->size());
}

void prepare_text_once(const TextSettings& s, const fs::path& folder, int threads) {
  const examples::Json meta = read_meta(folder);
  if (meta.is_object() && meta.contains("settings") && meta["settings"] == settings_of(s)) return;
  prepare_text(s, folder, threads);
}

TextData open_text_data(const fs::path& folder) {
  TextData data{examples::TokenFile(folder / "train.bin"), examples::TokenFile(folder / "val.bin"),
                examples::open_tokenizer(folder)};
  const examples::Json meta = read_meta(folder);
  const int64_t size = data.tokenizer->size();
  if (meta.is_object() && meta.contains("vocab_size") && meta["vocab_size"] != size) {
    examples::fail_file(
        folder, fmt::format("the vocabulary has {} tokens, but meta.json tells of {}; prepare the "
                            "text again",
                            size, meta["vocab_size"].dump()));
  }
  data.train.check_ids(size);
  data.validation.check_ids(size);
  return data;
}

void check_same_vocabulary(const TextData& data, const examples::Tokenizer& tokenizer) {
  const examples::Tokenizer& own = *data.tokenizer;
  bool same = own.size() == tokenizer.size();
  for (int64_t i = 0; same && i < own.size(); ++i) {
    const auto id = static_cast<examples::TokenId>(i);
    same = own.bytes(id) == tokenizer.bytes(id);
  }
  if (!same) {
    examples::fail_file(data.train.file().parent_path(),
                        "has tokens of another vocabulary than the model; prepare the text with "
                        "--vocabulary and the model's folder");
  }
}

}  // namespace gpt2
