// SPDX-License-Identifier: Apache-2.0
// Update and next sample in one loop give the bits of the two passes. No LibTorch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ivon/kernels/cpu.hpp>
#include <limits>
#include <random>
#include <vector>

#include "kernels_support.hpp"

namespace {

using namespace ivon::detail;
using ivon_test::instruction_sets;

struct Parameter {
  std::vector<float> m, h, g, theta, gradient;
  explicit Parameter(int64_t count) {
    std::mt19937 random(static_cast<uint32_t>(count));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < count; ++i) {
      m.push_back(normal(random));
      h.push_back(0.1F + std::abs(normal(random)));
      g.push_back(0.1F * normal(random));
      theta.push_back(m.back() + 0.01F * normal(random));
      gradient.push_back(i % 97 == 5 ? std::numeric_limits<float>::quiet_NaN() : normal(random));
    }
  }
  PosteriorArrays arrays() {
    return {Dtype::kFloat32, m.data(), nullptr, h.data(), static_cast<int64_t>(m.size())};
  }
  bool operator==(const Parameter& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    };
    return same(m, other.m) && same(h, other.h) && same(g, other.g) && same(theta, other.theta);
  }
};

const PosteriorScale kStepScale(1e3, 1e-2, 0.5);
const UpdateCoefficients kStepCoefficients{kStepScale,     0.9,  1 - 0.9, 1e-3, 2.0,
                                           -2.0,           10.0, 0.05,    0.5,  -0.5,
                                           1 - 1e-2 * 0.5, 0.0,  0.0,     0.0};

template <class Estimator>
void expect_same_bits(int64_t count, StatisticFrom from, bool damped = false,
                      int64_t stream = kNoiseStreamId) {
  const Drawing drawn{{11, 5, NoiseDomain::kTraining, 3, stream}, kStepScale};
  const Drawing next{{11, 6, NoiseDomain::kTraining, 3, stream}, kStepScale};
  UpdateCoefficients coefficients = kStepCoefficients;
  if (damped) {
    coefficients.smallest_hess = 1e-3;
    coefficients.square_weight = 4e-3;
    coefficients.kept_square = 1 - 1e-3;
  }
  const auto tasks = [&](Parameter& p) {
    return std::make_pair(UpdateTask{p.arrays(), p.g.data(), p.theta.data(), p.gradient.data(),
                                     nullptr, nullptr, 1, from, drawn, coefficients},
                          SampleTask{p.arrays(), p.theta.data(), next});
  };
  for (const Isa isa : instruction_sets()) {
    Parameter one(count), two(count);
    auto [update_one, sample_one] = tasks(one);
    auto [update_two, sample_two] = tasks(two);
    int64_t total = 0;
    for (int64_t block = 0; block < block_count(count); ++block) {
      const int64_t skipped = step_block<Estimator>(isa, update_one, sample_one, block);
      EXPECT_EQ(skipped, update_block<Estimator>(isa, update_two, block));
      total += skipped;
      sample_block(isa, sample_two, block);
    }
    EXPECT_GT(total, 0);
    EXPECT_TRUE(one == two) << isa_name(isa) << ", " << count;
  }
}

TEST(KernelsStep, SameBitsAsTheTwoPasses) {
  // Element 5 is not finite, and expect_same_bits() wants one that is skipped.
  std::vector<int64_t> counts = {1000, 4096 - 1, 4096, 4096 + 6, 8192, 3 * 4096 - 32};
  for (int64_t count = 6; count <= 100; ++count) counts.push_back(count);
  for (const int64_t count : counts) {
    expect_same_bits<ivon::PriceEstimator>(count, StatisticFrom::kTheta);
    expect_same_bits<ivon::GradSquaredEstimator>(count, StatisticFrom::kTheta);
    expect_same_bits<ivon::PriceEstimator>(count, StatisticFrom::kNoise);
    expect_same_bits<ivon::PriceEstimator>(count, StatisticFrom::kTheta, /*damped=*/true);
    for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kNoise}) {
      expect_same_bits<ivon::PriceEstimator>(count, from, /*damped=*/false, kFirstNoiseStreamId);
    }
  }
}

// Returns h after an update whose statistic comes from theta, which `drawn` made, or from the noise
// that the update draws again. Where m is 0, theta - m has the bits of the noise times sigma.
std::vector<float> hess_after_update(Isa isa, StatisticFrom from, int64_t stream) {
  Parameter p(2 * kNoiseBlock);
  std::fill(p.m.begin(), p.m.end(), 0.0F);
  const Drawing drawn{{11, 5, NoiseDomain::kTraining, 3, stream}, kStepScale};
  const UpdateTask task{p.arrays(), p.g.data(), p.theta.data(), p.gradient.data(), nullptr, nullptr,
                        1,          from,       drawn,          kStepCoefficients};
  for (int64_t block = 0; block < 2; ++block) {
    sample_block(isa, {p.arrays(), p.theta.data(), drawn}, block);
    update_block<ivon::PriceEstimator>(isa, task, block);
  }
  return p.h;
}

TEST(KernelsStep, TheUpdateDrawsTheStreamOfTheSampleAgain) {
  for (const Isa isa : instruction_sets()) {
    const auto of_third = hess_after_update(isa, StatisticFrom::kTheta, kNoiseStreamId);
    const auto of_first = hess_after_update(isa, StatisticFrom::kTheta, kFirstNoiseStreamId);
    EXPECT_EQ(hess_after_update(isa, StatisticFrom::kNoise, kNoiseStreamId), of_third);
    EXPECT_EQ(hess_after_update(isa, StatisticFrom::kNoise, kFirstNoiseStreamId), of_first);
    EXPECT_NE(of_first, of_third) << isa_name(isa);
  }
}

}  // namespace
