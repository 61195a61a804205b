// SPDX-License-Identifier: Apache-2.0
// Numbers chosen to hurt: gradients that drive the Hessian to its bound, overflow, non-finite
// values.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Hostile {
  torch::Dtype dtype = torch::kFloat32;
  double weight_decay = 1e-4;
  double beta2 = 0.9;
  double ess = 1e3;
  int64_t elements = 1000;
  int64_t steps = 1000;
};

// What the attacker makes of x = rho (hhat - h) / (h + delta), for which h' + delta is smallest at
// -1.
enum class Attack {
  kWorst,   // -1 in every element and step
  kAround,  // -1 +- 0.3: hits the unlucky roundings that a fixed -1 may miss
  kMixed,   // every other step anything from -1e6 to 1e6
};

ivon::IVONOptions options_of(const Hostile& hostile) {
  return ivon::IVONOptions(1e-3)
      .ess(hostile.ess)
      .beta2(hostile.beta2)
      .weight_decay(hostile.weight_decay)
      .clip_radius(1.0);
}

// How many elements break the contract: h + delta > 0, everything finite, sigma finite.
template <class Estimator>
int64_t broken_elements(const ivon::IVON<Estimator>& optimizer, const torch::Tensor& param,
                        double weight_decay) {
  const auto& state = optimizer.param_state(param);
  // In double from the stored h, and in the state's own precision as a kernel reads it.
  const auto in_double = state.hess().to(torch::kFloat64) + weight_decay;
  const auto in_state = state.hess() + weight_decay;
  const auto good = (in_double > 0)
                        .logical_and(in_state > 0)
                        .logical_and(in_state.isfinite())
                        .logical_and(state.momentum().isfinite());
  const auto mean = optimizer.mean(param);
  return good.numel() - good.logical_and(mean.isfinite()).sum().template item<int64_t>();
}

// The gradient that makes x = rho (hhat - h) / (h + delta) equal to `x` for the price estimator, in
// double.
torch::Tensor price_gradient(const ivon::IVON<>& optimizer, const torch::Tensor& param,
                             const torch::Tensor& theta, const torch::Tensor& x,
                             const Hostile& hostile) {
  const double rho = 1.0 - hostile.beta2;
  const auto& state = optimizer.param_state(param);
  const auto h = state.hess().defined() ? state.hess().to(torch::kFloat64) : torch::ones_like(x);
  const auto precision = h + hostile.weight_decay;
  const auto hhat = h + x * precision / rho;
  const auto noise = theta.to(torch::kFloat64) - optimizer.mean(param).to(torch::kFloat64);
  return hhat / (hostile.ess * precision * noise);
}

torch::Tensor choose_x(const Hostile& hostile, int64_t step, Attack attack) {
  auto x = torch::full({hostile.elements}, -1.0, torch::kFloat64);
  if (attack == Attack::kAround) x += 0.3 * torch::randn({hostile.elements}, torch::kFloat64);
  if (attack != Attack::kMixed || step % 2 == 0) return x;
  const auto exponent = torch::rand({hostile.elements}, torch::kFloat64) * 12 - 6;
  const auto sign = torch::randint(0, 2, {hostile.elements}, torch::kFloat64) * 2 - 1;
  return sign * exponent.mul(std::log(10.0)).exp();
}

// A million adversarial element updates; returns the largest number of broken elements seen after
// any step.
int64_t broken_by(Attack attack, const Hostile& hostile) {
  torch::manual_seed(ivon_test::kSeed);
  auto param = torch::randn({hostile.elements}).to(hostile.dtype).requires_grad_();
  ivon::IVON<> optimizer({param}, options_of(hostile));
  int64_t broken = 0;
  for (int64_t t = 0; t < hostile.steps; ++t) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      const auto theta = param.detach().clone();
      EXPECT_TRUE(theta.isfinite().all().item<bool>()) << "sample not finite at step " << t;
      param.mutable_grad() =
          price_gradient(optimizer, param, theta, choose_x(hostile, t, attack), hostile)
              .to(hostile.dtype);
    }
    optimizer.step();
    broken = std::max(broken, broken_elements(optimizer, param, hostile.weight_decay));
  }
  return broken;
}

