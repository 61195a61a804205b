// SPDX-License-Identifier: Apache-2.0
// One update by hand, groups, dtypes, layouts, the estimators, closures.
#include <cmath>
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::GradSquaredEstimator;
using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::relative_error;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

IVONOptions options() { return IVONOptions(0.1).ess(1000); }

torch::Tensor scalar(double value) {
  return torch::full({}, value, torch::dtype(torch::kDouble)).requires_grad_();
}

// One sample with theta and gradient given.
template <class Optimizer>
void inject(Optimizer& optimizer, torch::Tensor parameter, const torch::Tensor& theta,
            const torch::Tensor& gradient) {
  auto sample = optimizer.sampled_params();
  {
    torch::NoGradGuard no_grad;
    parameter.copy_(theta);
  }
  parameter.mutable_grad() = gradient.clone();
}

// The formulas of docs/algorithm.md in plain doubles, written a second time on purpose.
struct ByHand {
  double m, h, g = 0;
  void step(double theta, double gradient, double t, const IVONOptions& o, bool price) {
    const double delta = o.weight_decay(), rho = 1 - o.beta2();
    const double hhat =
        price ? o.ess() * (h + delta) * (theta - m) * gradient : o.ess() * gradient * gradient;
    g = o.beta1() * g + (1 - o.beta1()) * gradient;
    h = o.beta2() * h + rho * hhat + 0.5 * rho * rho * (h - hhat) * (h - hhat) / (h + delta);
    const double debias = o.debias() ? 1 - std::pow(o.beta1(), t) : 1;
    const double alpha = o.lr() * (o.rescale_lr() ? o.hess_init() + delta : 1);
    double direction = (g / debias + delta * m) / (h + delta);
    direction = std::min(std::max(direction, -o.clip_radius()), o.clip_radius());
    m -= alpha * direction;
  }
};

template <class Estimator>
void expect_hand_computed(const IVONOptions& o, bool price) {
  auto m = scalar(0.5);
  IVON<Estimator> optimizer({m}, o);
  ByHand hand{0.5, o.hess_init()};
  const double thetas[] = {0.52, 0.41, 0.6, 0.3}, gradients[] = {0.3, -2.0, 0.0, 1.5};
  for (int i = 0; i < 4; ++i) {
    inject(optimizer, m, scalar(thetas[i]).detach(), scalar(gradients[i]).detach());
    optimizer.step();
    hand.step(thetas[i], gradients[i], i + 1, o, price);
    const ivon::IVONParamState& state = optimizer.param_state(m);
    EXPECT_NEAR(m.item<double>(), hand.m, 1e-14 * std::abs(hand.m)) << "step " << i;
    EXPECT_NEAR(state.hess().item<double>(), hand.h, 1e-13 * std::abs(hand.h)) << "step " << i;
    EXPECT_NEAR(state.momentum().item<double>(), hand.g, 1e-14) << "step " << i;
    EXPECT_EQ(state.step(), i + 1);
  }
}

TEST(Optimizer, UpdateByHand) {
  expect_hand_computed<ivon::PriceEstimator>(options().beta2(0.9), true);
  expect_hand_computed<GradSquaredEstimator>(options().beta2(0.9), false);
  expect_hand_computed<ivon::PriceEstimator>(
      options().beta2(0.99).debias(false).rescale_lr(false).clip_radius(0.1).hess_init(0.3), true);
  expect_hand_computed<ivon::PriceEstimator>(options().weight_decay(0).beta1(0), true);
}

TEST(Optimizer, FirstStepIsAnSgdStep) {
  auto m = scalar(0.5);
  IVON optimizer({m}, options().weight_decay(0.01));
  inject(optimizer, m, scalar(0.5).detach(), scalar(2.0).detach());
  optimizer.step();
  EXPECT_NEAR(m.item<double>(), 0.5 - 0.1 * (2.0 + 0.01 * 0.5), 1e-4);
}

