// SPDX-License-Identifier: Apache-2.0
#include "noise.hpp"

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <ivon/kernels/normal.hpp>
#include <vector>

#include "repetitions.hpp"

namespace ivon_benchmark {
namespace {

constexpr int64_t kCount = 4 * ivon::detail::kNoiseBlock;

// Mean, variance and fourth moment of standard normals, within 6 standard errors.
bool looks_normal(const at::Tensor& values) {
  const auto x = values.to(at::kDouble);
  const double n = static_cast<double>(x.numel());
  const auto near = [&](int power, double expected, double variance) {
    return std::abs(x.pow(power).mean().item<double>() - expected) < 6 * std::sqrt(variance / n);
  };
  return near(1, 0, 1) && near(2, 1, 2) && near(4, 3, 96);
}

void fill_normal(benchmark::State& state) {
  at::Tensor values = at::empty({kCount});
  ivon::detail::NoiseKey key;
  key.seed = 20240227;
  float* out = values.mutable_data_ptr<float>();
  for (auto _ : state) {
    ++key.draw;
    ivon::detail::fill_normal(key, 0, out, kCount);
    benchmark::ClobberMemory();
  }
  std::vector<float> portable(kCount);
  ivon::detail::fill_normal(key, 0, portable.data(), kCount, ivon::detail::Isa::kPortable);
  if (!looks_normal(values)) state.SkipWithError("wrong result: not standard normal");
  if (!std::equal(portable.begin(), portable.end(), out)) {
    state.SkipWithError("wrong result: not the bits of the portable kernels");
  }
}

void at_normal(benchmark::State& state) {
  at::Tensor values = at::empty({kCount});
  for (auto _ : state) {
    values.normal_();
    benchmark::ClobberMemory();
  }
  if (!looks_normal(values)) state.SkipWithError("wrong result: not standard normal");
}

}  // namespace

void register_noise(int repetitions) {
  repeat(benchmark::RegisterBenchmark("noise/ivon_normal", fill_normal), 20, repetitions, kCount);
  repeat(benchmark::RegisterBenchmark("noise/at_normal", at_normal), 20, repetitions, kCount);
}

}  // namespace ivon_benchmark
