// SPDX-License-Identifier: Apache-2.0
// The noise streams against N(0, 1), over 1e8 draws and more. Without LibTorch.
//
// Every bound is 5 standard errors of what it bounds, for independent standard normals: a right
// generator fails one bound in two million. The numbers beside the bounds are for 1e8 draws.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ivon/kernels/normal.hpp"

namespace {

using ivon::detail::fill_normal;
using ivon::detail::fill_normal_cuda;
using ivon::detail::Isa;
using ivon::detail::kFirstNoiseStreamId;
using ivon::detail::kNoiseBlock;
using ivon::detail::NoiseDomain;
using ivon::detail::NoiseKey;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kBlocks = 2442;  // 1e7 draws: a sanitised build is ten times slower
#else
constexpr int64_t kBlocks = 24415;  // 1e8 draws
#endif
constexpr int64_t kDraws = kBlocks * kNoiseBlock;
constexpr uint64_t kSeed = 20240227;

// Stream 1, which older trainings go on with, gets a tenth of the draws.
constexpr int64_t kFirstStreamBlocks = kBlocks / 10;

// Stream 3 of CPUs is fill_normal, and stream 2 of CUDA devices is fill_normal_cuda.
using Fill = void (*)(const NoiseKey&, int64_t, float*, int64_t, Isa);
void fill_normal_first(const NoiseKey& given, int64_t block, float* out, int64_t count, Isa isa) {
  NoiseKey key = given;
  key.stream = static_cast<uint16_t>(kFirstNoiseStreamId);
  fill_normal(key, block, out, count, isa);
}

// Where the tails end: no normal is larger than the largest radius, which is 6.5556 in stream 3 and
// 6.7637 in streams 1 and 2. These are bin edges of Summary just above.
constexpr double kTailEnd = 6.5625;
constexpr double kLongTailEnd = 6.765625;

void fill_block(Fill fill, const NoiseKey& key, int64_t block, std::vector<float>& out) {
  fill(key, block, out.data(), static_cast<int64_t>(out.size()), ivon::detail::current_isa());
}

double bound(double variance, double count = static_cast<double>(kDraws)) {
  return 5 * std::sqrt(variance / count);
}

std::string text_of(const NoiseKey& key) {
  return "seed " + std::to_string(key.seed) + " domain " +
         std::to_string(static_cast<int>(key.domain)) + " draw " + std::to_string(key.draw) +
         " parameter " + std::to_string(key.parameter);
}

// --- moments, tails, distribution
//

// Sums and a histogram of everything that add() saw.
class Summary {
 public:
  static constexpr int kBins = 1 << 16;
  static constexpr double kRange = 8;  // bins cover [-8, 8)

  void add(const float* values, int64_t count) {
    double sums[4] = {};
    for (int64_t i = 0; i < count; ++i) {
      const double x = values[i];
      sums[0] += x;
      sums[1] += x * x;
      sums[2] += x * x * x;
      sums[3] += x * x * x * x;
      ++bins_[static_cast<size_t>((x + kRange) * (kBins / (2 * kRange)))];
    }
    for (size_t k = 0; k < 4; ++k) sums_[k] += sums[k];
    count_ += count;
  }

  double count() const { return static_cast<double>(count_); }
  double raw_moment(size_t order) const { return sums_[order - 1] / count(); }

  // Share of |x| >= sigmas; sigmas is a bin edge (a multiple of 2^-12).
  double tail(double sigmas, int side) const {
    const auto edge = static_cast<size_t>((sigmas + kRange) * (kBins / (2 * kRange)));
    int64_t beyond = 0;
    for (size_t i = edge; i < kBins; ++i) beyond += bins_[side > 0 ? i : kBins - 1 - i];
    return static_cast<double>(beyond) / count();
  }

