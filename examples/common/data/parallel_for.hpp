// SPDX-License-Identifier: Apache-2.0
// A loop over independent items on several threads, with regular reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace examples {

// For a CountProgress (common/progress.hpp), which prints less often.
inline constexpr std::chrono::milliseconds kReportInterval{100};

// Calls work(0) to work(count - 1), each once, from `threads` >= 1 threads, and report(done) on the
// calling thread after each `interval` with the number of items that are done; report must not
// throw. Throws the first exception of work(), after which no further item is begun. Where the
// system starts fewer threads these do all of the work; if it starts none, the calling thread works
// and reports nothing.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t index)>& work,
                  std::chrono::milliseconds interval,
                  const std::function<void(int64_t done)>& report);

}  // namespace examples
