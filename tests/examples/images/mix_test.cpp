// SPDX-License-Identifier: Apache-2.0
// examples/common/data/mix.hpp: mixup, CutMix, soft targets and the Beta distribution against their
// formulas.
#include "common/data/mix.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using examples::Box;
using examples::ExampleRandom;
using torch::Tensor;

TEST(Mix, BetaNumbersHaveTheMomentsOfTheDistribution) {
  constexpr std::array<std::pair<double, double>, 4> kCases = {
      {{0.2, 0.2}, {1, 1}, {2.5, 0.7}, {0.001, 0.001}}};
  for (const auto& [a, b] : kCases) {
    constexpr int kCount = 40000;
    ExampleRandom random(11, 0, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < kCount; ++i) {
      const double x = examples::beta_number(a, b, random);
      ASSERT_TRUE(x >= 0 && x <= 1) << x;
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kCount, variance = squares / kCount - mean * mean;
    const double expected_variance = a * b / ((a + b) * (a + b) * (a + b + 1));
    EXPECT_NEAR(mean, a / (a + b), 5 * std::sqrt(expected_variance / kCount)) << a;
    EXPECT_NEAR(variance, expected_variance, 0.02 * expected_variance) << a;
  }
}

TEST(Mix, BetaOfOneIsUniform) {
  constexpr int kCount = 20000, kParts = 10;
  std::array<int, kParts> counts = {};
  ExampleRandom random(12, 0, 0);
  for (int i = 0; i < kCount; ++i) {
    ++counts.at(static_cast<size_t>(kParts * examples::beta_number(1, 1, random)));
  }
  for (const int count : counts) EXPECT_NEAR(count, kCount / kParts, 220);  // 5 deviations
}

TEST(Mix, SmoothTargetsAreThoseOfTheCrossEntropy) {
  const Tensor targets = torch::tensor({2, 0, 1}, torch::kLong);
  const Tensor soft = examples::soft_targets(targets, 4, 0.1);
  EXPECT_NEAR(soft[0][2].item<double>(), 0.925, 1e-6);
  EXPECT_NEAR(soft[0][1].item<double>(), 0.025, 1e-6);
  const Tensor logits = torch::linspace(-1, 2, 12).view({3, 4});
  namespace F = torch::nn::functional;
  const auto smooth = F::CrossEntropyFuncOptions().label_smoothing(0.1);
  EXPECT_NEAR(F::cross_entropy(logits, soft).item<double>(),
              F::cross_entropy(logits, targets, smooth).item<double>(), 1e-6);
}

// Images [n, 2, h, w] whose pixels are all different, and their labels.
Tensor counted_images(int64_t n, int64_t h, int64_t w) {
  return torch::arange(n * 2 * h * w, torch::kFloat).view({n, 2, h, w});
}

TEST(Mix, MixupIsTheFormula) {
  const Tensor x = counted_images(5, 4, 3), y = torch::tensor({0, 1, 2, 3, 1}, torch::kLong);
  const Tensor x_before = x.clone(), y_before = y.clone();
  ExampleRandom random(1, 2, 3), same(1, 2, 3);
  const auto mixed = examples::mix(x, y, 4, {0.8, 0, 0.1}, random);
  const double lambda = examples::beta_number(0.8, 0.8, same);
  const Tensor soft = examples::soft_targets(y, 4, 0.1);
  for (int64_t i = 0; i < 5; ++i) {
    const Tensor expected = lambda * x[i] + (1 - lambda) * x[4 - i];
    EXPECT_TRUE(torch::allclose(mixed.inputs[i], expected, 1e-5, 1e-4));
    const Tensor target = lambda * soft[i] + (1 - lambda) * soft[4 - i];
    EXPECT_TRUE(torch::allclose(mixed.targets[i], target, 1e-5, 1e-6));
  }
  EXPECT_TRUE(torch::allclose(mixed.targets.sum(1), torch::ones(5), 0, 1e-6));
  EXPECT_TRUE(torch::equal(x, x_before) && torch::equal(y, y_before));
}

TEST(Mix, CutMixWeighsTheLabelsByThePixels) {
  const Tensor x = counted_images(4, 9, 13), y = torch::arange(4, torch::kLong);
  for (uint64_t i = 0; i < 50; ++i) {
    ExampleRandom random(1, 2, i);
    const auto mixed = examples::mix(x, y, 4, {0, 1, 0}, random);
    for (int64_t k = 0; k < 4; ++k) {
      const Tensor own = mixed.inputs[k].eq(x[k]), others = mixed.inputs[k].eq(x[3 - k]);
      EXPECT_TRUE(own.logical_xor(others).all().item<bool>());
      const double share = own.to(torch::kDouble).mean().item<double>();
      EXPECT_NEAR(mixed.targets[k][k].item<double>(), share, 1e-6);
      EXPECT_NEAR(mixed.targets[k][3 - k].item<double>(), 1 - share, 1e-6);
    }
  }
}

TEST(Mix, TheBoxOfCutMixHasTheAreaOfLambda) {
  for (const double lambda : {0.19, 0.75, 0.99}) {
    int whole = 0;
    for (uint64_t i = 0; i < 300; ++i) {
      ExampleRandom random(2, 0, i);
      const Box box = examples::cutmix_box(1000, 500, lambda, random);
      const int64_t below = 1000 - box.top - box.height, right = 500 - box.left - box.width;
      ASSERT_TRUE(box.top >= 0 && box.left >= 0 && below >= 0 && right >= 0);
      const bool at_border = box.top == 0 || box.left == 0 || below == 0 || right == 0;
      if (at_border) continue;
      ++whole;
      EXPECT_NEAR(static_cast<double>(box.height * box.width) / 5e5, 1 - lambda, 0.006);
    }
    EXPECT_GT(whole, 0) << lambda;
  }
  ExampleRandom random(2, 0, 0);
  const Box none = examples::cutmix_box(32, 32, 1, random);
  const Tensor x = counted_images(2, 32, 32);
  EXPECT_EQ(none.height * none.width, 0);
  EXPECT_TRUE(torch::equal(examples::cut_from_reverse(x, none), x));
}

TEST(Mix, ACoinChoosesBetweenTheTwo) {
  const Tensor x = counted_images(2, 8, 8), y = torch::tensor({0, 1}, torch::kLong);
  int cut = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    ExampleRandom random(4, 0, i), same(4, 0, i);
    const auto mixed = examples::mix(x, y, 2, {1, 1, 0}, random);
    const auto again = examples::mix(x, y, 2, {1, 1, 0}, same);
    ASSERT_TRUE(torch::equal(mixed.inputs, again.inputs));
    ASSERT_TRUE(torch::equal(mixed.targets, again.targets));
    const Tensor unmixed = mixed.inputs.eq(x).logical_or(mixed.inputs.eq(x.flip(0)));
    cut += unmixed.all().item<bool>() ? 1 : 0;
  }
  EXPECT_NEAR(cut, 200, 50);
}