constexpr Attack kAttacks[] = {Attack::kWorst, Attack::kAround, Attack::kMixed};

TEST(Hostile, PrecisionStaysPositiveUnderAMillionGradients) {
  for (const auto attack : kAttacks)
    EXPECT_EQ(broken_by(attack, {}), 0) << static_cast<int>(attack);
}

// Whether rounding breaks the bound depends on delta and rho: 60 attacks of 100,000 gradients each.
TEST(Hostile, PrecisionStaysPositiveForEveryWeightDecayAndBeta2) {
  for (const double weight_decay : {0.0, 3e-5, 1e-4, 1.7e-3, 0.5}) {
    for (const double beta2 : {0.0, 0.9, 0.99, 0.99999}) {
      for (const auto attack : kAttacks) {
        Hostile hostile;
        hostile.weight_decay = weight_decay;
        hostile.beta2 = beta2;
        hostile.steps = 100;
        EXPECT_EQ(broken_by(attack, hostile), 0) << "weight_decay " << weight_decay << " beta2 "
                                                 << beta2 << " attack " << static_cast<int>(attack);
      }
    }
  }
}

TEST(Hostile, PrecisionStaysPositiveForCoarseAndDoubleParameters) {
  for (const auto dtype : {torch::kBFloat16, torch::kFloat16, torch::kFloat64}) {
    for (const auto attack : kAttacks) {
      Hostile hostile;
      hostile.dtype = dtype;
      hostile.steps = 250;
      EXPECT_EQ(broken_by(attack, hostile), 0) << dtype << " attack " << static_cast<int>(attack);
    }
  }
}

// The update of the paper in float32, without a floor: the attack takes h + delta to 0 or below, so
// the tests above can fail.
TEST(Hostile, TheAttackBreaksAnUpdateWithoutFloor) {
  Hostile hostile;
  hostile.weight_decay = 3e-5;
  const auto delta = static_cast<float>(hostile.weight_decay);
  const float rho = 0.01F;
  std::mt19937 engine(ivon_test::kSeed);
  std::normal_distribution<float> normal;
  int64_t broken = 0;
  for (int64_t element = 0; element < hostile.elements; ++element) {
    float h = 1.0F;
    for (int64_t t = 0; t < 100 && h + delta > 0; ++t) {
      const float noise = normal(engine) / std::sqrt(static_cast<float>(hostile.ess) * (h + delta));
      const double precision = double{h} + delta;
      const double worst = h + (-1 + 0.3 * normal(engine)) * precision / rho;  // as Attack::kAround
      const auto gradient = static_cast<float>(worst / (hostile.ess * precision * noise));
      const float hhat = static_cast<float>(hostile.ess) * (h + delta) * noise * gradient;
      h = (1 - rho) * h + rho * hhat + 0.5F * rho * rho * (h - hhat) * (h - hhat) / (h + delta);
    }
    if (!(h + delta > 0)) ++broken;
  }
  EXPECT_GT(broken, hostile.elements / 2);
}

// Gradients of every magnitude that float32 has, from 1e-38 to 1e38, positive and negative.
template <class Estimator>
void every_magnitude(int64_t& skipped) {
  const int64_t elements = 2000;
  torch::manual_seed(ivon_test::kSeed);
  auto param = torch::randn({elements}).requires_grad_();
  ivon::IVON<Estimator> optimizer({param}, options_of({}));
  for (int64_t t = 0; t < 100; ++t) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      const auto exponent = torch::rand({elements}, torch::kFloat64) * 76 - 38;
      const auto sign = torch::randint(0, 2, {elements}, torch::kFloat64) * 2 - 1;
      param.mutable_grad() = (sign * exponent.mul(std::log(10.0)).exp()).to(torch::kFloat32);
    }
    optimizer.step();
    ASSERT_EQ(broken_elements(optimizer, param, 1e-4), 0) << "step " << t;
  }
  skipped = optimizer.skipped_elements();
}

TEST(Hostile, GradientsOfEveryMagnitude) {
  int64_t skipped = 0;
  every_magnitude<ivon::PriceEstimator>(skipped);
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, 2000 * 100);
  every_magnitude<ivon::GradSquaredEstimator>(skipped);
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, 2000 * 100);
}

