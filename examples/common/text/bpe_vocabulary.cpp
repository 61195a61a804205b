// SPDX-License-Identifier: Apache-2.0
#include "common/text/bpe_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/text/bpe_checks.hpp"

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
      const bool printable =
          (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD && byte <= 0xFF);
      characters[byte] = printable ? byte : next++;
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

// The text in quotation marks and on one line, whatever its bytes are.
std::string quoted_token(const std::string& text) {
  return VocabularyJson(text).dump(-1, ' ', false, VocabularyJson::error_handler_t::replace);
}

std::string text_of_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) fail_file(file, kCannotBeOpened);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) fail_file(file, "cannot be read to its end; check the disk");
  return text;
}

// Takes the tokens and ids out of the JSON while it is read. An object that nlohmann/json builds
// would hide a token that is given twice.
class VocabularyReader {
 public:
  explicit VocabularyReader(const std::filesystem::path& file) : file_(file) {}

  bool event(int depth, VocabularyJson::parse_event_t event, const VocabularyJson& value) {
    using Event = VocabularyJson::parse_event_t;
    if (event == Event::object_end && depth == 0) return true;
    if (depth == 0 && event != Event::object_start) fail_form();
    if (event == Event::key && depth == 1) {
      key_ = value.get<std::string>();
    } else if (depth >= 1) {
      if (event != Event::value || !value.is_number_integer()) {
        fail_file(file_, fmt::format("the id of the token {} must be an integer; restore the file",
                                     quoted_token(key_)));
      }
      add(value);
    }
    return true;
  }

  // By id.
  std::vector<std::string> tokens() {
    std::vector<std::string> tokens(ids_.size());
    std::vector<bool> given(ids_.size());
    for (const auto& [token, id] : ids_) {
      if (id < 0 || static_cast<uint64_t>(id) >= ids_.size()) {
        fail_file(file_, fmt::format("the ids of its {0} tokens must be the numbers 0 to {1}, but "
                                     "the token {2} has the id {3}, so that one of them is "
                                     "missing; restore the file",
                                     ids_.size(), ids_.size() - 1,
                                     quoted_token(written_token(token)), id));
      }
      const auto index = static_cast<size_t>(id);
      if (given[index]) {
        fail_file(file_, fmt::format("each id must be given once, but the tokens {} and {} have "
                                     "the id {}; restore the file",
                                     quoted_token(written_token(tokens[index])),
                                     quoted_token(written_token(token)), id));
      }
      given[index] = true;
      tokens[index] = token;
    }
    return tokens;
  }

  [[noreturn]] void fail_form() const {
    fail_file(file_, "must be a JSON object from tokens to ids, as vocab.json of GPT-2 is");
  }

 private:
  void add(const VocabularyJson& value) {
    const std::optional<std::string> token = token_bytes(key_);
    if (!token) {
      fail_file(file_, fmt::format("the token {} has a character that stands for no byte in "
                                   "GPT-2's vocabularies; check that it is one of these",
                                   quoted_token(key_)));
    }
    const bool fits = value.is_number_unsigned()
                          ? value.get<uint64_t>() <= std::numeric_limits<int64_t>::max()
                          : true;
    const int64_t id = fits ? value.get<int64_t>() : std::numeric_limits<int64_t>::max();
    if (!ids_.emplace(*token, id).second) {
      fail_file(file_, fmt::format("each token must be given once, but {} is given twice; restore "
                                   "the file",
                                   quoted_token(key_)));
    }
  }

  std::filesystem::path file_;
  std::string key_;
  std::map<std::string, int64_t> ids_;  // in order, so that messages do not vary
};

std::vector<std::string> read_tokens(const std::filesystem::path& file) {
  VocabularyReader reader(file);
  const std::string text = text_of_file(file);
  try {
    const auto value = VocabularyJson::parse(
        text, [&reader](int depth, VocabularyJson::parse_event_t event, VocabularyJson& part) {
          return reader.event(depth, event, part);
        });
    if (!value.is_object()) reader.fail_form();
  } catch (const VocabularyJson::exception& error) {
    fail_file(file, fmt::format("is no well-formed JSON ({}); restore the file", error.what()));
  }
  return reader.tokens();
}

using TokenIds = std::unordered_map<std::string_view, TokenId>;

// The two tokens of a line of the file of merges, or what is wrong with it.
std::pair<TokenId, TokenId> merge_of_line(const std::string& line, const TokenIds& ids) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string::npos || space + 1 == line.size()) {
    throw std::runtime_error(
        fmt::format("must be two tokens with a space between them, but is {}", quoted_token(line)));
  }
  const auto id_of = [&ids](const std::string& text) {
    const std::optional<std::string> token = token_bytes(text);
    const auto found = token ? ids.find(*token) : ids.end();
    if (found == ids.end()) {
      throw std::runtime_error(fmt::format("the vocabulary has no token {}", quoted_token(text)));
    }
    return found->second;
  };
  return {id_of(line.substr(0, space)), id_of(line.substr(space + 1))};
}

std::vector<std::pair<TokenId, TokenId>> read_merges(const std::filesystem::path& file,
                                                     const std::vector<std::string>& tokens) {
  const std::string text = text_of_file(file);
  TokenIds ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<TokenId>(i));
  BpeMergeChecker checker(tokens);
  std::vector<std::pair<TokenId, TokenId>> merges;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, newline - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
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
                         quoted_token(written_token(vocabulary.tokens[i])), i);
  }
  for (const auto& [left, right] : vocabulary.merges) {
    merges += written_token(vocabulary.tokens.at(static_cast<size_t>(left))) + ' ' +
              written_token(vocabulary.tokens.at(static_cast<size_t>(right))) + '\n';
  }
  write_atomically(folder / "vocab.json", vocab + "\n}\n");
  write_atomically(folder / "merges.txt", merges);
}

}  // namespace examples
