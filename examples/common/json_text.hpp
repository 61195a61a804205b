// SPDX-License-Identifier: Apache-2.0
// Values of JSON in messages.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace examples {

// A string, number, boolean or null as JSON in ASCII, cut after 60 bytes; "a list" or "an object"
// for the others, because writing them needs stack in proportion to their depth, so that a hostile
// file could end the program. Never throws for text that is not UTF-8.
template <class Json>
std::string json_text(const Json& value) {
  constexpr size_t kMostBytes = 60;
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  const std::string text =
      value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() <= kMostBytes ? text : text.substr(0, kMostBytes) + "...";
}

}  // namespace examples
