// SPDX-License-Identifier: Apache-2.0
// The time of each of several training steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace benchmark_common {

// Calls step() `count` times; the seconds of each call.
template <class Step>
std::vector<double> timed_steps(int64_t count, const Step& step) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int64_t i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    step();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return seconds;
}

}  // namespace benchmark_common
