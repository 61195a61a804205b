// SPDX-License-Identifier: Apache-2.0
// What a run writes for other programs to read: log.jsonl while it runs, results.json at its end.
#pragma once

#include <filesystem>
#include <fstream>

#include "common/settings.hpp"

namespace examples {

// `folder`/log.jsonl, one JSON object a line. Lines may repeat a step: a run that was killed goes
// on from its last checkpoint. The later line counts.
class RunLog {
 public:
  // Creates the folder. A resumed run appends, another one starts the file anew. Throws
  // std::runtime_error naming the file if it cannot be opened.
  RunLog(const std::filesystem::path& folder, bool resume);

  // Adds a line and hands it to the system at once. A full disk does not stop the run: the line is
  // lost.
  void write(const Json& line);

 private:
  std::ofstream out_;
};

// `folder`/results.json, indented, replaced only when it is whole; creates the folder. Throws
// std::runtime_error naming the file and the reason if it cannot be written.
void write_results(const std::filesystem::path& folder, const Json& results);

}  // namespace examples