struct Snapshot {
  torch::Tensor mean, hess, momentum;
};

template <class Estimator>
Snapshot snapshot(const ivon::IVON<Estimator>& optimizer, const torch::Tensor& param) {
  const auto& state = optimizer.param_state(param);
  return {optimizer.mean(param).clone(), state.hess().clone(), state.momentum().clone()};
}

// One training step with the gradient given; the weights shown are mean + 0.01.
template <class Estimator>
void step_with(ivon::IVON<Estimator>& optimizer, torch::Tensor& param, const torch::Tensor& grad) {
  optimizer.zero_grad();
  {
    const auto sample = optimizer.sampled_params();
    torch::NoGradGuard no_grad;
    param.copy_(optimizer.mean(param) + 0.01);
    param.mutable_grad() = grad.to(param.scalar_type());
  }
  optimizer.step();
}

// Elements 0 .. bad.size()-1 get `bad`, the rest 0.5; exactly the first `bad.size()` must stay as
// they were.
template <class Estimator>
void only_bad_elements_stay(const std::vector<double>& bad, torch::Dtype dtype) {
  const auto count = static_cast<int64_t>(bad.size());
  torch::manual_seed(ivon_test::kSeed);
  auto param = torch::randn({count + 37}).to(dtype).requires_grad_();
  ivon::IVON<Estimator> optimizer({param}, options_of({}));
  step_with(optimizer, param, torch::full({count + 37}, 0.25));
  ASSERT_EQ(optimizer.skipped_elements(), 0);

  const auto before = snapshot(optimizer, param);
  auto grad = torch::full({count + 37}, 0.5, torch::kFloat64);
  grad.slice(0, 0, count).copy_(torch::tensor(bad, torch::kFloat64));
  step_with(optimizer, param, grad);
  const auto after = snapshot(optimizer, param);

  EXPECT_EQ(optimizer.skipped_elements(), count);
  const auto head = [&](const torch::Tensor& t) { return t.slice(0, 0, count); };
  const auto tail = [&](const torch::Tensor& t) { return t.slice(0, count); };
  EXPECT_TRUE(ivon_test::same_bits(head(before.mean), head(after.mean)));
  EXPECT_TRUE(ivon_test::same_bits(head(before.hess), head(after.hess)));
  EXPECT_TRUE(ivon_test::same_bits(head(before.momentum), head(after.momentum)));
  EXPECT_TRUE((tail(before.mean) != tail(after.mean)).all().template item<bool>());
  EXPECT_TRUE((tail(before.hess) != tail(after.hess)).all().template item<bool>());
  EXPECT_TRUE((tail(before.momentum) != tail(after.momentum)).all().template item<bool>());
}

TEST(Hostile, NonFiniteGradientsLeaveTheElementAndAreCounted) {
  for (const auto dtype : {torch::kFloat32, torch::kFloat64, torch::kBFloat16, torch::kFloat16}) {
    SCOPED_TRACE(dtype);
    only_bad_elements_stay<ivon::PriceEstimator>({kNan, kInf, -kInf}, dtype);
    only_bad_elements_stay<ivon::GradSquaredEstimator>({kNan, kInf, -kInf}, dtype);
  }
}

TEST(Hostile, EstimatesThatOverflowLeaveTheElementAndAreCounted) {
  // ess 1e3 times noise 0.01 times 1e38, and 1e30 squared: beyond 3.4e38.
  only_bad_elements_stay<ivon::PriceEstimator>({1e38, -1e38}, torch::kFloat32);
  only_bad_elements_stay<ivon::GradSquaredEstimator>({1e30, -1e30, 3e38}, torch::kFloat32);
  // hhat is finite here, its square in the update is not.
  only_bad_elements_stay<ivon::PriceEstimator>({1e30, -1e30}, torch::kFloat32);
}

