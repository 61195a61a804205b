// SPDX-License-Identifier: Apache-2.0
// Blocks of one parameter on several threads: the same bits, and nothing shared (ThreadSanitizer
// sees these threads, not those of LibTorch's OpenMP). No LibTorch.
#include <gtest/gtest.h>

#include <cstdint>
#include <ivon/kernels/cpu.hpp>
#include <thread>
#include <vector>

namespace {

using namespace ivon::detail;

std::vector<std::vector<float>> train(int64_t threads) {
  const int64_t count = 10 * kNoiseBlock + 77;
  const auto n = static_cast<size_t>(count);
  std::vector<float> m(n, 0.5F), h(n, 1.0F), g(n, 0.1F), theta(n), gradient(n, 0.25F);
  const PosteriorScale scale(1e3, 1e-2, 0.5);
  const PosteriorArrays arrays{Dtype::kFloat32, m.data(), nullptr, h.data(), count};
  const auto on_threads = [&](const auto& block_work) {
    std::vector<std::thread> pool;
    for (int64_t t = 0; t < threads; ++t) {
      pool.emplace_back([&, t] {
        for (int64_t block = t; block < block_count(count); block += threads) block_work(block);
      });
    }
    for (std::thread& thread : pool) thread.join();
  };
  for (uint64_t draw = 0; draw < 3; ++draw) {
    const SampleTask sample{arrays, theta.data(), {{7, draw, NoiseDomain::kTraining, 0}, scale}};
    const SampleTask next{arrays, theta.data(), {{7, draw + 9, NoiseDomain::kTraining, 0}, scale}};
    const UpdateTask update{
        arrays,
        g.data(),
        theta.data(),
        gradient.data(),
        nullptr,
        nullptr,
        1,
        StatisticFrom::kTheta,
        sample.drawing,
        {scale, 0.9, 1 - 0.9, 1e-3, 1e3, -1e3, 1.0, 0.05, 1e3, -1e3, 1.0, 0.0, 0.0, 0.0}};
    const Isa isa = current_isa();
    on_threads([&](int64_t block) { sample_block(isa, sample, block); });
    on_threads(
        [&](int64_t block) { (void)step_block<ivon::PriceEstimator>(isa, update, next, block); });
  }
  return {m, h, g, theta};
}

TEST(KernelsThreads, DoNotMatter) {
  const auto one = train(1);
  EXPECT_EQ(train(2), one);
  EXPECT_EQ(train(5), one);
}

}  // namespace
