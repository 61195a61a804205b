// SPDX-License-Identifier: Apache-2.0
// The error of a file that cannot be used.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace examples {

inline constexpr const char* kCannotBeOpened =
    "cannot be opened; check that it exists and is readable";

// Throws std::runtime_error with the message "FILE: WHAT".
[[noreturn]] inline void fail_file(const std::filesystem::path& file, const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", file.string(), what));
}

}  // namespace examples
