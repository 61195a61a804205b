// SPDX-License-Identifier: Apache-2.0
#include "encoding.hpp"

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "common/text/open_tokenizer.hpp"

namespace gpt2_benchmark {

Encoding::Encoding(const std::filesystem::path& vocabulary)
    : tokenizer_(examples::open_tokenizer(vocabulary)) {}

Encoded Encoding::encode(const std::filesystem::path& text) const {
  std::ifstream file(text, std::ios::binary);
  if (!file) throw std::runtime_error(text.string() + ": must be a file that can be read");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::vector<examples::TokenId> ids;
  tokenizer_->encode(bytes, ids);
  Encoded result;
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  result.bytes = static_cast<int64_t>(bytes.size());
  result.tokens = static_cast<int64_t>(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    result.checksum += (uint64_t{i} + 1) * static_cast<uint64_t>(ids[i]);
  }
  return result;
}

}  // namespace gpt2_benchmark
