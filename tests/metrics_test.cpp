// SPDX-License-Identifier: Apache-2.0
// The metrics of classifiers against torchmetrics and scikit-learn (golden/metrics/metrics.json and
// cases.json), cases that can be computed by hand, batches against whole data, and errors.
#include "ivon/posterior/metrics.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "metrics_support.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using at::Tensor;
using nlohmann::json;

Tensor rows(const std::vector<std::vector<double>>& values) {
  std::vector<Tensor> out;
  out.reserve(values.size());
  for (const auto& row : values) out.push_back(at::tensor(row, at::kDouble));
  return at::stack(out);
}

Tensor labels(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

std::vector<double> doubles(const Tensor& values) {
  const Tensor v = values.to(at::kDouble).contiguous();
  return {v.data_ptr<double>(), v.data_ptr<double>() + v.numel()};
}

// The curve of scikit-learn has no empty bins.
void expect_curve(const ivon::ReliabilityBins& ours, const json& curve, const std::string& name) {
  const Tensor used = ours.count > 0;
  EXPECT_EQ(doubles(ours.count.masked_select(used)), curve["count"].get<std::vector<double>>())
      << name;
  const auto expect_near = [&](const Tensor& actual, const char* key) {
    const auto expected = at::tensor(curve[key].get<std::vector<double>>(), at::kDouble);
    const Tensor filled = actual.masked_select(used);
    ASSERT_EQ(filled.sizes(), expected.sizes()) << name;
    EXPECT_LE((filled - expected).abs().max().item<double>(), ivon_test::tolerance::kMetricFloat32)
        << name << ", " << key;
  };
  expect_near(ours.accuracy, "accuracy");
  expect_near(ours.confidence, "confidence");
  EXPECT_EQ(ours.accuracy.masked_select(~used).abs().sum().item<double>(), 0);
  EXPECT_EQ(ours.confidence.masked_select(~used).abs().sum().item<double>(), 0);
}

TEST(Metrics, AgreeWithTorchmetricsAndScikitLearn) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/metrics/metrics.json");
  const json golden = json::parse(in);
  ASSERT_EQ(golden["cases"].size(), 4u);
  int64_t exact_ones = 0;
  for (const json& record : golden["cases"]) {
    const auto name = record["name"].get<std::string>();
    const Tensor probs =
        rows(record["probs"].get<std::vector<std::vector<double>>>()).to(at::kFloat);
    const Tensor targets = labels(record["targets"].get<std::vector<int64_t>>());
    const json& figures = record["figures"];
    const double tolerance = ivon_test::tolerance::kMetricFloat32;
    EXPECT_NEAR(ivon::accuracy(probs, targets), figures["accuracy"], 1e-15) << name;
    EXPECT_NEAR(ivon::nll(probs, targets), figures["nll"], tolerance) << name;
    EXPECT_NEAR(ivon::brier(probs, targets), figures["brier"], tolerance) << name;
    for (const int64_t bins : {1, 10, 15, 20}) {
      const std::string key = std::to_string(bins);
      EXPECT_NEAR(ivon::ece(probs, targets, bins), figures["ece_" + key], tolerance)
          << name << ", bins " << bins;
      const auto ours = ivon::reliability_bins(probs, targets, bins);
      EXPECT_EQ(ours.count.numel(), bins);
      EXPECT_EQ(ours.count.sum().item<int64_t>(), probs.size(0));
      if (figures.contains("curve_" + key)) {
        expect_curve(ours, figures["curve_" + key], name + ", bins " + key);
      }
    }
    exact_ones += record["exact_ones"].get<int64_t>();
  }
  EXPECT_GT(exact_ones, 100);  // else the golden values lost the saturated case
}

TEST(Metrics, ByHand) {
  const Tensor probs = rows({{0.75, 0.25}, {0.5, 0.5}, {0, 1}, {1, 0}});
  const Tensor targets = labels({0, 1, 1, 1});
  EXPECT_EQ(ivon::accuracy(probs, targets), 0.5);  // the tie predicts class 0, which is wrong
  const double least = std::numeric_limits<float>::min();
  EXPECT_NEAR(ivon::nll(probs, targets), -(std::log(0.75) + std::log(0.5) + std::log(least)) / 4,
              1e-14);
  EXPECT_EQ(ivon::brier(probs, targets), (2 * 0.0625 + 2 * 0.25 + 0 + 2) / 4);
  EXPECT_EQ(ivon::ece(probs, targets, 2), std::abs(0.5 - 3.25 / 4));
  EXPECT_NEAR(ivon::ece(probs, targets, 4), (0.5 + 3 * 0.25) / 4, 1e-15);
}