  // Kolmogorov-Smirnov: largest |F_n - Phi| over the bin edges.
  double kolmogorov_smirnov() const {
    double worst = 0;
    int64_t below = 0;
    for (size_t i = 0; i + 1 < kBins; ++i) {
      below += bins_[i];
      const double edge = static_cast<double>(i + 1) * (2 * kRange / kBins) - kRange;
      const double expected = 0.5 * std::erfc(-edge / std::sqrt(2.0));
      worst = std::max(worst, std::abs(static_cast<double>(below) / count() - expected));
    }
    return worst;
  }

 private:
  std::array<double, 4> sums_ = {};
  std::vector<int64_t> bins_ = std::vector<int64_t>(kBins);
  int64_t count_ = 0;
};

// sup |F_n - Phi| sqrt(n) exceeds 2.745 with probability 5.7e-7, as 5 standard errors do.
double kolmogorov_bound(double count) { return 2.745 / std::sqrt(count); }

void expect_standard_normal(const Summary& summary, double tail_end) {
  const double n = summary.count();
  const double mean = summary.raw_moment(1);
  const double variance = summary.raw_moment(2) - mean * mean;
  const double third =
      summary.raw_moment(3) - 3 * mean * summary.raw_moment(2) + 2 * mean * mean * mean;
  const double fourth = summary.raw_moment(4) - 4 * mean * summary.raw_moment(3) +
                        6 * mean * mean * summary.raw_moment(2) - 3 * mean * mean * mean * mean;
  EXPECT_NEAR(mean, 0, bound(1, n));                             // 5.0e-4
  EXPECT_NEAR(variance, 1, bound(2, n));                         // 7.1e-4
  EXPECT_NEAR(third / std::pow(variance, 1.5), 0, bound(6, n));  // 1.23e-3
  EXPECT_NEAR(fourth / (variance * variance), 3, bound(24, n));  // 2.45e-3
  EXPECT_LE(summary.kolmogorov_smirnov(), kolmogorov_bound(n));  // 2.75e-4
  for (const double sigmas : {1.0, 2.0, 3.0, 4.0, 5.0}) {
    const double p = 0.5 * std::erfc(sigmas / std::sqrt(2.0));
    // At 1e8 a side has 134990 +- 1837 beyond 3 sigma, 3167 +- 281 beyond 4, 28.7 +- 26.8 beyond 5.
    EXPECT_NEAR(summary.tail(sigmas, +1), p, bound(p * (1 - p), n)) << sigmas << " sigma, above";
    EXPECT_NEAR(summary.tail(sigmas, -1), p, bound(p * (1 - p), n)) << sigmas << " sigma, below";
  }
  EXPECT_EQ(summary.tail(tail_end, +1), 0);
  EXPECT_EQ(summary.tail(tail_end, -1), 0);
}

void expect_one_long_tensor(Fill fill, double tail_end, int64_t blocks = kBlocks) {
  const NoiseKey key{kSeed, 0, NoiseDomain::kTraining, 0};
  SCOPED_TRACE(text_of(key));
  std::vector<float> block(kNoiseBlock);
  Summary all;
  double mean_squares = 0;
  double energy_squares = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    fill_block(fill, key, b, block);
    all.add(block.data(), kNoiseBlock);
    double sum = 0;
    double squares = 0;
    for (const float x : block) {
      sum += x;
      squares += double{x} * x;
    }
    mean_squares += sum * sum / kNoiseBlock;
    energy_squares += (squares - kNoiseBlock) * (squares - kNoiseBlock) / (2.0 * kNoiseBlock);
  }
  expect_standard_normal(all, tail_end);
  // Blocks scatter as they should: block means (variance 1) and energies (variance 1) over 24415
  // blocks.
  const auto n = static_cast<double>(blocks);
  EXPECT_NEAR(mean_squares / n, 1, bound(2, n));                         // 0.045
  EXPECT_NEAR(energy_squares / n, 1, bound(2 + 12.0 / kNoiseBlock, n));  // 0.045
}

TEST(NoiseStatistics, OneLongTensor) { expect_one_long_tensor(fill_normal, kTailEnd); }
TEST(FirstNoiseStatistics, OneLongTensor) {
  expect_one_long_tensor(fill_normal_first, kLongTailEnd, kFirstStreamBlocks);
}
TEST(CudaNoiseStatistics, OneLongTensor) { expect_one_long_tensor(fill_normal_cuda, kLongTailEnd); }

