// SPDX-License-Identifier: Apache-2.0
// posterior/merge.hpp: products of Gaussians by hand, a regression whose posterior has a closed
// form, plain averages, the sweep over weights, and errors.
#include "ivon/posterior/merge.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using ivon::MergeOptions;
using ivon::MergeSweep;
using ivon::Posterior;
using ivon::PosteriorParameter;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

const torch::TensorOptions kMergeWide = torch::dtype(torch::kDouble);

Posterior merge_model(const Tensor& mean, const Tensor& precision, std::optional<double> ess = {}) {
  PosteriorParameter w;
  w.name = "w";
  w.mean = mean;
  w.precision = precision;
  return Posterior({w}, ess);
}

Posterior merge_model(std::vector<double> mean, std::vector<double> precision,
                      std::optional<double> ess = {}) {
  return merge_model(torch::tensor(mean, kMergeWide), torch::tensor(precision, kMergeWide), ess);
}

// Equal up to 4 roundings of float64, element by element.
void expect_merged(const Tensor& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.numel(), static_cast<int64_t>(expected.size()));
  ASSERT_EQ(actual.scalar_type(), torch::kDouble);
  const Tensor flat = actual.reshape({-1});
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_DOUBLE_EQ(flat[static_cast<int64_t>(i)].item<double>(), expected[i]) << "element " << i;
  }
}

TEST(Merge, WithoutBaseIsTheProductOfTheGaussians) {
  const Posterior q =
      ivon::merge({merge_model({1, -2}, {3, 5}, 10), merge_model({4, 0.5}, {6, 0.25}, 20)});
  expect_merged(q.precision("w"), {9, 5.25});
  expect_merged(q.mean("w"), {(3.0 + 24.0) / 9.0, (-10.0 + 0.125) / 5.25});
  EXPECT_EQ(q.ess(), 30);
}

TEST(Merge, TheBaseIsCountedOnce) {
  const auto options = MergeOptions().base(merge_model({0.5}, {2}, 4));
  const Posterior q = ivon::merge({merge_model({1}, {3}, 10), merge_model({4}, {6}, 20)}, options);
  // The natural parameters s and s m add up, those of the base with the factor 1 - 2.
  expect_merged(q.precision("w"), {3.0 + 6.0 - 2.0});
  expect_merged(q.mean("w"), {(3.0 * 1 + 6.0 * 4 - 2.0 * 0.5) / 7.0});
  EXPECT_EQ(q.ess(), 10 + 20 - 4);
}

TEST(Merge, WeightsMultiplyWhatAModelHasLearned) {
  const std::vector<Posterior> models = {merge_model({1}, {3}, 10), merge_model({4}, {6}, 20)};
  const Posterior free = ivon::merge(models, MergeOptions().weights({0.5, 2}));
  expect_merged(free.precision("w"), {13.5});
  expect_merged(free.mean("w"), {(1.5 + 48.0) / 13.5});
  EXPECT_EQ(free.ess(), 45);

  const Posterior base = merge_model({0.5}, {2}, 4);
  const Posterior based = ivon::merge(models, MergeOptions().weights({0.5, 2}).base(base));
  expect_merged(based.precision("w"), {2 + 0.5 * (3 - 2) + 2 * (6 - 2)});
  expect_merged(based.mean("w"), {0.5 + (0.5 * 3 * 0.5 + 2 * 6 * 3.5) / 10.5});
  EXPECT_EQ(based.ess(), 4 + 0.5 * 6 + 2 * 16);

  const Posterior nothing = ivon::merge(models, MergeOptions().weights({0, 0}).base(base));
  EXPECT_TRUE(same_bits(nothing.mean("w"), base.mean("w")));
  EXPECT_TRUE(same_bits(nothing.precision("w"), base.precision("w")));
}

