// SPDX-License-Identifier: Apache-2.0
// metrics/ranking.hpp against scikit-learn and sums of fractions (golden/metrics/cases.json), cases
// that can be computed by hand, batches against whole data, and errors.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ivon/posterior/metrics.hpp"
#include "metrics_support.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon_test::numbers;

at::Tensor scores_of(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

at::Tensor flags_of(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).to(at::kBool);
}

void expect_values(const at::Tensor& actual, const std::vector<double>& expected) {
  EXPECT_TRUE(actual.equal(at::tensor(expected, at::kDouble))) << actual;
}

TEST(MetricsRanking, AgreesOnGeneratedCases) {
  const ivon_test::OneThread one_thread;
  const nlohmann::json& cases = ivon_test::metric_cases()["ranking"];
  ASSERT_EQ(cases.size(), 400u);
  const double tolerance = ivon_test::tolerance::kMetricCases;
  int one_class = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const nlohmann::json& record = cases[i];
    const at::Tensor scores = numbers(record["scores"]);
    const at::Tensor flags = numbers(record["flags"]).to(at::kBool);
    EXPECT_NEAR(ivon::aurc(scores, flags), record["aurc"], tolerance);
    const ivon::RiskCoverageCurve curve = ivon::risk_coverage_curve(scores, flags);
    const at::Tensor expected = numbers(record["curve"]);
    ASSERT_EQ(curve.coverage.size(0), expected.size(0));
    EXPECT_LE((curve.coverage - expected.select(1, 0)).abs().max().item<double>(), tolerance);
    EXPECT_LE((curve.risk - expected.select(1, 1)).abs().max().item<double>(), tolerance);
    for (const auto& [risk, coverage] : record["coverage"].items()) {
      EXPECT_NEAR(ivon::coverage_at_risk(scores, flags, std::stod(risk)), coverage, tolerance);
    }
    if (record["auroc"].is_null()) {
      ++one_class;
      const std::string rule = "ivon: is_positive must hold true and false, got only ";
      IVON_EXPECT_ERROR(ivon::auroc(scores, flags), rule);
      IVON_EXPECT_ERROR(ivon::aupr(scores, flags), rule);
      IVON_EXPECT_ERROR(ivon::fpr_at_tpr(scores, flags), rule);
      continue;
    }
    EXPECT_NEAR(ivon::auroc(scores, flags), record["auroc"], tolerance);
    EXPECT_NEAR(ivon::aupr(scores, flags), record["aupr"], tolerance);
    for (const auto& [tpr, fpr] : record["fpr"].items()) {
      EXPECT_NEAR(ivon::fpr_at_tpr(scores, flags, std::stod(tpr)), fpr, tolerance) << tpr;
    }
  }
  EXPECT_GT(one_class, 50);
  EXPECT_LT(one_class, 200);
}

TEST(MetricsRanking, ByHand) {
  const at::Tensor scores = scores_of({4, 3, 3, 2, 1});
  const at::Tensor positive = flags_of({1, 1, 0, 0, 1});
  // Of the six pairs three are in order and one is tied.
  EXPECT_EQ(ivon::auroc(scores, positive), 3.5 / 6);
  EXPECT_DOUBLE_EQ(ivon::aupr(scores, positive), (1.0 + 2.0 / 3 + 3.0 / 5) / 3);
  EXPECT_EQ(ivon::fpr_at_tpr(scores, positive, 1.0 / 3), 0);
  EXPECT_EQ(ivon::fpr_at_tpr(scores, positive, 0.5), 0.5);
  EXPECT_EQ(ivon::fpr_at_tpr(scores, positive), 1);
}

TEST(MetricsRanking, RiskAndCoverageByHand) {
  const at::Tensor confidence = scores_of({0.9, 0.8, 0.8, 0.1});
  const at::Tensor correct = flags_of({1, 0, 1, 0});
  const ivon::RiskCoverageCurve curve = ivon::risk_coverage_curve(confidence, correct);
  expect_values(curve.coverage, {0.25, 0.75, 1});
  expect_values(curve.risk, {0, 1.0 / 3, 0.5});
  expect_values(curve.threshold, {0.9, 0.8, 0.1});
  // The second example holds half an error on average.
  EXPECT_DOUBLE_EQ(ivon::aurc(confidence, correct), (0 + 0.5 / 2 + 1.0 / 3 + 0.5) / 4);
  EXPECT_EQ(ivon::coverage_at_risk(confidence, correct, 0.4), 0.75);
  EXPECT_EQ(ivon::coverage_at_risk(confidence, correct, 0), 0.25);
  EXPECT_EQ(ivon::coverage_at_risk(confidence, correct.logical_not(), 0.2), 0);
  EXPECT_EQ(ivon::aurc(confidence, flags_of({1, 1, 1, 1})), 0);
  EXPECT_EQ(ivon::aurc(confidence, flags_of({0, 0, 0, 0})), 1);
}

