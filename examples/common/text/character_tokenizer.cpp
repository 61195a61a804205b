// SPDX-License-Identifier: Apache-2.0
#include "common/text/character_tokenizer.hpp"

#include <fmt/format.h>

#include <bitset>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <utility>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/json_text.hpp"
#include "common/text/utf8.hpp"
#include "common/text/vocabulary_files.hpp"

namespace examples {
namespace {

constexpr size_t kMostCharacters = 65536;  // that the 16-bit ids of token files can name

// A character of a text: its code point, or one byte where the text is not UTF-8.
struct TextCharacter {
  std::string_view bytes;
  uint32_t code_point = 0;
  bool is_utf8 = true;

  uint8_t stray_byte() const { return static_cast<uint8_t>(bytes[0]); }
};

// The first character of `text`, which is not empty.
TextCharacter first_text_character(std::string_view text) {
  TextCharacter first;
  const int length = decode_utf8(text, first.code_point);
  first.is_utf8 = length > 0;
  first.bytes = text.substr(0, first.is_utf8 ? static_cast<size_t>(length) : 1);
  return first;
}

// "'é' (U+00E9)", "U+000A" for a control character, "byte 0xFF (not UTF-8)".
std::string name_of_text_character(const TextCharacter& character) {
  if (!character.is_utf8) return fmt::format("byte 0x{:02X} (not UTF-8)", character.stray_byte());
  const std::string number = fmt::format("U+{:04X}", character.code_point);
  const bool is_control =
      character.code_point < 0x20 || (character.code_point >= 0x7F && character.code_point < 0xA0);
  return is_control ? number : fmt::format("'{}' ({})", character.bytes, number);
}

// The list in a file of save(). Throws for another structure.
nlohmann::json read_character_list(const std::filesystem::path& file) {
  const MemoryMap map = map_vocabulary(file);
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(map.data(), map.data() + map.size());
  } catch (const nlohmann::json::exception& error) {
    fail_file(file, fmt::format("must be JSON, but is not: {}; make the file again",
                                shown_json_error(error)));
  }
  const bool has_list = json.is_object() && json.size() == 1 && json.contains("characters") &&
                        json["characters"].is_array();
  if (!has_list) {
    fail_file(file, "must be {\"characters\": [...]} and nothing else; make the file again");
  }
  const size_t count = json["characters"].size();
  if (count < 1 || count > kMostCharacters) {
    fail_file(file, fmt::format("must have 1 to {} characters, but has {}; make the file again",
                                kMostCharacters, count));
  }
  return std::move(json["characters"]);
}

}  // namespace

CharacterTokenizer::CharacterTokenizer(std::string_view text) : CharacterTokenizer() {
  std::set<std::pair<uint32_t, std::string_view>> code_points;
  std::bitset<256> stray_bytes;
  std::bitset<128> ascii;  // a quicker first look than that into the set
  while (!text.empty()) {
    const TextCharacter next = first_text_character(text);
    text.remove_prefix(next.bytes.size());
    if (!next.is_utf8) {
      stray_bytes.set(next.stray_byte());
    } else if (next.code_point >= ascii.size() || !ascii[next.code_point]) {
      if (next.code_point < ascii.size()) ascii.set(next.code_point);
      code_points.emplace(next.code_point, next.bytes);
    }
  }
  const size_t count = code_points.size() + stray_bytes.count();
  if (count < 1 || count > kMostCharacters) {
    throw std::invalid_argument(
        fmt::format("a character tokenizer needs a text with 1 to {} different characters, but it "
                    "has {}; choose another text or byte-pair encoding",
                    kMostCharacters, count));
  }
  for (const auto& [code_point, bytes] : code_points) {
    add_code_point(code_point, std::string(bytes));
  }
  for (size_t byte = 0; byte < stray_bytes.size(); ++byte) {
    if (stray_bytes[byte]) add_byte(static_cast<uint8_t>(byte));
  }
}

CharacterTokenizer CharacterTokenizer::read(const std::filesystem::path& file) {
  CharacterTokenizer result;
  for (const nlohmann::json& entry : read_character_list(file)) {
    bool is_new = false;
    if (entry.is_string() && !entry.get_ref<const std::string&>().empty()) {
      const auto& bytes = entry.get_ref<const std::string&>();
      const TextCharacter character = first_text_character(bytes);
      is_new = character.bytes.size() == bytes.size() &&  // one character
               result.add_code_point(character.code_point, bytes);
    } else if (entry.is_number_integer() && entry >= 0x80 && entry <= 0xFF) {
      is_new = result.add_byte(entry.get<uint8_t>());
    }
    if (!is_new) {
      fail_file(file, fmt::format("each entry must be one character or a byte of 128 to 255 and "
                                  "stand there once, but entry {} is {}; make the file again",
                                  result.size(), json_text(entry)));
    }
  }
  return result;
}

bool CharacterTokenizer::add_code_point(uint32_t code_point, std::string bytes) {
  const auto id = static_cast<TokenId>(characters_.size());
  if (!ids_of_code_points_.emplace(code_point, id).second) return false;
  characters_.push_back(std::move(bytes));
  return true;
}

bool CharacterTokenizer::add_byte(uint8_t byte) {
  if (ids_of_bytes_[byte] != kNoId) return false;
  ids_of_bytes_[byte] = static_cast<TokenId>(characters_.size());
  characters_.emplace_back(1, static_cast<char>(byte));
  return true;
}

int64_t CharacterTokenizer::size() const { return static_cast<int64_t>(characters_.size()); }

void CharacterTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  for (size_t place = 0; place < text.size();) {
    const TextCharacter next = first_text_character(text.substr(place));
    TokenId id = kNoId;
    if (!next.is_utf8) {
      id = ids_of_bytes_[next.stray_byte()];
    } else if (const auto found = ids_of_code_points_.find(next.code_point);
               found != ids_of_code_points_.end()) {
      id = found->second;
    }
    if (id == kNoId) {
      throw std::runtime_error(
          fmt::format("every character of a text must be in the vocabulary, but {} at byte {} is "
                      "not; make the tokenizer from a text that contains it",
                      name_of_text_character(next), place));
    }
    ids.push_back(id);
    place += next.bytes.size();
  }
}

std::string_view CharacterTokenizer::bytes(TokenId id) const {
  if (id < 0 || id >= size()) {
    throw std::out_of_range(
        fmt::format("token ids must be 0 to {}, because the vocabulary has {} characters, but the "
                    "id is {}; use the vocabulary that the ids were made with",
                    size() - 1, size(), id));
  }
  return characters_[static_cast<size_t>(id)];
}

void CharacterTokenizer::save(const std::filesystem::path& folder) const {
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& bytes : characters_) {
    const TextCharacter character = first_text_character(bytes);
    if (character.is_utf8) {
      list.push_back(bytes);
    } else {
      list.push_back(character.stray_byte());
    }
  }
  const nlohmann::json json = {{"characters", std::move(list)}};
  write_atomically(folder / kCharacterFile, json.dump() + "\n");
  remove_other_vocabularies(folder, {kCharacterFile});
}

}  // namespace examples