// With an orthogonal design, the posterior of a linear regression has a diagonal precision, so the
// posteriors of two halves of the data merge into the one of all data.
TEST(Merge, HalvesOfARegressionMakeTheWhole) {
  const Tensor x = torch::tensor({1, 1, 1, -1, 1, -1, 1, 1}, kMergeWide).view({4, 2}) *
                   torch::tensor({2.0, 0.5}, kMergeWide);
  const Tensor y = torch::tensor({1.5, -0.25, 2.0, 0.75}, kMergeWide);
  const Tensor m0 = torch::tensor({0.25, -1.0}, kMergeWide);
  const double prior = 0.5;
  const double noise = 4;
  const auto regression = [&](const Tensor& inputs, const Tensor& targets) {
    const Tensor gram = inputs.t().mm(inputs);
    EXPECT_EQ(gram[0][1].item<double>(), 0);
    const Tensor s = prior + noise * gram.diagonal();
    return merge_model((prior * m0 + noise * inputs.t().mv(targets)) / s, s);
  };
  const Posterior whole = regression(x, y);
  const Posterior merged =
      ivon::merge({regression(x.slice(0, 0, 2), y.slice(0, 0, 2)),
                   regression(x.slice(0, 2, 4), y.slice(0, 2, 4))},
                  MergeOptions().base(merge_model(m0, torch::full({2}, prior, kMergeWide))));
  EXPECT_TRUE(torch::equal(merged.precision("w"), whole.precision("w")));
  const Tensor mean = whole.mean("w");
  expect_merged(merged.mean("w"), {mean[0].item<double>(), mean[1].item<double>()});
}

TEST(Merge, KeepsTheTypeAndMatchesByName) {
  const auto parameter = [](const char* name, float mean) {
    PosteriorParameter p;
    p.name = name;
    p.mean = torch::full({2, 3}, mean);
    p.precision = torch::full({2, 3}, 2.0F);
    return p;
  };
  const Posterior first({parameter("a", 1), parameter("b", 2)}, {}, {"frozen"});
  const Posterior second({parameter("b", 4), parameter("a", 3)}, 5);
  const Posterior q = ivon::merge({first, second});
  EXPECT_EQ(q.names(), first.names());
  EXPECT_EQ(q.left_out(), first.left_out());
  EXPECT_TRUE(torch::equal(q.mean("a"), torch::full({2, 3}, 2.0F)));
  EXPECT_TRUE(torch::equal(q.mean("b"), torch::full({2, 3}, 3.0F)));
  EXPECT_EQ(q.mean("a").scalar_type(), torch::kFloat);
  EXPECT_EQ(q.precision("a").scalar_type(), torch::kFloat);
  EXPECT_FALSE(q.has_ess());  // one of them is unknown
}

TEST(Merge, ThePriorIsTheBasesOrTheCommonOne) {
  const auto with_prior = [](double precision) {
    PosteriorParameter w = merge_model({1}, {3}).parameter("w");
    w.prior_precision = torch::full({}, precision, kMergeWide);
    return Posterior({w});
  };
  const std::vector<Posterior> equal = {with_prior(0.5), with_prior(0.5)};
  const std::vector<Posterior> different = {with_prior(0.5), with_prior(0.25)};
  EXPECT_EQ(ivon::merge(equal).parameter("w").prior_precision.item<double>(), 0.5);
  EXPECT_FALSE(ivon::merge(different).parameter("w").prior_precision.defined());
  const Posterior q = ivon::merge(different, MergeOptions().base(with_prior(0.125)));
  EXPECT_EQ(q.parameter("w").prior_precision.item<double>(), 0.125);
}

TEST(Merge, PlainAveragesKeepTheNoiseOfMerge) {
  const std::vector<Posterior> models = {merge_model({1}, {3}, 10), merge_model({4}, {6}, 20)};
  const std::vector<double> weights = {1, 3};
  const Posterior merged = ivon::merge(models, MergeOptions().weights(weights));
  const Posterior mean = ivon::average(models, weights);
  expect_merged(mean.mean("w"), {(1 + 3 * 4) / 4.0});
  expect_merged(ivon::average(models).mean("w"), {2.5});
  const Posterior sum = ivon::task_arithmetic(models, merge_model({0.5}, {2}), weights);
  expect_merged(sum.mean("w"), {0.5 + 0.5 + 3 * 3.5});
  for (const Posterior& q : {mean, sum}) {
    EXPECT_TRUE(same_bits(q.precision("w"), merged.precision("w")));
    EXPECT_EQ(q.ess(), merged.ess());
  }
}

Posterior random_linear() {
  std::vector<PosteriorParameter> parameters(2);
  parameters[0].name = "weight";
  parameters[0].mean = torch::randn({2, 3});
  parameters[0].precision = 1 + torch::rand({2, 3});
  parameters[1].name = "bias";
  parameters[1].mean = torch::randn({2});
  parameters[1].precision = 1 + torch::rand({2});
  return Posterior(parameters);
}