TEST(Optimizer, ExtremeBetas) {
  auto frozen_hess = scalar(0), only_now = scalar(0);
  IVON a({frozen_hess}, options().beta2(1));
  inject(a, frozen_hess, scalar(0.1).detach(), scalar(1).detach());
  a.step();
  EXPECT_EQ(a.param_state(frozen_hess).hess().item<double>(), 1.0);
  // beta2 = 0: h' = hhat + (h - hhat)^2 / (2 (h + delta)), hhat = 10 * 1 * 0.1 * 2.
  IVON b({only_now}, IVONOptions(0.1).ess(10).weight_decay(0).beta2(0));
  inject(b, only_now, scalar(0.1).detach(), scalar(2).detach());
  b.step();
  EXPECT_NEAR(b.param_state(only_now).hess().item<double>(), 2.0 + 0.5 * 1.0, 1e-14);
}

TEST(Optimizer, HessClipBoundsAnOutlier) {
  auto m = scalar(0);
  IVON optimizer({m}, IVONOptions(0.1).ess(1e6).weight_decay(0).beta2(0.9).hess_clip(2));
  inject(optimizer, m, scalar(0.1).detach(), scalar(10).detach());  // hhat = 1e6
  optimizer.step();
  const double u = 0.1 * 2;  // rho * clip * h
  EXPECT_NEAR(optimizer.param_state(m).hess().item<double>(), 1 + u + 0.5 * u * u, 1e-14);
}

TEST(Optimizer, SamplesOfAStepAreAveraged) {
  auto m = scalar(0.25), n = scalar(0.25);
  IVON several({m}, options().beta2(0.9)), one({n}, options().beta2(0.9));
  inject(several, m, scalar(0.35).detach(), scalar(1).detach());
  several.zero_grad();
  inject(several, m, scalar(0.15).detach(), scalar(3).detach());
  several.step();
  // mean gradient 2; mean (theta - m) g = (0.1 - 0.3) / 2 = -0.1 = (0.2 - 0.25) * 2.
  inject(one, n, scalar(0.2).detach(), scalar(2).detach());
  one.step();
  EXPECT_NEAR(m.item<double>(), n.item<double>(), 1e-15);
  EXPECT_NEAR(several.param_state(m).hess().item<double>(),
              one.param_state(n).hess().item<double>(), 1e-12);
}

TEST(Optimizer, ASampleWithoutGradientCountsAsZeroForThatParameter) {
  auto used = scalar(0), rare = scalar(0), never = scalar(1);
  IVON optimizer({used, rare, never}, options());
  inject(optimizer, used, scalar(0.1).detach(), scalar(1).detach());
  optimizer.zero_grad();
  {
    auto sample = optimizer.sampled_params();
    (used * 1.0 + rare * 1.0).backward();
  }
  optimizer.step();
  EXPECT_NEAR(optimizer.param_state(used).momentum().item<double>(), 0.1, 1e-15);
  EXPECT_NEAR(optimizer.param_state(rare).momentum().item<double>(), 0.05, 1e-15);
  EXPECT_EQ(optimizer.param_state(never).step(), 0) << "no gradient: left as it was";
  EXPECT_EQ(never.item<double>(), 1.0);
  EXPECT_EQ(optimizer.param_state(never).hess().item<double>(), 1.0);
}

TEST(Optimizer, FrozenParametersAreNeverTouched) {
  auto weight = torch::randn({8}).requires_grad_();
  auto frozen = torch::randn({8});
  const auto before = frozen.clone();
  IVON optimizer({frozen, weight}, options());
  for (int i = 0; i < 3; ++i) {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      EXPECT_TRUE(same_bits(frozen, before));
      (weight * frozen).sum().backward();
    }
    optimizer.step();
  }
  EXPECT_TRUE(same_bits(frozen, before));
  EXPECT_EQ(optimizer.state().count(frozen.unsafeGetTensorImpl()), 0u);
}

