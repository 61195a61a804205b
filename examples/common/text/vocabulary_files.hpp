// SPDX-License-Identifier: Apache-2.0
// What the files of all kinds of vocabularies have in common: their names, their size, and how
// messages show what is in them.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "common/data/file_error.hpp"
#include "common/data/memory_map.hpp"

namespace examples {

// The two files of a vocabulary of byte-pair encoding by the names of Hugging Face, which this
// program writes, and by those of OpenAI.
struct BpeFileNames {
  const char* vocab;
  const char* merges;
};
inline constexpr BpeFileNames kHuggingFaceFiles = {"vocab.json", "merges.txt"};
inline constexpr BpeFileNames kOpenAiFiles = {"encoder.json", "vocab.bpe"};

// The file of a vocabulary of characters.
inline constexpr const char* kCharacterFile = "characters.json";

// Removes from `folder` all files of vocabularies but those of `kept`, so that a folder that was
// written to before does not hold two. Throws std::runtime_error naming a file that stays.
inline void remove_other_vocabularies(const std::filesystem::path& folder,
                                      std::initializer_list<std::string_view> kept) {
  for (const std::string_view name : {kHuggingFaceFiles.vocab, kHuggingFaceFiles.merges,
                                      kOpenAiFiles.vocab, kOpenAiFiles.merges, kCharacterFile}) {
    if (std::find(kept.begin(), kept.end(), name) != kept.end()) continue;
    std::error_code error;
    std::filesystem::remove(folder / name, error);
    if (error) {
      fail_file(folder / name, fmt::format("is of another vocabulary than the one that was written "
                                           "beside it, but cannot be removed ({}); remove it",
                                           error.message()));
    }
  }
}

// GPT-2's vocabulary has 1 MB. The limit keeps a file that is something else from filling the
// memory.
inline constexpr int64_t kMaxVocabularyBytes = int64_t{1} << 24;

// The bytes of a file of a vocabulary. Throws std::runtime_error naming the file if it has more
// than kMaxVocabularyBytes, or as MemoryMap does.
inline MemoryMap map_vocabulary(const std::filesystem::path& file) {
  MemoryMap map(file);
  if (map.size() > kMaxVocabularyBytes) {
    fail_file(file, fmt::format("must have at most {} bytes, but has {}; check that it is the file "
                                "of a vocabulary",
                                kMaxVocabularyBytes, map.size()));
  }
  return map;
}

// The text for a message: at most the first 40 bytes, in quotation marks and on one line.
inline std::string shown_text(std::string_view text) {
  constexpr size_t kMostBytes = 40;
  const nlohmann::json part = std::string(text.substr(0, kMostBytes));
  return part.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         (text.size() > kMostBytes ? "..." : "");
}

// What nlohmann/json says about malformed text. It can quote much of the file.
inline std::string shown_json_error(const nlohmann::json::exception& error) {
  constexpr size_t kMostBytes = 200;
  const std::string text = error.what();
  return text.size() > kMostBytes ? text.substr(0, kMostBytes) + "..." : text;
}

}  // namespace examples