// As an optimizer draws it: many small parameters, many steps, so that few numbers come from one
// key.
TEST(NoiseStatistics, ManySmallTensorsAndSteps) {
  constexpr int64_t kCount = 100;
  std::vector<float> values(kCount);
  Summary all;
  for (uint64_t draw = 0; draw < static_cast<uint64_t>(kDraws / (kCount * 100)); ++draw) {
    for (uint32_t parameter = 0; parameter < 100; ++parameter) {
      fill_normal({kSeed + 1, draw, NoiseDomain::kTraining, parameter}, 0, values.data(), kCount);
      all.add(values.data(), kCount);
    }
  }
  SCOPED_TRACE("seed " + std::to_string(kSeed + 1));
  expect_standard_normal(all, kTailEnd);
}

// --- correlation
//

// Correlation of two equally long streams known to have mean 0 and variance 1, of their values, of
// their squares (a shared radius would show there) and of their signs.
class Correlation {
 public:
  void add(const float* x, const float* y, int64_t count) {
    double values = 0;
    double squares = 0;
    int64_t signs = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double a = x[i];
      const double b = y[i];
      values += a * b;
      squares += (a * a - 1) * (b * b - 1);
      signs += (std::signbit(x[i]) == std::signbit(y[i])) ? 1 : -1;
    }
    values_ += values;
    squares_ += squares;
    signs_ += signs;
    count_ += count;
  }

  void expect_none() const {
    const auto n = static_cast<double>(count_);
    EXPECT_NEAR(values_ / n, 0, bound(1, n));                      // 5.0e-4
    EXPECT_NEAR(squares_ / n, 0, bound(4, n));                     // 1.0e-3
    EXPECT_NEAR(static_cast<double>(signs_) / n, 0, bound(1, n));  // 5.0e-4
  }

 private:
  double values_ = 0;
  double squares_ = 0;
  int64_t signs_ = 0;
  int64_t count_ = 0;
};

// Lags within a tensor (of streams 3 and 1): neighbours, which in stream 3 may be the halves of one
// random number of 64 bits, the other half of a Box-Muller pair (16), the same lane (32), two pairs
// on (64).
void expect_no_lags(Fill fill, int64_t blocks = kBlocks) {
  const NoiseKey key{kSeed + 2, 3, NoiseDomain::kTraining, 1};
  SCOPED_TRACE(text_of(key));
  constexpr std::array<int64_t, 9> kLags = {1, 2, 3, 15, 16, 17, 31, 32, 64};
  std::array<Correlation, kLags.size()> correlations;
  std::vector<float> values(2 * kNoiseBlock);
  for (int64_t b = 0; b < blocks; ++b) {
    fill_block(fill, key, b, values);
    for (size_t i = 0; i < kLags.size(); ++i) {
      correlations[i].add(values.data(), values.data() + kLags[i], kNoiseBlock);
    }
  }
  for (size_t i = 0; i < kLags.size(); ++i) {
    SCOPED_TRACE("lag " + std::to_string(kLags[i]));
    correlations[i].expect_none();
  }
}

TEST(NoiseStatistics, NeighbouringElements) { expect_no_lags(fill_normal); }
TEST(FirstNoiseStatistics, NeighbouringElements) {
  expect_no_lags(fill_normal_first, kFirstStreamBlocks);
}
TEST(CudaNoiseStatistics, NeighbouringElements) { expect_no_lags(fill_normal_cuda); }

// Two keys that differ in one thing, over 1e8 elements.
void expect_uncorrelated(const NoiseKey& a, const NoiseKey& b, int64_t block_distance = 0,
                         Fill fill_a = fill_normal, Fill fill_b = fill_normal,
                         int64_t blocks = kBlocks) {
  SCOPED_TRACE(text_of(a) + " against " + text_of(b) +
               ", blocks apart: " + std::to_string(block_distance));
  Correlation correlation;
  std::vector<float> x(kNoiseBlock);
  std::vector<float> y(kNoiseBlock);
  for (int64_t block = 0; block < blocks; ++block) {
    fill_block(fill_a, a, block, x);
    fill_block(fill_b, b, block + block_distance, y);
    correlation.add(x.data(), y.data(), kNoiseBlock);
  }
  correlation.expect_none();
}

