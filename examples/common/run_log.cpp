// SPDX-License-Identifier: Apache-2.0
#include "common/run_log.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "common/atomic_file.hpp"

namespace examples {

RunLog::RunLog(const std::filesystem::path& folder, bool resume) {
  std::filesystem::create_directories(folder);
  const auto file = folder / "log.jsonl";
  out_.open(file, resume ? std::ios::app : std::ios::trunc);
  if (!out_) {
    throw std::runtime_error(fmt::format(
        "{}: cannot be written; check the folder's permissions and free space", file.string()));
  }
}

void RunLog::write(const Json& line) {
  out_.clear();
  out_ << line.dump() << "\n" << std::flush;
}

void write_results(const std::filesystem::path& folder, const Json& results) {
  std::filesystem::create_directories(folder);
  write_atomically(folder / "results.json", results.dump(2) + "\n");
}

}  // namespace examples
