// SPDX-License-Identifier: Apache-2.0
// The fused passes against the formulas in double: every instruction set, element type, source of
// the statistic and estimator; what is not finite; halves. Without LibTorch.
#include "kernels_support.hpp"

namespace {

using namespace ivon_test;

constexpr int64_t kCount = kNoiseBlock + 37;  // more than a block, with an odd end

std::string where(Isa isa, Dtype dtype, int64_t i) {
  return std::string(isa_name(isa)) + ", " + name_of(dtype) + ", element " + std::to_string(i);
}

void expect_sample_follows_the_formula(int64_t stream) {
  const std::vector<double> noise = normals(kCount, stream);
  for (const Dtype dtype : kDtypes) {
    for (const Isa isa : instruction_sets()) {
      Parameter p(dtype, kCount);
      p.sample(isa, kScale, stream);
      for (int64_t i = 0; i < kCount; ++i) {
        const double sigma = sigma_of(p.get(kHess, i), kScale);
        const double part = sigma * noise[static_cast<size_t>(i)];
        const double size = std::abs(p.mean(i)) + std::abs(part);
        ASSERT_NEAR(
            p.get(kTheta, i), p.mean(i) + part,
            tolerance::kSampleRoundings * rounding(dtype) * size + shown_rounding(dtype, size))
            << where(isa, dtype, i);
      }
    }
  }
}

TEST(Kernels, SampleFollowsTheFormula) {
  for (const int64_t stream : {kNoiseStreamId, kFirstNoiseStreamId}) {
    SCOPED_TRACE("stream " + std::to_string(stream));
    expect_sample_follows_the_formula(stream);
  }
}

// What the update reads, element by element: the averages of statistic and gradient.
template <class Estimator>
double expected_average(const std::array<std::vector<double>, kArrays>& old, size_t i,
                        StatisticFrom from, double samples, const std::vector<double>& noise,
                        const PosteriorScale& scale) {
  if (from == StatisticFrom::kSums) return old[kStatisticSum][i] / samples;
  const double gradient = old[kGradient][i];
  if (!kIsPrice<Estimator>) return gradient * gradient;
  const double deviation = from == StatisticFrom::kTheta
                               ? old[kTheta][i] - old[kMean][i]
                               : noise[i] * sigma_of(old[kHess][i], scale);
  return deviation * gradient;
}

template <class Estimator>
void expect_update_follows_the_formula(const UpdateCoefficients& c) {
  const std::vector<double> noise = normals(kCount);
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : kSources) {
      for (const Isa isa : instruction_sets()) {
        const double samples = from == StatisticFrom::kSums ? 3 : 1;
        Parameter p(dtype, kCount);
        const auto old = p.values();
        ASSERT_EQ(p.update<Estimator>(isa, c, from, samples), 0);
        const double eps = rounding(dtype);
        for (size_t i = 0; i < kCount; ++i) {
          const auto at = static_cast<int64_t>(i);
          SCOPED_TRACE(where(isa, dtype, at) + ", source " +
                       std::to_string(static_cast<int>(from)));
          const double m = old[kMean][i], h = old[kHess][i], g = old[kMomentum][i];
          const double gradient =
              from == StatisticFrom::kSums ? old[kGradientSum][i] / samples : old[kGradient][i];
          const double average = expected_average<Estimator>(old, i, from, samples, noise, c.scale);
          const Expected e = expected_update<Estimator>(m, h, g, average, gradient, c);
          const double s = std::max(h, c.scale.hess_floor) + c.scale.weight_decay;
          const double hhat = c.scale.ess * average * (kIsPrice<Estimator> ? s : 1.0);
          const double u = c.one_minus_beta2 * std::min(std::abs(hhat - h), c.hess_clip * s);
          // With damping, what is summed is e.hess^2, whose relative error e.hess halves.
          const double hess_size =
              is_damped(c) ? 4 * e.hess + std::sqrt(c.square_weight) * std::abs(gradient) + h
                           : h + u * (1 + u / s);
          ASSERT_NEAR(p.get(kHess, at), e.hess, tolerance::kHessRoundings * eps * hess_size);
          ASSERT_NEAR(p.get(kMomentum, at), e.momentum,
                      tolerance::kMomentumRoundings * eps * (std::abs(g) + std::abs(gradient)));
          const double step =
              c.step_size * ((std::abs(g) + std::abs(gradient)) * c.debias + std::abs(m)) /
              (e.hess + c.scale.weight_decay) * (1 + hess_size / (e.hess + c.scale.weight_decay));
          const double error = tolerance::kMeanRoundings * eps * (std::abs(m) + step);
          ASSERT_NEAR(p.mean(at), e.mean, error);
          if (is_half(dtype)) {
            ASSERT_EQ(p.get(kMean, at),
                      half_value(dtype, static_cast<uint16_t>(half_bits(dtype, p.get(kWide, at)))));
          }
        }
      }
    }
  }
}

