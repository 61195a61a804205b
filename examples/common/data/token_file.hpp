// SPDX-License-Identifier: Apache-2.0
// Files of token ids: nanoGPT's train.bin and val.bin, and llm.c's .bin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/data/memory_map.hpp"
#include "common/text/tokenizer.hpp"

namespace examples {

// nanoGPT's files are ids as little-endian 16-bit numbers and nothing else. llm.c's have a header
// of 256 little-endian 32-bit numbers before them: 20240520, the version 1, the number of tokens,
// and zeros. A file that begins with the first of these numbers is taken for llm.c's; in nanoGPT's
// format that would be the ids 55432 and 308, and GPT-2's vocabulary has no id 55432.
class TokenFile {
 public:
  // Throws std::runtime_error naming the file if it cannot be read, holds no token, has an odd
  // number of bytes, or is one of llm.c's with another version or another number of tokens than its
  // header says.
  explicit TokenFile(const std::filesystem::path& file);

  int64_t size() const { return size_; }  // tokens
  const uint16_t* ids() const { return ids_; }
  const std::filesystem::path& file() const { return map_.file(); }

  // Throws std::runtime_error naming the file, the first id that is not below `vocabulary`, and its
  // position. Reads the whole file.
  void check_ids(int64_t vocabulary) const;

 private:
  MemoryMap map_;
  const uint16_t* ids_ = nullptr;
  int64_t size_ = 0;
};

enum class TokenFormat { kNanoGpt, kLlmC };

// Writes a file that appears when all of it is on disk. Throws std::invalid_argument naming the
// file for an id that is negative or above 65,535, for 2^31 ids or more in llm.c's format, and for
// ids in nanoGPT's format that begin with 55432, 308, because a reader would take them for llm.c's
// header; std::runtime_error naming the file if it cannot be written. A previous file then stays.
void write_token_file(const std::filesystem::path& file, const std::vector<TokenId>& ids,
                      TokenFormat format = TokenFormat::kNanoGpt);

}  // namespace examples