TEST(Mix, KeepsChannelsLastAndTheType) {
  const Tensor x = torch::rand({4, 3, 8, 8}).contiguous(torch::MemoryFormat::ChannelsLast);
  const Tensor y = torch::zeros({4}, torch::kLong);
  const std::vector<examples::MixSettings> all = {{0.4, 0, 0}, {0, 1, 0}, {0, 0, 0}};
  for (const auto& settings : all) {
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      ExampleRandom random(1, 1, 1);
      const auto mixed = examples::mix(x.to(type), y, 5, settings, random);
      EXPECT_TRUE(mixed.inputs.is_contiguous(torch::MemoryFormat::ChannelsLast));
      EXPECT_EQ(mixed.inputs.scalar_type(), type);
      EXPECT_EQ(mixed.targets.scalar_type(), torch::kFloat);
    }
  }
}

TEST(Mix, NothingIsMixedUnlessSwitchedOn) {
  const Tensor x = torch::rand({3, 1, 4, 4}), y = torch::tensor({0, 2, 1}, torch::kLong);
  ExampleRandom random(1, 1, 1);
  const auto mixed = examples::mix(x, y, 3, {}, random);
  EXPECT_TRUE(mixed.inputs.is_same(x));
  EXPECT_TRUE(torch::equal(mixed.targets, torch::one_hot(y, 3).to(torch::kFloat)));
}

TEST(Mix, RejectsOtherShapesAndSettings) {
  const Tensor x = torch::rand({3, 1, 4, 4}), y = torch::zeros({3}, torch::kLong);
  ExampleRandom random(1, 1, 1);
  EXPECT_THROW(examples::mix(x[0], y, 3, {}, random), std::invalid_argument);
  EXPECT_THROW(examples::mix(x, y.to(torch::kFloat), 3, {}, random), std::invalid_argument);
  EXPECT_THROW(examples::mix(x, y.narrow(0, 0, 2), 3, {}, random), std::invalid_argument);
  EXPECT_THROW(examples::mix(x, y, 3, {-1, 0, 0}, random), std::invalid_argument);
  EXPECT_THROW(examples::mix(x, y, 3, {0, NAN, 0}, random), std::invalid_argument);
  EXPECT_THROW(examples::mix(x, y, 3, {0, 0, 1.5}, random), std::invalid_argument);
}

}  // namespace
