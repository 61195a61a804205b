// SPDX-License-Identifier: Apache-2.0
#include "common/text/open_tokenizer.hpp"

#include <fmt/format.h>

#include <system_error>

#include "common/data/file_error.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/bpe_vocabulary.hpp"
#include "common/text/character_tokenizer.hpp"
#include "common/text/vocabulary_files.hpp"

namespace examples {
namespace {

// A file that cannot be looked at counts as missing.
bool has_vocabulary_file(const std::filesystem::path& folder, const char* name) {
  std::error_code ignored;
  return std::filesystem::exists(folder / name, ignored);
}

[[noreturn]] void fail_without_vocabulary(const std::filesystem::path& folder) {
  for (const auto& [vocab, merges] : {kHuggingFaceFiles, kOpenAiFiles}) {
    const bool has_vocab = has_vocabulary_file(folder, vocab);
    if (!has_vocab && !has_vocabulary_file(folder, merges)) continue;
    fail_file(folder, fmt::format("must have both {} and {}, but {} is missing; copy it from where "
                                  "the other one is from",
                                  vocab, merges, has_vocab ? merges : vocab));
  }
  const bool has_other = has_vocabulary_file(folder, "tokenizer.json");
  fail_file(folder,
            fmt::format("must have the files of a vocabulary, but has {}; it needs vocab.json with "
                        "merges.txt, encoder.json with vocab.bpe, or characters.json",
                        has_other ? "only tokenizer.json, which is not read" : "none"));
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& folder) {
  for (const auto& [vocab, merges] : {kHuggingFaceFiles, kOpenAiFiles}) {
    if (!has_vocabulary_file(folder, vocab) || !has_vocabulary_file(folder, merges)) continue;
    return std::make_unique<BpeTokenizer>(read_bpe_vocabulary(folder / vocab, folder / merges));
  }
  if (has_vocabulary_file(folder, kCharacterFile)) {
    return std::make_unique<CharacterTokenizer>(CharacterTokenizer::read(folder / kCharacterFile));
  }
  fail_without_vocabulary(folder);
}

}  // namespace examples
