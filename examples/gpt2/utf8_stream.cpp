// SPDX-License-Identifier: Apache-2.0
#include "utf8_stream.hpp"

#include <cstddef>
#include <utility>

#include "common/text/utf8.hpp"

namespace gpt2 {
namespace {

using examples::Utf8Kind;

constexpr const char* kUtf8Replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr char32_t kReplacementPoint = 0xFFFD;

}  // namespace

std::string Utf8Stream::add(std::string_view bytes) {
  const std::string all = std::exchange(waiting_, {}) + std::string(bytes);
  std::string whole;
  std::string_view rest = all;
  while (!rest.empty()) {
    const examples::Utf8Head head = examples::utf8_head(rest);
    if (head.kind == Utf8Kind::kUnfinished) {
      waiting_ = rest;
      break;
    }
    const auto length = static_cast<size_t>(head.length);
    whole +=
        head.kind == Utf8Kind::kWhole ? rest.substr(0, length) : std::string_view(kUtf8Replacement);
    rest.remove_prefix(length);
  }
  return whole;
}

std::string Utf8Stream::finish() {
  return std::exchange(waiting_, {}).empty() ? std::string() : kUtf8Replacement;
}

std::string valid_utf8(std::string_view bytes) {
  Utf8Stream stream;
  const std::string whole = stream.add(bytes);
  return whole + stream.finish();
}

std::u32string code_points(std::string_view bytes) {
  std::u32string points;
  while (!bytes.empty()) {
    const examples::Utf8Head head = examples::utf8_head(bytes);
    points += head.kind == Utf8Kind::kWhole ? char32_t{head.code_point} : kReplacementPoint;
    bytes.remove_prefix(static_cast<size_t>(head.length));
  }
  return points;
}

}  // namespace gpt2
