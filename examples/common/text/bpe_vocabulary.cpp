// SPDX-License-Identifier: Apache-2.0
#include "common/text/bpe_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/text/bpe_checks.hpp"
#include "common/text/vocabulary_files.hpp"

namespace examples {
namespace {

using VocabularyJson = nlohmann::json;

// The characters that stand for the 256 bytes, and back.
struct ByteAlphabet {
  std::array<uint32_t, 256> characters{};
  std::array<int, 0x144> bytes{};  // -1 for a character that stands for no byte

  ByteAlphabet() {
    bytes.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      characters[byte] = is_printable_byte(static_cast<uint8_t>(byte)) ? byte : next++;
      bytes[characters[byte]] = static_cast<int>(byte);
    }
  }
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

std::string written_token(std::string_view token) {
  std::string text;
  for (const char byte : token) {
    const uint32_t character = byte_alphabet().characters[static_cast<unsigned char>(byte)];
    if (character < 0x80) {
      text += static_cast<char>(character);
    } else {
      text += static_cast<char>(0xC0 | character >> 6);
      text += static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  return text;
}

// The bytes of a token that is written as written_token() does; nothing if `text` is not.
std::optional<std::string> token_bytes(std::string_view text) {
  std::string token;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t character = static_cast<unsigned char>(text[i]);
    if (character >= 0x80) {
      if (character < 0xC2 || character >= 0xE0 || ++i == text.size()) return {};
      const uint32_t next = static_cast<unsigned char>(text[i]);
      if ((next & 0xC0) != 0x80) return {};
      character = (character & 0x1F) << 6 | (next & 0x3F);
    }
    const auto& bytes = byte_alphabet().bytes;
    if (character >= bytes.size() || bytes[character] < 0) return {};
    token += static_cast<char>(bytes[character]);
  }
  return token;
}

// Takes the tokens and ids out of the JSON while it is read, so that nothing else of it is stored.
// An object that nlohmann/json builds would also hide a token that is given twice.
class VocabularyReader {
 public:
  explicit VocabularyReader(const std::filesystem::path& file) : file_(file) {}

  // Returns whether the part is to be stored, which no token is.
  bool event(int depth, VocabularyJson::parse_event_t event, const VocabularyJson& value) {
    using Event = VocabularyJson::parse_event_t;
    if (event == Event::object_end && depth == 0) return true;
    if (depth == 0 && event != Event::object_start) fail_form();
    if (depth == 0) return true;
    if (event == Event::key && depth == 1) {
      key_ = value.get_ref<const std::string&>();
      return false;
    }
    if (event != Event::value || !value.is_number_integer()) {
      fail_file(file_, fmt::format("the id of the token {} must be an integer; restore the file",
                                   shown_text(key_)));
    }
    add(value);
    return true;
  }

  // By id. To be called once, at the end.
  std::vector<std::string> tokens() {
    std::sort(entries_.begin(), entries_.end());  // so that messages do not vary
    std::vector<std::string> tokens(entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i) {
      auto& [token, id] = entries_[i];
      if (i > 0 && token == entries_[i - 1].first) {
        fail_file(file_, fmt::format("each token must be given once, but {} is given twice; "
                                     "restore the file",
                                     shown_text(written_token(token))));
      }
      if (id < 0 || static_cast<uint64_t>(id) >= entries_.size()) {
        fail_file(file_, fmt::format("the ids of its {0} tokens must be the numbers 0 to {1}, but "
                                     "the token {2} has the id {3}, so that one of them is "
                                     "missing; restore the file",
                                     entries_.size(), entries_.size() - 1,
                                     shown_text(written_token(token)), id));
      }
    }
    std::vector<bool> given(entries_.size());
    for (auto& [token, id] : entries_) {
      const auto index = static_cast<size_t>(id);
      if (given[index]) {
        fail_file(file_, fmt::format("each id must be given once, but the tokens {} and {} have "
                                     "the id {}; restore the file",
                                     shown_text(written_token(tokens[index])),
                                     shown_text(written_token(token)), id));
      }
      given[index] = true;
      tokens[index] = std::move(token);
    }
    return tokens;
  }

  [[noreturn]] void fail_form() const {
    fail_file(file_, "must be a JSON object from tokens to ids, as vocab.json of GPT-2 is");
  }

 private:
  void add(const VocabularyJson& value) {
    std::optional<std::string> token = token_bytes(key_);
    if (!token) {
      fail_file(file_, fmt::format("the token {} has a character that stands for no byte in "
                                   "GPT-2's vocabularies; check that it is one of these",
                                   shown_text(key_)));
    }
    const bool fits = value.is_number_unsigned()
                          ? value.get<uint64_t>() <= std::numeric_limits<int64_t>::max()
                          : true;
    const int64_t id = fits ? value.get<int64_t>() : std::numeric_limits<int64_t>::max();
    entries_.emplace_back(std::move(*token), id);
  }

  std::filesystem::path file_;
  std::string key_;
  std::vector<std::pair<std::string, int64_t>> entries_;  // in the order of the file
};

std::vector<std::string> read_tokens(const std::filesystem::path& file) {
  VocabularyReader reader(file);
  const MemoryMap map = map_vocabulary(file);
  try {
    const auto value = VocabularyJson::parse(
        map.data(), map.data() + map.size(),
        [&reader](int depth, VocabularyJson::parse_event_t event, VocabularyJson& part) {
          return reader.event(depth, event, part);
        });
    if (!value.is_object()) reader.fail_form();
  } catch (const VocabularyJson::exception& error) {
    fail_file(file, fmt::format("is no well-formed JSON ({}); restore the file",
                                shown_json_error(error)));
  }
  return reader.tokens();
}

using TokenIds = std::unordered_map<std::string_view, TokenId>;

// The two tokens of a line of the file of merges, or what is wrong with it.
std::pair<TokenId, TokenId> merge_of_line(std::string_view line, const TokenIds& ids) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string::npos || space + 1 == line.size()) {
    throw std::runtime_error(
        fmt::format("must be two tokens with a space between them, but is {}", shown_text(line)));
  }
  const auto id_of = [&ids](std::string_view text) {
    const std::optional<std::string> token = token_bytes(text);
    const auto found = token ? ids.find(*token) : ids.end();
    if (found == ids.end()) {
      throw std::runtime_error(fmt::format("the vocabulary has no token {}", shown_text(text)));
    }
    return found->second;
  };
  return {id_of(line.substr(0, space)), id_of(line.substr(space + 1))};
}

std::vector<std::pair<TokenId, TokenId>> read_merges(const std::filesystem::path& file,
                                                     const std::vector<std::string>& tokens) {
  const MemoryMap map = map_vocabulary(file);
  const std::string_view text(reinterpret_cast<const char*>(map.data()),
                              static_cast<size_t>(map.size()));
  TokenIds ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<TokenId>(i));
  BpeMergeChecker checker(tokens);
  std::vector<std::pair<TokenId, TokenId>> merges;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, newline - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    begin = newline + 1;
    ++number;
    try {
      if (number > 1) {
        merges.push_back(merge_of_line(line, ids));
        checker.check(merges.back());
      } else if (line.rfind("#version", 0) != 0) {
        throw std::runtime_error("must begin with #version, as the first line of merges.txt does");
      }
    } catch (const std::runtime_error& error) {
      fail_file(file, fmt::format("line {}: {}; restore both files of the vocabulary", number,
                                  error.what()));
    }
  }
  if (number == 0) fail_file(file, "is empty; restore the file");
  return merges;
}

}  // namespace

BpeVocabulary read_bpe_vocabulary(const std::filesystem::path& vocab,
                                  const std::filesystem::path& merges) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = read_tokens(vocab);
  try {
    vocabulary.end_of_text = check_bpe_tokens(vocabulary.tokens);
  } catch (const std::runtime_error& error) {
    fail_file(vocab, error.what());
  }
  vocabulary.merges = read_merges(merges, vocabulary.tokens);
  return vocabulary;
}

void write_bpe_vocabulary(const BpeVocabulary& vocabulary, const std::filesystem::path& folder) {
  std::string vocab = "{", merges = "#version: 0.2\n";
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    vocab += fmt::format("{}{}: {}", i == 0 ? "\n" : ",\n",
                         VocabularyJson(written_token(vocabulary.tokens[i])).dump(), i);
  }
  for (const auto& [left, right] : vocabulary.merges) {
    merges += written_token(vocabulary.tokens.at(static_cast<size_t>(left))) + ' ' +
              written_token(vocabulary.tokens.at(static_cast<size_t>(right))) + '\n';
  }
  write_atomically(folder / kHuggingFaceFiles.vocab, vocab + "\n}\n");
  write_atomically(folder / kHuggingFaceFiles.merges, merges);
}

}  // namespace examples