TEST(Optimizer, TiedWeightsListedTwiceAreUsedOnce) {
  auto tied = torch::randn({4, 4}).requires_grad_();
  auto twin = tied.detach().clone().requires_grad_();
  const auto train = [](IVON<>& optimizer, const torch::Tensor& weight) {
    optimizer.manual_seed(3);
    optimizer.step([&] {
      optimizer.zero_grad();
      auto loss = weight.mm(weight).pow(2).mean();
      loss.backward();
      return loss;
    });
  };
  IVON listed_twice({tied, tied}, options()), once({twin}, options());
  train(listed_twice, tied);
  train(once, twin);
  EXPECT_TRUE(same_bits(tied, twin));
}

TEST(Optimizer, GroupsHaveTheirOwnOptionsAndDtypes) {
  auto single = torch::randn({4}).requires_grad_();
  auto twice = torch::randn({4}, torch::kDouble).requires_grad_();
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{single});
  groups.emplace_back(std::vector<torch::Tensor>{twice},
                      std::make_unique<IVONOptions>(IVONOptions(0.0).hess_init(0.5)));
  IVON optimizer(groups, options());
  optimizer.step([&] {
    optimizer.zero_grad();
    auto loss = single.pow(2).sum() + twice.pow(2).sum();
    loss.backward();
    return loss;
  });
  EXPECT_EQ(optimizer.param_state(single).hess().scalar_type(), torch::kFloat);
  EXPECT_EQ(optimizer.param_state(twice).hess().scalar_type(), torch::kDouble);
  EXPECT_NEAR(optimizer.param_state(twice).hess().mean().item<double>(), 0.5, 0.01);
  const auto& second = static_cast<const IVONOptions&>(optimizer.param_groups()[1].options());
  EXPECT_EQ(second.ess(), 1000) << "inherited";
  EXPECT_EQ(second.lr(), 0.0);
}

// A group added through the base is noticed at the next call.
TEST(Optimizer, GroupsAddedThroughTheBase) {
  auto first = torch::randn({4}).requires_grad_(), second = torch::randn({4}).requires_grad_();
  IVON optimizer({first}, options());
  torch::optim::Optimizer& base = optimizer;
  base.add_param_group(OptimizerParamGroup({second}));
  base.step([&] {
    base.zero_grad();
    auto loss = (first * second).sum();
    loss.backward();
    return loss;
  });
  EXPECT_EQ(optimizer.param_state(second).step(), 1);
}

TEST(Optimizer, HalfPrecisionKeepsAFullPrecisionMean) {
  for (const auto dtype : {torch::kBFloat16, torch::kHalf}) {
    auto weight = torch::full({1000}, 1.0, dtype).requires_grad_();
    IVON optimizer({weight}, IVONOptions(1e-4).ess(1e6).rescale_lr(false).weight_decay(0));
    for (int i = 0; i < 20; ++i) {
      {
        auto sample = optimizer.sampled_params();
        weight.mutable_grad() = torch::ones_like(weight);
      }
      optimizer.step();
    }
    // 20 steps of 1e-4 are below half precision's resolution at 1, and not lost.
    const auto& state = optimizer.param_state(weight);
    EXPECT_EQ(state.mean().scalar_type(), torch::kFloat);
    EXPECT_NEAR(state.mean().mean().item<double>(), 1.0 - 2e-3, 2e-5);
    EXPECT_TRUE(same_bits(weight, state.mean().to(dtype)));
    EXPECT_TRUE(same_bits(optimizer.mean(weight), state.mean()));
  }
}

