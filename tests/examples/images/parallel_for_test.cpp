// SPDX-License-Identifier: Apache-2.0
// examples/common/data/parallel_for.hpp: each item once, the first error, reports.
#include "common/data/parallel_for.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "small.hpp"

namespace {

using examples_test::error_of;

TEST(ParallelFor, DoesEachItemOnce) {
  for (const int64_t count : {0, 1, 50}) {
    std::vector<std::atomic<int>> calls(50);
    examples::parallel_for(
        count, 3, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; }, std::chrono::seconds(9),
        [](int64_t) {});
    for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)], i < count ? 1 : 0);
  }
}

TEST(ParallelFor, ThrowsTheErrorOfAnItemAndReports) {
  std::atomic<int> calls{0};
  int reports = 0;
  const auto work = [&](int64_t i) {
    ++calls;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (i == 3) throw std::runtime_error("the third");
  };
  const auto run = [&] {
    examples::parallel_for(1000, 2, work, std::chrono::milliseconds(1),
                           [&](int64_t) { ++reports; });
  };
  EXPECT_EQ(error_of(run), "the third");
  EXPECT_LT(calls, 10);
  EXPECT_GT(reports, 0);
}

}  // namespace
