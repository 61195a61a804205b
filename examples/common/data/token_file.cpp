// SPDX-License-Identifier: Apache-2.0
#include "common/data/token_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"

namespace examples {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "token files are read and written on little-endian processors only");

// llm.c's header: the magic number, the version, the number of tokens, and zeros.
using LlmCHeader = std::array<int32_t, 256>;
constexpr int32_t kLlmCMagic = 20240520;
constexpr int32_t kLlmCVersion = 1;
constexpr auto kLlmCHeaderBytes = static_cast<int64_t>(sizeof(LlmCHeader));

constexpr TokenId kLargestTokenFileId = std::numeric_limits<uint16_t>::max();
constexpr size_t kTokenFileBlock = 1 << 16;  // ids that are converted at a time

bool has_llm_c_magic(const MemoryMap& map) {
  return map.size() >= static_cast<int64_t>(sizeof kLlmCMagic) &&
         std::memcmp(map.data(), &kLlmCMagic, sizeof kLlmCMagic) == 0;
}

// Throws unless the header fits the file.
void check_llm_c_header(const MemoryMap& map) {
  if (map.size() < kLlmCHeaderBytes) {
    fail_file(map.file(),
              fmt::format("begins as a token file of llm.c, whose header has {} bytes, but has {} "
                          "bytes only; make the file again",
                          kLlmCHeaderBytes, map.size()));
  }
  LlmCHeader header;
  std::memcpy(header.data(), map.data(), sizeof header);
  if (header[1] != kLlmCVersion) {
    fail_file(map.file(),
              fmt::format("must have version {} of llm.c's token files, but has version {}; make "
                          "the file again with 16-bit ids",
                          kLlmCVersion, header[1]));
  }
  const int64_t tokens = (map.size() - kLlmCHeaderBytes) / static_cast<int64_t>(sizeof(uint16_t));
  if (header[2] != tokens) {
    fail_file(map.file(),
              fmt::format("must have as many tokens as its header says, {}, but has {}; "
                          "the file is not whole: make or copy it again",
                          header[2], tokens));
  }
}

void check_ids_to_write(const std::filesystem::path& file, const std::vector<TokenId>& ids,
                        TokenFormat format) {
  const auto bad = std::find_if(ids.begin(), ids.end(),
                                [](TokenId id) { return id < 0 || id > kLargestTokenFileId; });
  if (bad != ids.end()) {
    throw std::invalid_argument(fmt::format(
        "{}: ids in a token file must be 0 to {}, but id {} at position {} is not; use "
        "a vocabulary of at most {} tokens",
        file.string(), kLargestTokenFileId, *bad, bad - ids.begin(), kLargestTokenFileId + 1));
  }
  if (format == TokenFormat::kLlmC && ids.size() > std::numeric_limits<int32_t>::max()) {
    throw std::invalid_argument(
        fmt::format("{}: a token file of llm.c must have fewer than 2^31 tokens, but there are {}; "
                    "write several files or nanoGPT's format",
                    file.string(), ids.size()));
  }
  constexpr TokenId kLow = kLlmCMagic & 0xFFFF, kHigh = kLlmCMagic >> 16;
  if (format == TokenFormat::kNanoGpt && ids.size() >= 2 && ids[0] == kLow && ids[1] == kHigh) {
    throw std::invalid_argument(
        fmt::format("{}: ids in nanoGPT's format must not begin with {}, {}, which begin llm.c's "
                    "format; write llm.c's format",
                    file.string(), kLow, kHigh));
  }
}

}  // namespace

TokenFile::TokenFile(const std::filesystem::path& file) : map_(file) {
  if (map_.size() % static_cast<int64_t>(sizeof(uint16_t)) != 0) {
    fail_file(file, fmt::format("must have an even number of bytes, two for each token, but has "
                                "{}; check that it is a token file and whole",
                                map_.size()));
  }
  int64_t begin = 0;
  if (has_llm_c_magic(map_)) {
    check_llm_c_header(map_);
    begin = kLlmCHeaderBytes;
  }
  size_ = (map_.size() - begin) / static_cast<int64_t>(sizeof(uint16_t));
  if (size_ == 0) fail_file(file, "must have at least one token, but has none; make it again");
  ids_ = reinterpret_cast<const uint16_t*>(map_.data() + begin);
}

void TokenFile::check_ids(int64_t vocabulary) const {
  const uint16_t* const end = ids_ + size_;
  const uint16_t* const bad =
      std::find_if(ids_, end, [vocabulary](uint16_t id) { return id >= vocabulary; });
  if (bad == end) return;
  fail_file(file(), fmt::format("must have ids below {}, the size of the vocabulary, but has id {} "
                                "at position {}; use the vocabulary that the file was made with",
                                vocabulary, *bad, bad - ids_));
}

void write_token_file(const std::filesystem::path& file, const std::vector<TokenId>& ids,
                      TokenFormat format) {
  check_ids_to_write(file, ids, format);
  AtomicFile out(file);
  if (format == TokenFormat::kLlmC) {
    LlmCHeader header = {};
    header[0] = kLlmCMagic;
    header[1] = kLlmCVersion;
    header[2] = static_cast<int32_t>(ids.size());
    out.write(header.data(), sizeof header);
  }
  std::vector<uint16_t> block;
  for (size_t begin = 0; begin < ids.size(); begin += block.size()) {
    block.resize(std::min(kTokenFileBlock, ids.size() - begin));
    std::transform(ids.data() + begin, ids.data() + begin + block.size(), block.begin(),
                   [](TokenId id) { return static_cast<uint16_t>(id); });
    out.write(block.data(), block.size() * sizeof(uint16_t));
  }
  out.commit();
}

}  // namespace examples