TEST(Hostile, NanLossLeavesEverythingAsItWas) {
  torch::manual_seed(ivon_test::kSeed);
  auto weight = torch::randn({5, 3}).requires_grad_();
  auto bias = torch::zeros({5}).requires_grad_();
  ivon::IVON<> optimizer({weight, bias}, options_of({}));
  const auto x = torch::randn({4, 3});
  const auto train = [&](double factor) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      (at::linear(x, weight, bias).square().mean() * factor).backward();
    }
    optimizer.step();
  };
  train(1.0);
  const auto weight_before = snapshot(optimizer, weight);
  const auto bias_before = snapshot(optimizer, bias);
  for (int t = 0; t < 3; ++t) train(kNan);
  for (const auto& [param, before] :
       {std::pair{weight, weight_before}, std::pair{bias, bias_before}}) {
    const auto after = snapshot(optimizer, param);
    EXPECT_TRUE(ivon_test::same_bits(param, before.mean));
    EXPECT_TRUE(ivon_test::same_bits(after.mean, before.mean));
    EXPECT_TRUE(ivon_test::same_bits(after.hess, before.hess));
    EXPECT_TRUE(ivon_test::same_bits(after.momentum, before.momentum));
  }
  EXPECT_EQ(optimizer.skipped_elements(), 3 * (15 + 5));
  train(1.0);
  EXPECT_FALSE(ivon_test::same_bits(weight, weight_before.mean));
  EXPECT_EQ(optimizer.skipped_elements(), 3 * (15 + 5));
}

// h may stand below 0 by up to delta; a smaller delta must not make the precision negative, at once
// or later.
TEST(Hostile, WeightDecayLoweredHalfWay) {
  for (const auto dtype : {torch::kFloat32, torch::kFloat64, torch::kBFloat16}) {
    SCOPED_TRACE(dtype);
    Hostile hostile;
    hostile.dtype = dtype;
    hostile.weight_decay = 0.5;
    torch::manual_seed(ivon_test::kSeed);
    auto param = torch::randn({hostile.elements}).to(dtype).requires_grad_();
    ivon::IVON<> optimizer({param}, options_of(hostile));
    for (int64_t t = 0; t < 60; ++t) {
      if (t == 30) {
        const auto lowest = optimizer.param_state(param).hess().min().item<double>();
        ASSERT_LT(lowest, -0.4) << "the attack did not take h below 0";
        hostile.weight_decay = 1e-6;
        static_cast<ivon::IVONOptions&>(optimizer.param_groups()[0].options()).weight_decay(1e-6);
      }
      optimizer.zero_grad();
      {
        const auto sample = optimizer.sampled_params();
        const auto theta = param.detach().clone();
        ASSERT_TRUE(theta.isfinite().all().item<bool>()) << "step " << t;
        const auto x = torch::full({hostile.elements}, -1.0, torch::kFloat64);
        param.mutable_grad() = t < 30
                                   ? price_gradient(optimizer, param, theta, x, hostile).to(dtype)
                                   : torch::randn({hostile.elements}).to(dtype);
      }
      optimizer.step();
      ASSERT_EQ(broken_elements(optimizer, param, hostile.weight_decay), 0) << "step " << t;
    }
  }
}

// hess_clip bounds |hhat - h| by hess_clip (h + delta): one outlier moves h by at most rho * clip +
// rho^2 clip^2 / 2.
TEST(Hostile, HessClipBoundsOneOutlier) {
  auto param = torch::zeros({4}).requires_grad_();
  auto options = options_of({}).hess_clip(10.0);
  ivon::IVON<> optimizer({param}, options);
  step_with(optimizer, param, torch::tensor({1e6, -1e6, 1e3, 0.0}));
  const auto hess = optimizer.param_state(param).hess();
  const double precision = 1.0 + 1e-4;
  EXPECT_NEAR(hess[0].item<double>(), 1.0 + (0.1 * 10 + 0.5 * 0.01 * 100) * precision, 1e-5);
  EXPECT_NEAR(hess[1].item<double>(), 1.0 + (-0.1 * 10 + 0.5 * 0.01 * 100) * precision, 1e-5);
  EXPECT_NEAR(hess[2].item<double>(), 1.0 + (0.1 * 10 + 0.5 * 0.01 * 100) * precision, 1e-5);
  // No outlier: hhat = 0, x = rho (0 - 1) / (h + delta).
  EXPECT_NEAR(hess[3].item<double>(), 0.9 + 0.5 * 0.01 / precision, 1e-5);
}

}  // namespace