TEST(Metrics, AConfidenceOnAnEdgeOpensTheUpperBin) {
  const Tensor targets = labels({0, 0, 0, 0});
  const Tensor probs = rows({{0.5, 0.5}, {0.7, 0.3}, {0.9, 0.1}, {1, 0}});
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    const auto bins = ivon::reliability_bins(probs.to(dtype), targets, 10);
    EXPECT_EQ(doubles(bins.count), (std::vector<double>{0, 0, 0, 0, 0, 1, 0, 1, 0, 2})) << dtype;
  }
}

TEST(Metrics, NllIsTheSameForFloatAndDoubleZeros) {
  const Tensor probs = rows({{1, 0}});
  const Tensor targets = labels({1});
  EXPECT_EQ(ivon::nll(probs, targets), ivon::nll(probs.to(at::kFloat), targets));
  EXPECT_NEAR(ivon::nll(probs, targets), 87.3365447505531, 1e-12);
}

TEST(Metrics, InputsAreLeftAloneAndNeedNoContiguity) {
  Tensor probs = at::softmax(at::arange(12, at::kDouble).view({3, 4}).sin(), 0).t();  // [4, 3]
  probs.requires_grad_(true);
  const Tensor targets = labels({0, 9, 1, 9, 2, 9, 1, 9}).slice(0, 0, 8, 2);
  const Tensor before = probs.detach().clone();
  const double brier = ivon::brier(probs, targets);
  EXPECT_TRUE(ivon_test::same_bits(probs.detach(), before));
  EXPECT_EQ(brier, ivon::brier(before.contiguous(), targets.contiguous()));
  EXPECT_EQ(ivon::ece(probs, targets), ivon::ece(before, targets));
}

TEST(Metrics, AgreeOnGeneratedCases) {
  const ivon_test::OneThread one_thread;
  const json& cases = ivon_test::metric_cases()["classification"];
  ASSERT_EQ(cases.size(), 400u);
  const double tolerance = ivon_test::tolerance::kMetricCases;
  using Norm = ivon::CalibrationNorm;
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const json& record = cases[i];
    const Tensor probs = ivon_test::numbers(record["counts"]) / record["total"].get<double>();
    const Tensor targets = ivon_test::numbers(record["targets"]).to(at::kLong);
    const auto bins = record["bins"].get<int64_t>();
    EXPECT_NEAR(ivon::accuracy(probs, targets), record["accuracy"], tolerance);
    EXPECT_NEAR(ivon::top_k_accuracy(probs, targets, record["k"]), record["top_k"],
                ivon_test::tolerance::kMetricTorchmetrics);
    EXPECT_NEAR(ivon::nll(probs, targets), record["nll"], tolerance);
    EXPECT_NEAR(ivon::brier(probs, targets), record["brier"], tolerance);
    EXPECT_NEAR(ivon::classwise_ece(probs, targets, bins), record["classwise"],
                ivon_test::tolerance::kMetricTorchmetrics);
    const json& mass = record["equal_mass"];
    const auto kind = ivon::Bins::kEqualMass;
    EXPECT_EQ(doubles(ivon::reliability_bins(probs, targets, bins, kind).count),
              mass["count"].get<std::vector<double>>());
    for (const auto& [norm, key] :
         {std::pair{Norm::kL1, "l1"}, {Norm::kL2, "l2"}, {Norm::kMax, "max"}}) {
      EXPECT_NEAR(ivon::ece(probs, targets, bins, norm), record["ece"][key],
                  ivon_test::tolerance::kMetricTorchmetrics)
          << key;
      EXPECT_NEAR(ivon::ece(probs, targets, bins, norm, kind), mass[key], tolerance) << key;
    }
  }
}

TEST(Metrics, TopKByHand) {
  const Tensor probs = rows({{0.5, 0.25, 0.25}, {0.5, 0.25, 0.25}, {0.125, 0.75, 0.125}});
  const Tensor targets = labels({1, 2, 0});  // ranks 1, 2 and 1: ties go to the lower index
  EXPECT_EQ(ivon::top_k_accuracy(probs, targets, 1), 0);
  EXPECT_EQ(ivon::top_k_accuracy(probs, targets, 2), 2.0 / 3);
  EXPECT_EQ(ivon::top_k_accuracy(probs, targets, 3), 1);
  EXPECT_EQ(ivon::top_k_accuracy(probs, labels({0, 0, 0}), 1),
            ivon::accuracy(probs, labels({0, 0, 0})));
}