TEST(Kernels, UpdateFollowsTheFormulaPrice) {
  expect_update_follows_the_formula<ivon::PriceEstimator>(coefficients());
}
TEST(Kernels, UpdateFollowsTheFormulaGradSquared) {
  expect_update_follows_the_formula<ivon::GradSquaredEstimator>(coefficients());
}
TEST(Kernels, UpdateFollowsTheFormulaDamped) {
  expect_update_follows_the_formula<ivon::PriceEstimator>(damped_coefficients());
  expect_update_follows_the_formula<ivon::GradSquaredEstimator>(damped_coefficients());
}
TEST(Kernels, UpdateFollowsTheFormulaClipped) {
  expect_update_follows_the_formula<ivon::PriceEstimator>(clipped_coefficients());
}

template <class Estimator>
void expect_sums_follow_the_formula() {
  const std::vector<double> noise = normals(kCount);
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kNoise}) {
      for (const Isa isa : instruction_sets()) {
        Parameter p(dtype, kCount);
        const auto old = p.values();
        p.accumulate<Estimator>(isa, kScale, from, /*overwrite=*/true);
        const auto first = p.values();
        p.accumulate<Estimator>(isa, kScale, from, /*overwrite=*/false);
        const double bound = tolerance::kSumRoundings * rounding(dtype);
        for (size_t i = 0; i < kCount; ++i) {
          const auto at = static_cast<int64_t>(i);
          const double average = expected_average<Estimator>(old, i, from, 1, noise, kScale);
          ASSERT_EQ(first[kGradientSum][i], old[kGradient][i]) << where(isa, dtype, at);
          ASSERT_EQ(p.get(kGradientSum, at), 2 * old[kGradient][i]) << where(isa, dtype, at);
          ASSERT_NEAR(first[kStatisticSum][i], average, bound * std::abs(average))
              << where(isa, dtype, at);
          ASSERT_NEAR(p.get(kStatisticSum, at), 2 * average, bound * 2 * std::abs(average))
              << where(isa, dtype, at);
        }
      }
    }
  }
}

TEST(Kernels, SumsFollowTheFormula) {
  expect_sums_follow_the_formula<ivon::PriceEstimator>();
  expect_sums_follow_the_formula<ivon::GradSquaredEstimator>();
}

// One sample by way of the sums: the same bits.
TEST(Kernels, OneSampleInSumsIsOneSample) {
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kNoise}) {
      for (const Isa isa : instruction_sets()) {
        std::array<std::vector<unsigned char>, kArrays> direct;
        {
          Parameter p(dtype, kCount);
          p.update<ivon::PriceEstimator>(isa, coefficients(), from);
          direct = p.all_bits();
        }
        Parameter p(dtype, kCount);
        p.accumulate<ivon::PriceEstimator>(isa, kScale, from, /*overwrite=*/true);
        p.update<ivon::PriceEstimator>(isa, coefficients(), StatisticFrom::kSums, 1);
        for (const int array : {kMean, kWide, kHess, kMomentum}) {
          EXPECT_EQ(p.bits(array), direct[static_cast<size_t>(array)])
              << isa_name(isa) << ", " << name_of(dtype) << ", array " << array;
        }
      }
    }
  }
}