TEST(Merge, TheSweepShowsWhatMergeReturns) {
  torch::manual_seed(ivon_test::kSeed);
  torch::nn::Linear module(3, 2);
  const Tensor before = module->weight.detach().clone();
  const std::vector<Posterior> models = {random_linear(), random_linear()};
  const auto options = MergeOptions().weights({1, 0.25}).base(random_linear().tempered(0.25));
  const MergeSweep sweep(models, options);
  for (const std::vector<double>& weights :
       {std::vector<double>{}, std::vector<double>{0.75, 0.5}}) {
    MergeOptions point = options;
    if (!weights.empty()) point.weights(weights);
    const Posterior merged = ivon::merge(models, point);
    const auto shown = sweep.show(weights, *module);
    EXPECT_TRUE(same_bits(module->weight, merged.mean("weight")));
    EXPECT_TRUE(same_bits(module->bias, merged.mean("bias")));
  }
  EXPECT_TRUE(same_bits(module->weight, before));
  EXPECT_EQ(message_of([&] {
              (void)sweep.show({-9, 0}, *module);
            }),
            "ivon: the merged precision must be > 0, but 6 of 6 elements of 'weight' are not; "
            "choose smaller weights or leave the base out");
  EXPECT_TRUE(same_bits(module->weight, before));
  (void)sweep.show({}, *module);  // still works
}

TEST(Merge, ErrorsOfWeights) {
  const std::vector<Posterior> models = {merge_model({1, 1, 1}, {1, 1, 4}),
                                         merge_model({1, 1, 1}, {1, 1, 4})};
  EXPECT_EQ(message_of([&] { (void)ivon::merge({}); }),
            "ivon: models must have at least 1 posterior, got 0; pass those that are to be merged");
  EXPECT_EQ(message_of([&] { (void)ivon::average({}); }),
            "ivon: models must have at least 1 posterior, got 0; pass those that are to be merged");
  EXPECT_EQ(message_of([&] {
              (void)ivon::merge(models, MergeOptions().weights({1, 2, 3}));
            }),
            "ivon: weights must have one number for each of the 2 models, got 3; leave them out "
            "for 1 each");
  EXPECT_EQ(message_of([&] {
              (void)ivon::merge(models, MergeOptions().weights({1, HUGE_VAL}));
            }),
            "ivon: weights must be finite, got inf for model 1; 0 leaves a model out");
  EXPECT_EQ(message_of([&] {
              (void)ivon::average(models, {1, -1});
            }),
            "ivon: the weights of an average must have a finite sum > 0, got 0; they are divided "
            "by it");
  EXPECT_EQ(message_of([&] {
              (void)ivon::merge(models, MergeOptions().weights({0, -1}));
            }),
            "ivon: the merged precision must be > 0, but 3 of 3 elements of 'w' are not; choose "
            "weights > 0");
  const auto base = MergeOptions().base(merge_model({1, 1, 1}, {2, 3, 1}));
  EXPECT_EQ(message_of([&] { (void)ivon::merge(models, base); }),
            "ivon: the merged precision must be > 0, but 2 of 3 elements of 'w' are not; choose "
            "smaller weights or leave the base out");
}

TEST(Merge, OneErrorListsAllDifferences) {
  const auto model = [](const std::vector<std::string>& names, int64_t size) {
    std::vector<PosteriorParameter> parameters;
    for (const std::string& name : names) {
      parameters.push_back({name, torch::zeros({size, 2}), torch::ones({size, 2}), {}, {}});
    }
    return Posterior(parameters);
  };
  const std::vector<Posterior> models = {model({"a", "b"}, 3), model({"a", "c"}, 4)};
  const auto options = MergeOptions().base(model({"a"}, 3));
  const std::string expected =
      "ivon: models and base must have the names and shapes of the first model, model 0, but they "
      "differ:\n"
      "  model 1: 'a' has the shape [4, 2], not [3, 2]\n"
      "  model 1: has no 'b'\n"
      "  model 1: 'c' is not in the first model\n"
      "  the base: has no 'b'\n"
      "Merge models of one architecture.";
  EXPECT_EQ(message_of([&] { (void)ivon::merge(models, options); }), expected);
  EXPECT_EQ(message_of([&] { MergeSweep(models, options); }), expected);
  EXPECT_EQ(message_of([&] { (void)ivon::task_arithmetic(models, *options.base()); }), expected);
}

}  // namespace