TEST(Metrics, CalibrationNormsByHand) {
  // Two bins: three examples with the gap 0.25, and one with the gap 1.
  const Tensor probs =
      rows({{0.25, 0.375, 0.375}, {0.75, 0.25, 0}, {0.75, 0.25, 0}, {0.75, 0, 0.25}});
  const Tensor targets = labels({1, 0, 0, 0});
  using Norm = ivon::CalibrationNorm;
  EXPECT_EQ(ivon::ece(probs, targets, 2), (3 * 0.25 + 0.625) / 4);
  EXPECT_EQ(ivon::ece(probs, targets, 2, Norm::kL2), std::sqrt((3 * 0.0625 + 0.390625) / 4));
  EXPECT_EQ(ivon::ece(probs, targets, 2, Norm::kMax), 0.625);
}

TEST(Metrics, BinsOfEqualMassKeepTiesTogether) {
  const Tensor probs = rows({{0.9, 0.1}, {0.6, 0.4}, {0.7, 0.3}, {0.8, 0.2}, {0.55, 0.45}, {1, 0}});
  const Tensor targets = labels({0, 0, 0, 1, 1, 0});
  const auto bins = ivon::reliability_bins(probs, targets, 3, ivon::Bins::kEqualMass);
  EXPECT_EQ(doubles(bins.count), (std::vector<double>{2, 2, 2}));
  EXPECT_EQ(doubles(bins.accuracy), (std::vector<double>{0.5, 0.5, 1}));
  EXPECT_NEAR(bins.confidence[0].item<double>(), 0.575, 1e-15);
  const Tensor tied = rows({{0.5, 0.5}, {0.75, 0.25}, {0.75, 0.25}, {0.75, 0.25}});
  const auto two = ivon::reliability_bins(tied, labels({0, 0, 0, 0}), 2, ivon::Bins::kEqualMass);
  EXPECT_EQ(doubles(two.count), (std::vector<double>{4, 0}));
}

TEST(Metrics, ClasswiseEceByHand) {
  const Tensor probs = rows({{0.75, 0.25}, {0.75, 0.25}});
  // Class 0: 0.75 against 0.5. Class 1: 0.25 against 0.5.
  EXPECT_EQ(ivon::classwise_ece(probs, labels({0, 1})), 0.25);
  // Class 0: 0.75 against 1. Class 1: 0.25 against 0.
  EXPECT_EQ(ivon::classwise_ece(probs, labels({0, 0}), 1), 0.25);
}

TEST(Metrics, BatchesGiveTheFiguresOfAllData) {
  const Tensor probs =
      at::softmax(at::arange(3000, at::kDouble).view({300, 10}).mul(1.7).sin() * 3, 1);
  const Tensor targets = at::arange(300, at::kLong).mul(7).remainder(10);
  ivon::ClassificationMetrics metrics(12, 3);
  for (int64_t begin = 0, size = 1; begin < 300; begin += size++) {
    const int64_t end = std::min<int64_t>(begin + size, 300);
    metrics.add(probs.slice(0, begin, end), targets.slice(0, begin, end));
  }
  const double tolerance = ivon_test::tolerance::kMetricBatches;
  EXPECT_EQ(metrics.count(), 300);
  EXPECT_EQ(metrics.accuracy(), ivon::accuracy(probs, targets));
  EXPECT_EQ(metrics.top_k_accuracy(), ivon::top_k_accuracy(probs, targets, 3));
  EXPECT_NEAR(metrics.nll(), ivon::nll(probs, targets), tolerance);
  EXPECT_NEAR(metrics.brier(), ivon::brier(probs, targets), tolerance);
  const auto bins = ivon::reliability_bins(probs, targets, 12);
  EXPECT_EQ(doubles(metrics.reliability_bins().count), doubles(bins.count));
  EXPECT_EQ(doubles(metrics.reliability_bins().accuracy), doubles(bins.accuracy));
  for (const auto norm :
       {ivon::CalibrationNorm::kL1, ivon::CalibrationNorm::kL2, ivon::CalibrationNorm::kMax}) {
    EXPECT_NEAR(metrics.ece(norm), ivon::ece(probs, targets, 12, norm), tolerance);
  }
}

