// SPDX-License-Identifier: Apache-2.0
// metrics/regression.hpp against scipy and scikit-learn (golden/metrics/cases.json), cases that can
// be computed by hand, batches against whole data, and errors.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "ivon/posterior/metrics.hpp"
#include "metrics_support.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

constexpr double kCircle = 3.14159265358979323846;

at::Tensor reals(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

TEST(MetricsRegression, AgreesOnGeneratedCases) {
  const ivon_test::OneThread one_thread;
  const nlohmann::json& cases = ivon_test::metric_cases()["regression"];
  ASSERT_EQ(cases.size(), 200u);
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const nlohmann::json& record = cases[i];
    const auto of = [&record](const char* key) { return ivon_test::numbers(record[key]); };
    const at::Tensor targets = of("targets"), mean = of("mean"), variance = of("variance");
    const auto expect = [&record](double actual, const char* key, double tolerance) {
      const double expected = record[key];
      EXPECT_NEAR(actual, expected, tolerance * std::max(std::abs(expected), 1e-3)) << key;
    };
    const double tolerance = ivon_test::tolerance::kMetricCases;
    expect(ivon::rmse(mean, targets), "rmse", tolerance);
    expect(ivon::gaussian_nll(mean, variance, targets), "nll", tolerance);
    expect(ivon::interval_coverage(of("lower"), of("upper"), targets), "coverage", tolerance);
    expect(ivon::interval_width(of("lower"), of("upper")), "width", tolerance);
    const double integral = ivon_test::tolerance::kMetricIntegral;
    expect(ivon::crps_gaussian(mean, variance, targets), "crps", integral);
    expect(ivon::crps_mixture(of("means"), of("variances"), targets), "crps_mixture", integral);
  }
}