// ess = 1e8 makes sigma 1e-4, a fortieth of bfloat16's spacing at 1: read back from the weights,
// the noise would be 0 or a whole spacing.
TEST(Optimizer, HalfPrecisionNoiseIsRegenerated) {
  const int64_t count = 100000;
  auto weight = torch::ones({count}, torch::kBFloat16).requires_grad_();
  IVON optimizer({weight}, IVONOptions(0.0).ess(1e8).beta2(0.5).weight_decay(0));
  {
    auto sample = optimizer.sampled_params();
    weight.mutable_grad() = torch::ones_like(weight);
  }
  optimizer.step();
  // hhat = sqrt(ess) eps: h' = 1 + u + u^2 / 2 with u = (1e4 eps - 1) / 2, so E[h'] is about 1.25e7
  // E[eps^2].
  EXPECT_NEAR(optimizer.param_state(weight).hess().mean().item<double>() / 1.25e7, 1.0, 0.03);
}

TEST(Optimizer, HalfPrecisionAdoptsWhatIsLoadedFromOutside) {
  auto weight = torch::ones({4}, torch::kBFloat16).requires_grad_();
  IVON optimizer({weight}, IVONOptions(1e-4).ess(1e6).rescale_lr(false).weight_decay(0));
  const auto one_step = [&] {
    {
      auto sample = optimizer.sampled_params();
      weight.mutable_grad() = torch::ones_like(weight);
    }
    optimizer.step();
  };
  one_step();
  const auto kept = optimizer.mean(weight);
  {
    torch::NoGradGuard no_grad;
    weight[1] = 3.0;  // a checkpoint loaded, a clamp
  }
  const auto mean = optimizer.mean(weight);
  EXPECT_EQ(mean[1].item<float>(), 3.0f);
  EXPECT_TRUE(same_bits(mean[0], kept[0])) << "what was not written keeps its full precision";
  one_step();
  EXPECT_NEAR(optimizer.mean(weight)[1].item<float>(), 3.0f - 1e-4f, 1e-5f);
}

TEST(Optimizer, ClosureTakesItsSamplesAndReturnsTheMeanLoss) {
  auto weight = torch::zeros({1}).requires_grad_();
  IVON optimizer({weight}, options().mc_samples(3));
  int calls = 0;
  const auto loss = optimizer.step([&] {
    optimizer.zero_grad();
    auto value = weight.sum() * 0 + static_cast<double>(++calls);
    value.backward();
    return value;
  });
  EXPECT_EQ(calls, 3);
  EXPECT_NEAR(loss.item<double>(), 2.0, 1e-6);
  EXPECT_EQ(optimizer.param_state(weight).step(), 1);
}

TEST(Optimizer, ClosureSeesGradientsEnabled) {
  auto weight = torch::ones({1}).requires_grad_();
  IVON optimizer({weight}, options());
  torch::NoGradGuard no_grad;
  optimizer.step([&] {
    optimizer.zero_grad();
    auto loss = weight.pow(2).sum();
    loss.backward();
    return loss;
  });
  EXPECT_FALSE(torch::GradMode::is_enabled());
  EXPECT_EQ(optimizer.param_state(weight).step(), 1);
}

TEST(Optimizer, ChannelsLastParametersKeepTheirStrides) {
  auto weight =
      torch::randn({8, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
  const auto strides = weight.strides().vec();
  IVON optimizer({weight}, options());
  optimizer.step([&] {
    optimizer.zero_grad();
    EXPECT_EQ(weight.strides().vec(), strides);
    auto loss = weight.pow(2).sum();
    loss.backward();
    return loss;
  });
  EXPECT_EQ(weight.strides().vec(), strides);
  EXPECT_EQ(optimizer.param_state(weight).hess().strides().vec(), strides);
  EXPECT_EQ(optimizer.param_state(weight).momentum().strides().vec(), strides);
}

TEST(Optimizer, StateFirstCreatedUnderInferenceModeCanBeTrained) {
  auto weight = torch::ones({4}).requires_grad_();
  IVON optimizer({weight}, options());
  {
    c10::InferenceMode inference;
    auto sample = optimizer.sampled_params();
  }
  optimizer.step([&] {
    optimizer.zero_grad();
    auto loss = weight.pow(2).sum();
    loss.backward();
    return loss;
  });
  EXPECT_EQ(optimizer.param_state(weight).step(), 1);
}

}  // namespace