TEST(Metrics, AnAddThatThrowsChangesNothing) {
  const Tensor probs = rows({{0.75, 0.25}, {0.5, 0.5}});
  const Tensor targets = labels({0, 1});
  ivon::ClassificationMetrics metrics(4, 2);
  IVON_EXPECT_ERROR(metrics.nll(),
                    "ivon: metrics need at least one example, got 0; call add() first");
  IVON_EXPECT_ERROR(metrics.reliability_bins(), "ivon: metrics need at least one example, got 0; ");
  IVON_EXPECT_ERROR(metrics.add(rows({{1}}), labels({0})),
                    "ivon: k must be in [1, 1], got 2; use at most the number of classes");
  metrics.add(probs, targets);
  const ivon::ClassificationMetrics copy = metrics;
  IVON_EXPECT_ERROR(metrics.add(probs, labels({0, 2})), "ivon: targets must be in [0, 2), got 2; ");
  IVON_EXPECT_ERROR(metrics.add(rows({{0.5, 0.25, 0.25}}), labels({0})),
                    "ivon: probs must have 2 classes as in the batches before, got 3; use one "
                    "object for each set of classes");
  metrics.reliability_bins().count.zero_();
  EXPECT_EQ(metrics.count(), 2);
  EXPECT_EQ(metrics.nll(), ivon::nll(probs, targets));
  EXPECT_EQ(metrics.ece(), ivon::ece(probs, targets, 4));
  metrics.add(probs, targets);
  EXPECT_EQ(metrics.count(), 4);
  EXPECT_EQ(copy.count(), 2);
  EXPECT_EQ(doubles(copy.reliability_bins().count), (std::vector<double>{0, 0, 1, 1}));
}

TEST(Metrics, BadInput) {
  const Tensor probs = rows({{0.75, 0.25}, {0.5, 0.5}});
  const Tensor targets = labels({0, 1});
  IVON_EXPECT_ERROR(ivon::accuracy(Tensor(), targets),
                    "ivon: probs must have the shape [N, C] with N, C >= 1, got an undefined "
                    "tensor; flatten leading dimensions with probs.flatten(0, -2)");
  IVON_EXPECT_ERROR(ivon::nll(probs.unsqueeze(0), targets), "with N, C >= 1, got [1, 2, 2]; ");
  IVON_EXPECT_ERROR(ivon::nll(at::zeros({0, 3}), labels({})), "with N, C >= 1, got [0, 3]; ");
  IVON_EXPECT_ERROR(ivon::nll(targets.view({2, 1}), targets),
                    "ivon: probs must be floating point, got Long; pass probabilities, not labels");
  IVON_EXPECT_ERROR(ivon::brier(probs, labels({0})),
                    "ivon: targets must have the shape [2], got [1]; give one class index for each "
                    "row of probs");
  IVON_EXPECT_ERROR(ivon::brier(probs, Tensor()), "got an undefined tensor; give one class index");
  IVON_EXPECT_ERROR(ivon::brier(probs, targets.to(at::kInt)),
                    "ivon: targets must be int64, got Int; use targets.to(torch::kLong)");
  IVON_EXPECT_ERROR(ivon::accuracy(probs, labels({0, 2})),
                    "ivon: targets must be in [0, 2), got 2; drop examples without a class before");
  IVON_EXPECT_ERROR(ivon::accuracy(probs, labels({-1, 0})), "must be in [0, 2), got -1; ");
  IVON_EXPECT_ERROR(ivon::accuracy(probs * 2, targets),
                    "ivon: the rows of probs must sum to 1 (+-0.001), got a row off by 1; apply "
                    "softmax to logits first");
  IVON_EXPECT_ERROR(ivon::accuracy(probs * std::nan(""), targets),
                    "nan; apply softmax to logits first");
  IVON_EXPECT_ERROR(ivon::accuracy(rows({{1.5, -0.5}, {1, 0}}), targets),
                    "ivon: probs must be >= 0, got -0.5; apply softmax to logits first");
  IVON_EXPECT_ERROR(ivon::ece(probs, targets, 0), "ivon: bins must be >= 1, got 0; 15 is usual");
  IVON_EXPECT_ERROR(ivon::classwise_ece(probs, targets, -1), "ivon: bins must be >= 1, got -1; ");
  IVON_EXPECT_ERROR(ivon::top_k_accuracy(probs, targets, 3),
                    "ivon: k must be in [1, 2], got 3; use at most the number of classes");
  IVON_EXPECT_ERROR(ivon::top_k_accuracy(probs, targets, 0), "ivon: k must be in [1, 2], got 0; ");
  IVON_EXPECT_ERROR(ivon::ClassificationMetrics(0), "ivon: bins must be >= 1, got 0; 15 is usual");
  IVON_EXPECT_ERROR(ivon::ClassificationMetrics(15, 0),
                    "ivon: top_k must be >= 1, got 0; 1 and 5 are usual");
}

}  // namespace