// theta - m made again from the noise is what theta - m was.
TEST(Kernels, NoiseIsRegenerated) {
  for (const Isa isa : instruction_sets()) {
    Parameter p(Dtype::kFloat64, kCount);
    p.sample(isa, kScale);
    p.accumulate<ivon::PriceEstimator>(isa, kScale, StatisticFrom::kTheta, true);
    const auto shown = p.values();
    p.accumulate<ivon::PriceEstimator>(isa, kScale, StatisticFrom::kNoise, true);
    for (size_t i = 0; i < kCount; ++i) {
      const double bound = 4 * 0x1p-53 * (std::abs(shown[kTheta][i]) + std::abs(shown[kMean][i])) *
                           std::abs(shown[kGradient][i]);
      ASSERT_NEAR(p.get(kStatisticSum, static_cast<int64_t>(i)), shown[kStatisticSum][i], bound);
    }
  }
}

// An infinite, undefined or overflowing gradient leaves m, h and momentum alone and is counted; a
// mean written from outside is kept all the same.
TEST(Kernels, WhatIsNotFiniteIsLeftAlone) {
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : kSources) {
      for (const Isa isa : instruction_sets()) {
        for (const int64_t count : {1, 15, 16, 40, 70}) {
          for (int64_t bad = 0; bad < count; ++bad) {
            const double values[] = {kInf, -kInf, std::numeric_limits<double>::quiet_NaN()};
            Parameter p(dtype, count);
            p.set(from == StatisticFrom::kSums ? kGradientSum : kGradient, bad, values[bad % 3]);
            const auto old = p.values();
            ASSERT_EQ(p.update<ivon::PriceEstimator>(isa, coefficients(), from, 2), 1)
                << where(isa, dtype, bad) << " of " << count;
            const auto now = p.values();
            for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
              for (const size_t array : {size_t{kMean}, size_t{kHess}, size_t{kMomentum}}) {
                if (static_cast<int64_t>(i) == bad) {
                  ASSERT_EQ(now[array][i], old[array][i]) << where(isa, dtype, bad);
                } else {
                  ASSERT_NE(now[array][i], old[array][i]) << where(isa, dtype, bad);
                }
              }
              if (is_half(dtype) && static_cast<int64_t>(i) == bad) {
                ASSERT_EQ(now[kWide][i], old[kMean][i]) << where(isa, dtype, bad);
              }
            }
          }
        }
      }
    }
  }
}

// hhat overflows though every input is finite.
TEST(Kernels, OverflowIsLeftAlone) {
  for (const Isa isa : instruction_sets()) {
    Parameter p(Dtype::kFloat32, 40);
    p.set(kGradient, 17, 1e38);
    p.set(kTheta, 17, 100);
    EXPECT_EQ(p.update<ivon::PriceEstimator>(isa, coefficients(), StatisticFrom::kTheta), 1);
    Parameter q(Dtype::kFloat64, 40);
    q.set(kGradient, 17, 1e306);
    q.set(kTheta, 17, 100);
    EXPECT_EQ(q.update<ivon::PriceEstimator>(isa, coefficients(), StatisticFrom::kTheta), 1);
  }
}