TEST(MetricsRegression, ByHand) {
  const at::Tensor targets = reals({1, 3});
  const at::Tensor mean = reals({1, 1});
  EXPECT_DOUBLE_EQ(ivon::rmse(mean, targets), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(ivon::gaussian_nll(mean, reals({1, 4}), targets),
                   (std::log(2 * kCircle) + std::log(8 * kCircle) + 1) / 4);
  // At the mean, with the deviation 2: 2 (sqrt(2) - 1) / sqrt(pi).
  EXPECT_NEAR(ivon::crps_gaussian(reals({1}), reals({4}), reals({1})),
              2 * (std::sqrt(2.0) - 1) / std::sqrt(kCircle), 1e-15);
  EXPECT_EQ(ivon::interval_coverage(reals({1, 1}), reals({1, 2}), targets), 0.5);
  EXPECT_EQ(ivon::interval_coverage(reals({-HUGE_VAL, 3}), reals({1, HUGE_VAL}), targets), 1);
  EXPECT_EQ(ivon::interval_width(reals({1, 1}), reals({1, 2})), 0.5);
}

TEST(MetricsRegression, CrpsWithoutVarianceIsThatOfPoints) {
  const at::Tensor zero = reals({0, 0});
  EXPECT_EQ(ivon::crps_gaussian(reals({1, 1}), zero, reals({1, 4})), 1.5);
  // Points 0 and 2: the mean distance 1 to the target 1, minus half the mean distance 1 of two
  // draws.
  EXPECT_EQ(ivon::crps_mixture(reals({0, 2}).unsqueeze(1), zero.unsqueeze(1), reals({1})), 0.5);
  EXPECT_EQ(ivon::crps_mixture(reals({0, 1e300}).unsqueeze(1), zero.unsqueeze(1), reals({0})),
            2.5e299);
  // A tiny variance is close to none, and the far target is not lost.
  EXPECT_DOUBLE_EQ(ivon::crps_gaussian(reals({0}), reals({1e-300}), reals({1e8})), 1e8);
}

TEST(MetricsRegression, AMixtureOfEqualComponentsIsTheGaussian) {
  const at::Tensor targets = at::linspace(-3, 3, 13, at::kDouble);
  const at::Tensor mean = targets.sin(), variance = targets.square() + 0.25;
  const at::Tensor means = mean.expand({5, 13}), variances = variance.expand({5, 13});
  EXPECT_NEAR(ivon::crps_mixture(means, variances, targets),
              ivon::crps_gaussian(mean, variance, targets), ivon_test::tolerance::kMetricBatches);
  EXPECT_EQ(ivon::crps_gaussian(mean.to(at::kFloat), variance, targets),
            ivon::crps_gaussian(mean.to(at::kFloat).to(at::kDouble), variance, targets));
}

TEST(MetricsRegression, BatchesGiveTheFiguresOfAllData) {
  const at::Tensor targets = at::arange(300, at::kDouble).sin();
  const at::Tensor mean = at::arange(300, at::kDouble).cos() / 2;
  const at::Tensor variance = mean.abs() + 0.1;
  ivon::RegressionMetrics metrics;
  IVON_EXPECT_ERROR(metrics.rmse(),
                    "ivon: metrics need at least one example, got 0; call add() first");
  for (int64_t begin = 0, size = 1; begin < 300; begin += size++) {
    const int64_t end = std::min<int64_t>(begin + size, 300);
    metrics.add(mean.slice(0, begin, end), variance.slice(0, begin, end),
                targets.slice(0, begin, end));
    IVON_EXPECT_ERROR(metrics.add(mean, mean, targets), "ivon: variance must be > 0, got -0.4");
  }
  const double tolerance = ivon_test::tolerance::kMetricBatches;
  EXPECT_EQ(metrics.count(), 300);
  EXPECT_NEAR(metrics.rmse(), ivon::rmse(mean, targets), tolerance);
  EXPECT_NEAR(metrics.gaussian_nll(), ivon::gaussian_nll(mean, variance, targets), tolerance);
  EXPECT_NEAR(metrics.crps(), ivon::crps_gaussian(mean, variance, targets), tolerance);
}

TEST(MetricsRegression, BadInput) {
  const at::Tensor one = reals({1, 1});
  const at::Tensor nan = reals({1, std::nan("")});
  IVON_EXPECT_ERROR(ivon::rmse(one, at::Tensor()),
                    "ivon: targets must have the shape [N] with N >= 1, got an undefined tensor; "
                    "flatten other shapes with flatten()");
  IVON_EXPECT_ERROR(ivon::rmse(one.unsqueeze(1), one),
                    "ivon: mean must have the shape of targets, [2], got [2, 1]; use flatten() or "
                    "expand_as()");
  IVON_EXPECT_ERROR(
      ivon::gaussian_nll(one, at::Tensor(), one),
      "ivon: variance must have the shape of targets, [2], got an undefined tensor; ");
  IVON_EXPECT_ERROR(ivon::rmse(one.to(at::kLong), one),
                    "ivon: mean must be floating point, got Long; convert with to(torch::kDouble)");
  IVON_EXPECT_ERROR(ivon::rmse(one.to(at::kMeta), one),
                    "ivon: mean must be on the device of targets, cpu, got meta; move one of them");
  IVON_EXPECT_ERROR(ivon::rmse(one, nan),
                    "ivon: targets must be finite, got 1 of 2 that are not; drop these examples "
                    "before");
  IVON_EXPECT_ERROR(ivon::rmse(nan, one), "ivon: mean must be finite, got 1 of 2 that are not; ");
  IVON_EXPECT_ERROR(ivon::gaussian_nll(one, reals({1, 0}), one),
                    "ivon: variance must be > 0, got 0; pass variances, not their logarithms");
  IVON_EXPECT_ERROR(ivon::crps_gaussian(one, -one, one),
                    "ivon: variance must be >= 0, got -1; pass variances, not their logarithms");
  IVON_EXPECT_ERROR(ivon::crps_gaussian(one, nan, one),
                    "ivon: variance must be finite, got 1 of 2");
  IVON_EXPECT_ERROR(ivon::crps_mixture(one, one, one),
                    "ivon: means must have the shape [S, 2] with S >= 1, got [2]; stack one row "
                    "for each component");
  const at::Tensor two = one.expand({3, 2});
  IVON_EXPECT_ERROR(ivon::crps_mixture(two.to(at::kInt), two, one),
                    "ivon: means must be floating point, got Int; ");
  IVON_EXPECT_ERROR(ivon::crps_mixture(two, two.slice(0, 1), one),
                    "ivon: variances must have the shape of means, [3, 2], got [2, 2]; use "
                    "variances.expand_as(means)");
  IVON_EXPECT_ERROR(ivon::crps_mixture(two, -two, one), "ivon: variances must be >= 0, got -1; ");
  IVON_EXPECT_ERROR(ivon::interval_coverage(one, one - 1, one),
                    "ivon: lower must be <= upper, got 2 of 2 that are not; exchange the bounds");
  IVON_EXPECT_ERROR(ivon::interval_coverage(nan, one, one),
                    "ivon: lower must not hold NaN, got 1 of 2; drop these examples before");
  IVON_EXPECT_ERROR(ivon::interval_width(one, nan), "ivon: upper must be finite, got 1 of 2 ");
  IVON_EXPECT_ERROR(ivon::interval_width(one, reals({1})),
                    "ivon: upper must have the shape of lower, [2], got [1]; give one pair of "
                    "bounds an example");
}

}  // namespace
