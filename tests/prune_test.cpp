// SPDX-License-Identifier: Apache-2.0
// posterior/prune.hpp: which weights go, what is left of them, and the error.
#include "ivon/posterior/prune.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using ivon::Posterior;
using ivon::PosteriorParameter;
using ivon::PruneScope;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

// The signal-to-noise ratios are 8, 1, 6, 1 in "a" and 5, 1, 7 in "b", which is float64.
Posterior prune_example() {
  PosteriorParameter a;
  a.name = "a";
  a.mean = torch::tensor({-4.0F, 0.5F, 3.0F, -0.5F}).view({2, 2});
  a.precision = torch::full({2, 2}, 4.0F);
  a.prior_precision = torch::full({}, 0.5F);
  PosteriorParameter b;
  b.name = "b";
  b.mean = torch::tensor({5.0, 1.0, 7.0}, torch::kDouble);
  b.precision = torch::ones({3}, torch::kDouble);
  return Posterior({a, b}, 9, {"frozen"});
}

std::vector<double> pruned_means(const Posterior& q) {
  std::vector<double> means;
  for (const PosteriorParameter& p : q.parameters()) {
    for (int64_t i = 0; i < p.mean.numel(); ++i) {
      means.push_back(p.mean.reshape({-1})[i].item<double>());
    }
  }
  return means;
}

TEST(Prune, RemovesTheLowestOfAllParametersAndTiesInOrder) {
  using Means = std::vector<double>;
  const Posterior q = prune_example();
  EXPECT_EQ(pruned_means(ivon::prune(q, 0)), (Means{-4, 0.5, 3, -0.5, 5, 1, 7}));
  EXPECT_EQ(pruned_means(ivon::prune(q, 0.14)), (Means{-4, 0.5, 3, -0.5, 5, 1, 7}));  // 0.98 of 1
  EXPECT_EQ(pruned_means(ivon::prune(q, 0.3)), (Means{-4, 0, 3, 0, 5, 1, 7}));
  EXPECT_EQ(pruned_means(ivon::prune(q, 0.6)), (Means{-4, 0, 3, 0, 0, 0, 7}));
  EXPECT_EQ(pruned_means(ivon::prune(q, 1)), (Means{0, 0, 0, 0, 0, 0, 0}));
}

TEST(Prune, RemovesTheFractionOfEachParameter) {
  const Posterior q = ivon::prune(prune_example(), 0.5, PruneScope::kEachParameter);
  EXPECT_EQ(pruned_means(q), (std::vector<double>{-4, 0, 3, 0, 5, 0, 7}));
}

TEST(Prune, ChangesNothingElse) {
  const Posterior q = prune_example();
  const Posterior p = ivon::prune(q, 0.3);
  const Tensor expected = torch::tensor({4.0F, 0x1p120F, 4.0F, 0x1p120F}).view({2, 2});
  EXPECT_TRUE(same_bits(p.precision("a"), expected));
  EXPECT_TRUE(same_bits(p.precision("b"), q.precision("b")));
  EXPECT_TRUE(same_bits(p.parameter("a").prior_precision, q.parameter("a").prior_precision));
  EXPECT_EQ(p.ess(), 9);
  EXPECT_EQ(p.left_out(), q.left_out());
  EXPECT_EQ(pruned_means(q), pruned_means(prune_example()));  // the argument is unchanged
}

TEST(Prune, PrunedWeightsHaveNoNoise) {
  torch::nn::Linear module(2, 2);
  PosteriorParameter weight;
  weight.name = "weight";
  weight.mean = torch::tensor({0.1F, 2.0F, 3.0F, 0.2F}).view({2, 2});
  weight.precision = torch::ones({2, 2});
  Posterior q = ivon::prune(Posterior({weight}, {}, {"bias"}), 0.5).tempered(2);
  for (int sample = 0; sample < 10; ++sample) {
    const auto shown = q.sampled_params(*module);
    const Tensor theta = module->weight.detach().abs();
    EXPECT_LT(theta[0][0].item<float>(), 1e-16F);
    EXPECT_LT(theta[1][1].item<float>(), 1e-16F);
    EXPECT_GT(theta[0][1].item<float>(), 1e-6F);
  }
}

TEST(Prune, EmptyPosteriorsAndErrors) {
  EXPECT_TRUE(ivon::prune(Posterior({}), 0.5).names().empty());
  const Posterior q = prune_example();
  EXPECT_EQ(message_of([&] { (void)ivon::prune(q, 1.5); }),
            "ivon: fraction must be in [0, 1], got 1.5; it is the share of weights to remove");
  EXPECT_EQ(message_of([&] { (void)ivon::prune(q, std::nan("")); }),
            "ivon: fraction must be in [0, 1], got nan; it is the share of weights to remove");
}

}  // namespace
