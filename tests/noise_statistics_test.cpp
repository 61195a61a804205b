// SPDX-License-Identifier: Apache-2.0
// The noise stream against its specification (docs/noise.md, golden/noise.json) and against N(0,
// 1). Without LibTorch.
//
// Every bound is 5 standard errors of what it bounds, for independent standard normals: a right
// generator fails one bound in two million. The numbers beside the bounds are for 1e8 draws.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "ivon/kernels/normal.hpp"

namespace {

using ivon::detail::fill_normal;
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

double bound(double variance, double count = static_cast<double>(kDraws)) {
  return 5 * std::sqrt(variance / count);
}

std::string text_of(const NoiseKey& key) {
  return "seed " + std::to_string(key.seed) + " domain " +
         std::to_string(static_cast<int>(key.domain)) + " draw " + std::to_string(key.draw) +
         " parameter " + std::to_string(key.parameter);
}

// ---- moments, tails, distribution
// -----------------------------------------------------------------------------------

// Sums and a histogram of everything that add() saw.
class Summary {
 public:
  static constexpr int kBins = 1 << 16;
  static constexpr double kRange =
      8;  // bins cover [-8, 8); the largest radius of the stream is 6.77

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
    for (int k = 0; k < 4; ++k) sums_[k] += sums[k];
    count_ += count;
  }

