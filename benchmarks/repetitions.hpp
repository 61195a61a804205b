// SPDX-License-Identifier: Apache-2.0
// How often a benchmark is measured, and which of the measurements counts.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ivon_benchmark {

/// Wall time, `repetitions` times; the least counts, for a busy machine only ever adds. The main
/// program interleaves the repetitions of all benchmarks. `elements` is what one iteration works
/// on.
inline void repeat(benchmark::internal::Benchmark* benchmark, int64_t iterations, int repetitions,
                   int64_t elements) {
  benchmark->Iterations(iterations)
      ->Repetitions(repetitions)
      ->UseRealTime()
      ->Unit(benchmark::kNanosecond)
      ->ArgName("elements")
      ->Arg(elements)
      ->ReportAggregatesOnly()
      ->ComputeStatistics("min", [](const std::vector<double>& values) {
        return *std::min_element(values.begin(), values.end());
      });
}

}  // namespace ivon_benchmark