TEST(MetricsRanking, TheOrderOfTheExamplesDoesNotMatter) {
  at::manual_seed(ivon_test::kSeed);
  const at::Tensor scores = at::rand({200}, at::kDouble).mul(10).floor();
  const at::Tensor flags = at::rand({200}) < 0.4;
  for (int i = 0; i < 5; ++i) {
    const at::Tensor order = at::randperm(200);
    const at::Tensor s = scores.index_select(0, order);
    const at::Tensor f = flags.index_select(0, order);
    EXPECT_EQ(ivon::auroc(s, f), ivon::auroc(scores, flags));
    EXPECT_EQ(ivon::aupr(s, f), ivon::aupr(scores, flags));
    EXPECT_EQ(ivon::aurc(s, f), ivon::aurc(scores, flags));
    EXPECT_EQ(ivon::fpr_at_tpr(s, f), ivon::fpr_at_tpr(scores, flags));
  }
  // Integers up to 9 are exact in each type, and strides do not matter.
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::Tensor wide = scores.to(dtype).unsqueeze(1).expand({200, 2}).contiguous();
    EXPECT_EQ(ivon::auroc(wide.select(1, 0), flags), ivon::auroc(scores, flags));
  }
}

TEST(MetricsRanking, BatchesGiveTheFiguresOfAllData) {
  at::manual_seed(ivon_test::kSeed);
  const at::Tensor scores = at::rand({300}, at::kDouble).mul(50).floor();
  const at::Tensor flags = at::rand({300}) < scores / 60;
  ivon::RankingMetrics metrics;
  IVON_EXPECT_ERROR(metrics.auroc(),
                    "ivon: metrics need at least one example, got 0; call add() first");
  for (int64_t begin = 0, size = 1; begin < 300; begin += size++) {
    const int64_t end = std::min<int64_t>(begin + size, 300);
    metrics.add(scores.slice(0, begin, end), flags.slice(0, begin, end));
    IVON_EXPECT_ERROR(metrics.add(scores * std::nan(""), flags), "ivon: scores must not hold NaN");
  }
  EXPECT_EQ(metrics.count(), 300);
  EXPECT_EQ(metrics.auroc(), ivon::auroc(scores, flags));
  EXPECT_EQ(metrics.aupr(), ivon::aupr(scores, flags));
  EXPECT_EQ(metrics.fpr_at_tpr(), ivon::fpr_at_tpr(scores, flags));
  EXPECT_EQ(metrics.fpr_at_tpr(0.5), ivon::fpr_at_tpr(scores, flags, 0.5));
}

TEST(MetricsRanking, BadInput) {
  const at::Tensor scores = scores_of({2, 1});
  const at::Tensor flags = flags_of({1, 0});
  IVON_EXPECT_ERROR(ivon::auroc(at::Tensor(), flags),
                    "ivon: scores must have the shape [N] with N >= 1, got an undefined tensor; "
                    "flatten other shapes with flatten()");
  IVON_EXPECT_ERROR(ivon::aupr(scores.unsqueeze(1), flags), "with N >= 1, got [2, 1]; ");
  IVON_EXPECT_ERROR(ivon::aurc(scores_of({}), flags_of({})),
                    "ivon: confidence must have the shape [N] with N >= 1, got [0]; ");
  IVON_EXPECT_ERROR(ivon::auroc(flags, flags),
                    "ivon: scores must be floating point, got Bool; convert with "
                    "to(torch::kDouble)");
  IVON_EXPECT_ERROR(ivon::auroc(scores, flags_of({1})),
                    "ivon: is_positive must have the shape [2], got [1]; give one bool for each of "
                    "scores");
  IVON_EXPECT_ERROR(ivon::risk_coverage_curve(scores, at::Tensor()),
                    "ivon: correct must have the shape [2], got an undefined tensor; give one bool "
                    "for each of confidence");
  IVON_EXPECT_ERROR(ivon::auroc(scores, flags.to(at::kLong)),
                    "ivon: is_positive must be bool, got Long; compare with a value, for example "
                    "labels == 1");
  IVON_EXPECT_ERROR(ivon::auroc(scores, flags.to(at::kMeta)),
                    "ivon: is_positive must be on the device of scores, cpu, got meta; move one "
                    "of them");
  IVON_EXPECT_ERROR(ivon::aurc(scores_of({1, std::nan("")}), flags),
                    "ivon: confidence must not hold NaN, got 1 of 2; drop these examples before");
  IVON_EXPECT_ERROR(ivon::auroc(scores, flags_of({1, 1})),
                    "ivon: is_positive must hold true and false, got only true; add examples of "
                    "the other kind");
  IVON_EXPECT_ERROR(ivon::aupr(scores, flags_of({0, 0})), "got only false; add examples");
  IVON_EXPECT_ERROR(ivon::fpr_at_tpr(scores, flags, 0),
                    "ivon: tpr must be in (0, 1], got 0; 0.95 is usual");
  IVON_EXPECT_ERROR(ivon::fpr_at_tpr(scores, flags, 1.5), "ivon: tpr must be in (0, 1], got 1.5; ");
  IVON_EXPECT_ERROR(ivon::fpr_at_tpr(scores, flags, std::nan("")), "in (0, 1], got nan; ");
  IVON_EXPECT_ERROR(ivon::coverage_at_risk(scores, flags, -0.5),
                    "ivon: risk must be in [0, 1], got -0.5; give the error rate to allow");
}

}  // namespace