  double count() const { return static_cast<double>(count_); }
  double raw_moment(int order) const { return sums_[order - 1] / count(); }

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

void expect_standard_normal(const Summary& summary) {
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
}

TEST(NoiseStatistics, OneLongTensor) {
  const NoiseKey key{kSeed, NoiseDomain::kTraining, 0, 0};
  SCOPED_TRACE(text_of(key));
  std::vector<float> block(kNoiseBlock);
  Summary all;
  double mean_squares = 0;
  double energy_squares = 0;
  for (int64_t b = 0; b < kBlocks; ++b) {
    fill_normal(key, b, block.data(), kNoiseBlock);
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
  expect_standard_normal(all);
  // Blocks scatter as they should: block means (variance 1) and energies (variance 1) over 24415
  // blocks.
  EXPECT_NEAR(mean_squares / kBlocks, 1, bound(2, kBlocks));                         // 0.045
  EXPECT_NEAR(energy_squares / kBlocks, 1, bound(2 + 12.0 / kNoiseBlock, kBlocks));  // 0.045
}

// As an optimizer draws it: many small parameters, many steps, so that few numbers come from one
// key.
TEST(NoiseStatistics, ManySmallTensorsAndSteps) {
  constexpr int64_t kCount = 100;
  std::vector<float> values(kCount);
  Summary all;
  for (uint64_t draw = 0; draw < static_cast<uint64_t>(kDraws / (kCount * 100)); ++draw) {
    for (uint32_t parameter = 0; parameter < 100; ++parameter) {
      fill_normal({kSeed + 1, NoiseDomain::kTraining, draw, parameter}, 0, values.data(), kCount);
      all.add(values.data(), kCount);
    }
  }
  SCOPED_TRACE("seed " + std::to_string(kSeed + 1));
  expect_standard_normal(all);
}

// ---- correlation
// ----------------------------------------------------------------------------------------------------

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

// Lags within a tensor: neighbours, the other half of a Box-Muller pair (16), the same lane (32),
// two pairs on (64).
TEST(NoiseStatistics, NeighbouringElements) {
  const NoiseKey key{kSeed + 2, NoiseDomain::kTraining, 3, 1};
  SCOPED_TRACE(text_of(key));
  constexpr std::array<int64_t, 9> kLags = {1, 2, 3, 15, 16, 17, 31, 32, 64};
  std::array<Correlation, kLags.size()> correlations;
  std::vector<float> values(2 * kNoiseBlock);
  for (int64_t b = 0; b < kBlocks; ++b) {
    fill_normal(key, b, values.data(), 2 * kNoiseBlock);
    for (size_t i = 0; i < kLags.size(); ++i) {
      correlations[i].add(values.data(), values.data() + kLags[i], kNoiseBlock);
    }
  }
  for (size_t i = 0; i < kLags.size(); ++i) {
    SCOPED_TRACE("lag " + std::to_string(kLags[i]));
    correlations[i].expect_none();
  }
}

// Two keys that differ in one thing, over 1e8 elements.
void expect_uncorrelated(const NoiseKey& a, const NoiseKey& b, int64_t block_distance = 0) {
  SCOPED_TRACE(text_of(a) + " against " + text_of(b) +
               ", blocks apart: " + std::to_string(block_distance));
  Correlation correlation;
  std::vector<float> x(kNoiseBlock);
  std::vector<float> y(kNoiseBlock);
  for (int64_t block = 0; block < kBlocks; ++block) {
    fill_normal(a, block, x.data(), kNoiseBlock);
    fill_normal(b, block + block_distance, y.data(), kNoiseBlock);
    correlation.add(x.data(), y.data(), kNoiseBlock);
  }
  correlation.expect_none();
}

constexpr NoiseKey kBase{kSeed + 3, NoiseDomain::kTraining, 5, 2};

TEST(NoiseStatistics, NeighbouringBlocks) { expect_uncorrelated(kBase, kBase, 1); }

// Steps and the samples of one step are both numbered by the draw.
TEST(NoiseStatistics, NeighbouringDraws) {
  auto next = kBase;
  next.draw += 1;
  expect_uncorrelated(kBase, next);
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
  constexpr int64_t kElements = 32;  // one round of all lanes
  std::vector<float> now(kElements);
  std::vector<float> before(kElements);
  std::array<Summary, kElements> summaries;
  Correlation serial;
  for (int64_t t = 0; t < kSteps; ++t) {
    fill_normal({kSeed + 4, NoiseDomain::kTraining, static_cast<uint64_t>(t), 7}, 0, now.data(),
                kElements);
    for (size_t i = 0; i < kElements; ++i) summaries[i].add(&now[i], 1);
    if (t > 0) serial.add(now.data(), before.data(), kElements);
    std::swap(now, before);
  }
  SCOPED_TRACE("seed " + std::to_string(kSeed + 4));
  serial.expect_none();
  for (size_t i = 0; i < kElements; ++i) {
    SCOPED_TRACE("element " + std::to_string(i));
    EXPECT_NEAR(summaries[i].raw_moment(1), 0, bound(1, kSteps));   // 5.0e-3
    EXPECT_NEAR(summaries[i].raw_moment(2), 1, bound(2, kSteps));   // 7.1e-3
    EXPECT_NEAR(summaries[i].raw_moment(3), 0, bound(15, kSteps));  // 1.9e-2
    EXPECT_NEAR(summaries[i].raw_moment(4), 3, bound(96, kSteps));  // 4.9e-2
    EXPECT_LE(summaries[i].kolmogorov_smirnov(), kolmogorov_bound(kSteps));
  }
}

// ---- keys
// -----------------------------------------------------------------------------------------------------------

// Every field of the key, in every bit that its width has, leads to another block.
TEST(NoiseKeys, EveryBitOfEveryFieldCounts) {
  std::set<std::array<uint32_t, 4>> seen;
  int64_t keys = 0;
  const auto look = [&](const NoiseKey& key, int64_t block) {
    std::array<float, 4> values;
    fill_normal(key, block, values.data(), 4);
    std::array<uint32_t, 4> bits;
    std::memcpy(bits.data(), values.data(), sizeof(bits));
    seen.insert(bits);
    ++keys;
  };
  for (const auto domain : {NoiseDomain::kTraining, NoiseDomain::kPrediction}) {
    const NoiseKey zero{0, domain, 0, 0};
    look(zero, 0);
    for (int bit = 0; bit < 64; ++bit) {
      auto key = zero;
      key.seed = uint64_t{1} << bit;
      look(key, 0);
      key = zero;
      key.draw = uint64_t{1} << bit;
      look(key, 0);
      key = zero;
      key.parameter = uint32_t{1} << bit % 24;
      if (bit < 24) look(key, 0);
      if (bit < 32) look(zero, int64_t{1} << bit);
    }
  }
  EXPECT_EQ(static_cast<int64_t>(seen.size()), keys);
  EXPECT_EQ(keys, 2 * (1 + 64 + 64 + 24 + 32));
}

// Any count is a prefix; any block can be made alone.
TEST(NoiseKeys, PrefixesAndBlocks) {
  std::vector<float> whole(3 * kNoiseBlock);
  fill_normal(kBase, 0, whole.data(), 3 * kNoiseBlock);
  const auto same = [&](int64_t first_block, int64_t count) {
    std::vector<float> part(static_cast<size_t>(count) + 1, -99.0F);
    fill_normal(kBase, first_block, part.data(), count);
    EXPECT_EQ(part[static_cast<size_t>(count)], -99.0F) << "written past the end, count " << count;
    EXPECT_EQ(std::memcmp(part.data(), whole.data() + first_block * kNoiseBlock,
                          static_cast<size_t>(count) * sizeof(float)),
              0)
        << "block " << first_block << " count " << count;
  };
  for (int64_t count = 0; count <= 70; ++count) same(0, count);
  for (const int64_t count : {kNoiseBlock - 1, kNoiseBlock, kNoiseBlock + 1, 2 * kNoiseBlock})
    same(0, count);
  same(1, kNoiseBlock);
  same(2, 5);
  same(1, kNoiseBlock + 33);
}

// ---- fixed values
// ---------------------------------------------------------------------------------------------------

// Known-answer vectors of Philox4x32-10 as its authors publish them (Random123, kat_vectors).
TEST(NoiseVectors, Philox) {
  using ivon::detail::philox4x32_10;
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, 0, 0),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Bit for bit what golden/noise.py computed from docs/noise.md.
TEST(NoiseVectors, MatchTheIndependentImplementation) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/noise.json");
  ASSERT_TRUE(in) << "golden/noise.json is missing";
  const auto file = nlohmann::json::parse(in);
  ASSERT_EQ(file["stream_id"], ivon::detail::kNoiseStreamId);
  ASSERT_GE(file["cases"].size(), 8U);
  for (const auto& record : file["cases"]) {
    const NoiseKey key{
        std::stoull(record["seed"].get<std::string>()), static_cast<NoiseDomain>(record["domain"]),
        std::stoull(record["draw"].get<std::string>()), record["parameter"].get<uint32_t>()};
    SCOPED_TRACE(text_of(key));
    const int64_t first = record["first_element"];
    const auto expected = record["bits"].get<std::vector<std::string>>();
    const int64_t block = first / kNoiseBlock;
    const int64_t skip = first % kNoiseBlock;
    std::vector<float> values(static_cast<size_t>(skip) + expected.size());
    fill_normal(key, block, values.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(bits_of(values[static_cast<size_t>(skip) + i]),
                std::stoul(expected[i], nullptr, 16))
          << "element " << i;
    }
  }
  const auto hex = [](const nlohmann::json& text) {
    return static_cast<uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
  };
  ASSERT_GE(file["words"].size(), 500U);
  for (size_t i = 0; i < file["words"].size(); ++i) {
    const uint32_t word = hex(file["words"][i]);
    SCOPED_TRACE("word " + std::to_string(word));
    float cosine;
    float sine;
    ivon::detail::box_muller_direction(word, cosine, sine);
    EXPECT_EQ(bits_of(ivon::detail::box_muller_radius(word)), hex(file["radius"][i]));
    EXPECT_EQ(bits_of(cosine), hex(file["cosine"][i]));
    EXPECT_EQ(bits_of(sine), hex(file["sine"][i]));
  }
}

// Every route through fill_normal gives the same bits: the portable one and the one with FMA
// instructions.
TEST(NoiseVectors, PortableCodeGivesTheSameBits) {
  std::vector<float> picked(kNoiseBlock);
  std::vector<float> portable(kNoiseBlock);
  for (const int64_t block : {0, 1, 77777}) {
    fill_normal(kBase, block, picked.data(), kNoiseBlock);
    ivon::detail::fill_block_portable(kBase, static_cast<uint32_t>(block), portable.data(),
                                      kNoiseBlock);
    EXPECT_EQ(std::memcmp(picked.data(), portable.data(), kNoiseBlock * sizeof(float)), 0)
        << "block " << block;
  }
}

// Radius and direction against libm in double; the bounds are those that kernels/normal.hpp states,
// plus the rounding of the float operations around the polynomials.
TEST(NoiseVectors, BoxMullerAccuracy) {
  const double pi = std::acos(-1.0);
  double radius_error = 0;
  double direction_error = 0;
  const auto check = [&](uint32_t word) {
    const double u = static_cast<float>((double{static_cast<double>(word)} + 0.5) * 0x1p-32);
    const double expected = std::sqrt(-2 * std::log(u));
    const double radius = ivon::detail::box_muller_radius(word);
    EXPECT_GE(radius, 0) << word;
    radius_error = std::max(radius_error, std::abs(radius - expected) / std::max(expected, 1e-3));
    float cosine;
    float sine;
    ivon::detail::box_muller_direction(word, cosine, sine);
    const double angle =
        pi * static_cast<double>(static_cast<float>(static_cast<int32_t>(word))) * 0x1p-32;
    const double mirror = (word & 1U) != 0 ? -1 : 1;
    direction_error = std::max(direction_error, std::abs(cosine - mirror * std::cos(angle)));
    direction_error = std::max(direction_error, std::abs(sine - std::sin(angle)));
  };
  for (uint64_t word = 0; word < (uint64_t{1} << 32); word += 4099)
    check(static_cast<uint32_t>(word));
  for (const uint32_t word : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffffeU, 0xffffffffU})
    check(word);
  EXPECT_LE(radius_error, 2e-7);
  EXPECT_LE(direction_error, 2e-7);
  EXPECT_NEAR(ivon::detail::box_muller_radius(0), std::sqrt(2 * std::log(2.0) * 33),
              1e-6);  // 6.77: the longest tail
}

}  // namespace