TEST(Kernels, HessianStaysAboveItsFloor) {
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat64}) {
    for (const Isa isa : instruction_sets()) {
      const UpdateCoefficients c = coefficients(/*beta2=*/0.5);
      Parameter p(dtype, 64);
      for (int step = 0; step < 100; ++step) {
        for (int64_t i = 0; i < p.count(); ++i) {  // x = rho (hhat - h) / (h + delta) = -1: halves
          const double s = p.get(kHess, i) + c.scale.weight_decay;
          const double hhat = p.get(kHess, i) - s / 0.5;
          p.set(kTheta, i, p.get(kMean, i) + 1);
          p.set(kGradient, i, hhat / (1e3 * s));
        }
        p.update<ivon::PriceEstimator>(isa, c, StatisticFrom::kTheta);
        for (int64_t i = 0; i < p.count(); ++i) {
          ASSERT_GT(p.get(kHess, i) + c.scale.weight_decay, 0) << isa_name(isa);
        }
      }
    }
  }
}

// --- halves
// ---------------------------------------------------------------------------------------

// All 65536 patterns are widened to their value.
TEST(Halves, WidenEveryPattern) {
  for (const Dtype dtype : {Dtype::kBFloat16, Dtype::kFloat16}) {
    for (const Isa isa : instruction_sets()) {
      for (int32_t first = 0; first < 65536; first += kNoiseBlock) {
        Parameter p(dtype, kNoiseBlock);
        for (int64_t i = 0; i < kNoiseBlock; ++i) {
          p.set(kGradient, i, half_value(dtype, static_cast<uint16_t>(first + i)));
        }
        p.accumulate<ivon::GradSquaredEstimator>(isa, kScale, StatisticFrom::kTheta, true);
        for (int64_t i = 0; i < kNoiseBlock; ++i) {
          const double expected = half_value(dtype, static_cast<uint16_t>(first + i));
          const double sum = p.get(kGradientSum, i);
          if (is_flushed(expected)) continue;
          if (is_nan_bits(expected)) {
            ASSERT_TRUE(is_nan_bits(sum)) << where(isa, dtype, first + i);
          } else {
            ASSERT_EQ(sum, expected) << where(isa, dtype, first + i);
          }
        }
      }
    }
  }
}

// Floats of every exponent, with fractions at, below and above every tie, are rounded to even.
TEST(Halves, NarrowToNearestEven) {
  for (const Dtype dtype : {Dtype::kBFloat16, Dtype::kFloat16}) {
    for (const Isa isa : instruction_sets()) {
      for (uint32_t sign_exponent = 0; sign_exponent < 512; ++sign_exponent) {
        Parameter p(dtype, 2048);
        std::vector<float> values;
        for (uint32_t i = 0; i < 2048; ++i) {
          const uint32_t top = i / 4 * 0x4000u, low[] = {0, 1, 0x1FFF, 0x1000};
          const uint32_t word = (sign_exponent << 23) + ((top + low[i % 4]) & 0x7FFFFFu);
          float value;
          std::memcpy(&value, &word, sizeof(value));
          values.push_back(value);
          p.set(kWide, i, static_cast<double>(value));
          p.set(kMean, i, static_cast<double>(value));
          p.set(kGradient, i, kInf);  // leaves m alone, which is narrowed all the same
        }
        ASSERT_EQ(p.update<ivon::GradSquaredEstimator>(isa, coefficients(), StatisticFrom::kTheta),
                  2048);
        const std::vector<unsigned char> shown = p.bits(kMean);
        for (size_t i = 0; i < values.size(); ++i) {
          uint16_t bits;
          std::memcpy(&bits, shown.data() + 2 * i, sizeof(bits));
          const int32_t expected = half_bits(dtype, static_cast<double>(values[i]));
          if (is_flushed(static_cast<double>(values[i]))) continue;
          if (expected < 0) {
            ASSERT_TRUE(is_nan_bits(half_value(dtype, bits)));
          } else if (!is_infinite_bits(static_cast<double>(values[i]))) {
            ASSERT_EQ(bits, expected) << where(isa, dtype, static_cast<int64_t>(i)) << values[i];
          }
        }
      }
    }
  }
}

}  // namespace
