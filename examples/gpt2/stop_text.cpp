// SPDX-License-Identifier: Apache-2.0
#include "stop_text.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace gpt2 {
namespace {

// The most bytes at the end of `bytes` with which `stop` begins, fewer than all of `stop`.
size_t stop_text_overlap(std::string_view bytes, std::string_view stop) {
  size_t length = stop.empty() ? 0 : std::min(bytes.size(), stop.size() - 1);
  while (bytes.substr(bytes.size() - length) != stop.substr(0, length)) --length;
  return length;
}

}  // namespace

std::vector<GeneratedToken> StopText::add(GeneratedToken token) {
  if (found_) return {};
  held_bytes_ += token.bytes;
  held_.push_back(std::move(token));
  const size_t place = text_.empty() ? std::string::npos : held_bytes_.find(text_);
  if (place == std::string::npos) {
    return release(held_bytes_.size() - stop_text_overlap(held_bytes_, text_));
  }
  found_ = true;
  std::vector<GeneratedToken> before = release(place);
  if (held_bytes_.compare(0, text_.size(), text_) != 0) {
    // The stop text begins inside of the first token that is still held.
    GeneratedToken& cut = before.emplace_back(std::move(held_.front()));
    cut.bytes.resize(held_bytes_.find(text_));
  }
  held_.clear();
  held_bytes_.clear();
  return before;
}

std::vector<GeneratedToken> StopText::finish() {
  return found_ ? std::vector<GeneratedToken>() : release(held_bytes_.size());
}

std::vector<GeneratedToken> StopText::release(size_t size) {
  size_t bytes = 0, count = 0;
  while (count < held_.size() && bytes + held_[count].bytes.size() <= size) {
    bytes += held_[count++].bytes.size();
  }
  const auto end = held_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<GeneratedToken> result(std::make_move_iterator(held_.begin()),
                                     std::make_move_iterator(end));
  held_.erase(held_.begin(), end);
  held_bytes_.erase(0, bytes);
  return result;
}

}  // namespace gpt2