constexpr NoiseKey kBase{kSeed + 3, 5, NoiseDomain::kTraining, 2};

TEST(NoiseStatistics, NeighbouringBlocks) { expect_uncorrelated(kBase, kBase, 1); }

// Steps and the samples of one step are both numbered by the draw.
TEST(NoiseStatistics, NeighbouringDraws) {
  auto next = kBase;
  next.draw += 1;
  expect_uncorrelated(kBase, next);
}

TEST(CudaNoiseStatistics, NeighbouringDraws) {
  auto next = kBase;
  next.draw += 1;
  expect_uncorrelated(kBase, next, 0, fill_normal_cuda, fill_normal_cuda);
}
TEST(CudaNoiseStatistics, TheStreamOfProcessors) {
  expect_uncorrelated(kBase, kBase, 0, fill_normal, fill_normal_cuda);
}

TEST(FirstNoiseStatistics, NeighbouringDraws) {
  auto next = kBase;
  next.draw += 1;
  expect_uncorrelated(kBase, next, 0, fill_normal_first, fill_normal_first, kFirstStreamBlocks);
}
TEST(FirstNoiseStatistics, TheOtherStreams) {
  for (const Fill other : {Fill{fill_normal}, Fill{fill_normal_cuda}}) {
    expect_uncorrelated(kBase, kBase, 0, fill_normal_first, other, kFirstStreamBlocks);
  }
}

TEST(NoiseStatistics, NeighbouringParameters) {
  auto next = kBase;
  next.parameter += 1;
  expect_uncorrelated(kBase, next);
}

TEST(NoiseStatistics, TrainingAndPrediction) {
  auto prediction = kBase;
  prediction.domain = NoiseDomain::kPrediction;
  expect_uncorrelated(kBase, prediction);
}

TEST(NoiseStatistics, NeighbouringSeeds) {
  auto next = kBase;
  next.seed += 1;
  expect_uncorrelated(kBase, next);
}

// One element followed over draws (what one weight sees during training), 1e6 draws.
TEST(NoiseStatistics, OneElementOverDraws) {
  constexpr int64_t kSteps = 1000000;
  constexpr int64_t kDtypes = 32;  // one round of all lanes
  std::vector<float> now(kDtypes);
  std::vector<float> before(kDtypes);
  std::array<Summary, kDtypes> summaries;
  Correlation serial;
  for (int64_t t = 0; t < kSteps; ++t) {
    fill_normal({kSeed + 4, static_cast<uint64_t>(t), NoiseDomain::kTraining, 7}, 0, now.data(),
                kDtypes);
    for (size_t i = 0; i < kDtypes; ++i) summaries[i].add(&now[i], 1);
    if (t > 0) serial.add(now.data(), before.data(), kDtypes);
    std::swap(now, before);
  }
  SCOPED_TRACE("seed " + std::to_string(kSeed + 4));
  serial.expect_none();
  for (size_t i = 0; i < kDtypes; ++i) {
    SCOPED_TRACE("element " + std::to_string(i));
    EXPECT_NEAR(summaries[i].raw_moment(1), 0, bound(1, kSteps));   // 5.0e-3
    EXPECT_NEAR(summaries[i].raw_moment(2), 1, bound(2, kSteps));   // 7.1e-3
    EXPECT_NEAR(summaries[i].raw_moment(3), 0, bound(15, kSteps));  // 1.9e-2
    EXPECT_NEAR(summaries[i].raw_moment(4), 3, bound(96, kSteps));  // 4.9e-2
    EXPECT_LE(summaries[i].kolmogorov_smirnov(), kolmogorov_bound(kSteps));
  }
}

}  // namespace
