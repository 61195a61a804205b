// SPDX-License-Identifier: Apache-2.0
#include "common/text/open_tokenizer.hpp"

#include <system_error>

#include "common/data/file_error.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/bpe_vocabulary.hpp"
#include "common/text/character_tokenizer.hpp"

namespace examples {

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& folder) {
  constexpr const char* kBpeFiles[][2] = {{"vocab.json", "merges.txt"},
                                          {"encoder.json", "vocab.bpe"}};
  std::error_code ignored;  // a file that cannot be looked at counts as missing
  for (const auto& [vocab, merges] : kBpeFiles) {
    if (!std::filesystem::exists(folder / vocab, ignored)) continue;
    if (!std::filesystem::exists(folder / merges, ignored)) continue;
    return std::make_unique<BpeTokenizer>(read_bpe_vocabulary(folder / vocab, folder / merges));
  }
  const std::filesystem::path characters = folder / "characters.json";
  if (std::filesystem::exists(characters, ignored)) {
    return std::make_unique<CharacterTokenizer>(CharacterTokenizer::read(characters));
  }
  fail_file(
      folder,
      "must have the files of a tokenizer, but has none; it needs vocab.json with merges.txt, "
      "encoder.json with vocab.bpe, or characters.json");
}

}  // namespace examples
