// SPDX-License-Identifier: Apache-2.0
// Priors of the parameters' own: IVON::set_priors(), posterior/prior.hpp, their archive and errors.
#include "ivon/posterior/prior.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::IVONOptions;
using ivon::ParameterPrior;
using ivon::Posterior;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

constexpr double kPriorEss = 200;
constexpr double kPriorDelta = 0.03;

// A quadratic loss over one parameter w of shape [7, 5], with its minimum at `target` + `shift`.
struct Quadratic {
  explicit Quadratic(const IVONOptions& options, torch::Dtype dtype = torch::kDouble,
                     double shift = 0)
      : w([&] {
          torch::manual_seed(ivon_test::kSeed);
          const Tensor start = torch::randn({7, 5}, torch::kDouble) + shift;
          return start.to(dtype).requires_grad_();
        }()),
        target(torch::randn({7, 5}, torch::kDouble) + shift),
        curvature(torch::rand({7, 5}, torch::kDouble) + 0.1),
        optimizer(std::vector<Tensor>{w}, options) {
    optimizer.manual_seed(3);
  }

  void backward() {
    const Tensor distance = w - target.to(w.scalar_type());
    (0.5 * curvature.to(w.scalar_type()) * distance.square()).sum().backward();
  }
  // `samples` is the number of scopes for each step; 0: the loop of sample_on_step.
  void train(int steps, int samples = 1) {
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      if (samples == 0) backward();
      for (int s = 0; s < samples; ++s) {
        optimizer.zero_grad();
        const auto sample = optimizer.sampled_params();
        backward();
      }
      optimizer.step();
    }
  }

  Tensor w, target, curvature;
  ivon::IVON<> optimizer;
};

IVONOptions quadratic_options(double weight_decay) {
  return IVONOptions(0.05).ess(kPriorEss).beta2(0.99).hess_init(0.4).rescale_lr(false).weight_decay(
      weight_decay);
}

// The prior that weight_decay stands for, given as a prior of its own, gives the same trajectory.
void expect_like_weight_decay(IVONOptions options, torch::Dtype dtype, int samples,
                              double tolerance) {
  options.sample_on_step(samples == 0);
  Quadratic theirs(IVONOptions(options).weight_decay(kPriorDelta), dtype);
  Quadratic ours(options.weight_decay(0), dtype);
  ours.optimizer.set_priors(
      {{ours.w, {}, torch::full({}, kPriorEss * kPriorDelta, torch::kDouble)}});
  theirs.train(30, samples);
  ours.train(30, samples);
  EXPECT_LE(ivon_test::relative_error(ours.optimizer.mean(ours.w), theirs.optimizer.mean(theirs.w)),
            tolerance);
  EXPECT_LE(ivon_test::relative_error(ours.optimizer.param_state(ours.w).hess(),
                                      theirs.optimizer.param_state(theirs.w).hess()),
            tolerance);
}

TEST(Priors, OfWeightDecayIsWeightDecay) {
  const IVONOptions options = quadratic_options(0);
  expect_like_weight_decay(options, torch::kDouble, 1, 1e-12);
  expect_like_weight_decay(options, torch::kDouble, 3, 1e-12);
  expect_like_weight_decay(options, torch::kDouble, 0, 1e-12);
  expect_like_weight_decay(options, torch::kFloat, 1, 1e-4);
  expect_like_weight_decay(options, torch::kBFloat16, 0, 2e-2);
  expect_like_weight_decay(IVONOptions(options).clip_radius(0.1), torch::kDouble, 1, 1e-12);
  const IVONOptions damped = IVONOptions::like_adamw(0.01, kPriorEss).beta2(0.99);
  expect_like_weight_decay(damped, torch::kDouble, 0, 1e-12);
}

// With the prior's mean at m0, everything is as with the prior at 0 and all weights shifted by -m0.
TEST(Priors, TheMeanShiftsEverything) {
  constexpr double kShift = 0.75;
  const IVONOptions options = quadratic_options(0);
  const Tensor precision = torch::rand({7, 5}, torch::kDouble) * 10 + 1;
  Quadratic at_zero(options), shifted(options, torch::kDouble, kShift);
  at_zero.optimizer.set_priors({{at_zero.w, {}, precision}});
  shifted.optimizer.set_priors(
      {{shifted.w, torch::full({7, 5}, kShift, torch::kDouble), precision}});
  at_zero.train(30);
  shifted.train(30);
  EXPECT_LE(ivon_test::relative_error(shifted.w - kShift, at_zero.w), 1e-11);
}

// The loss of 2048 independent copies of a one-dimensional regression in each row: the number of
// examples times the curvature, and the place of the minimum.
struct Rows {
  double ess;
  Tensor curvature, minimum;  // [3, 1]
};

Posterior trained_on(const Rows& data, const Posterior* prior) {
  constexpr int64_t kCopies = 2048;
  torch::nn::Module module;
  Tensor w = module.register_parameter("w", torch::zeros({3, kCopies}, torch::kDouble));
  auto options = IVONOptions(0.02).ess(data.ess).beta2(0.995).hess_init(1).rescale_lr(false);
  ivon::IVON optimizer(module.parameters(), options.weight_decay(prior ? 0 : 0.01));
  optimizer.manual_seed(prior ? 11 : 12);
  if (prior) ivon::set_prior(optimizer, *prior, module);
  for (int i = 0; i < 2500; ++i) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      (0.5 * data.curvature * (w - data.minimum).square()).sum().backward();
    }
    optimizer.step();
  }
  // The copies' average is the posterior; each copy fluctuates around it.
  const Posterior q = Posterior::of(optimizer, module);
  const auto average = [](const Tensor& t) {
    return t.defined() ? t.mean(-1, /*keepdim=*/true).expand({3, kCopies}).contiguous() : t;
  };
  return Posterior({{"w", average(q.mean("w")), average(q.precision("w"))}}, q.ess());
}

// The halves agree within 1.5 standard deviations. Where they do not, gradients at the mean are
// large, the estimate of the Hessian is noisy, and the quadratic term of its update makes it too
// large.
TEST(Priors, TwoHalvesInTurnEqualAllTheData) {
  const ivon_test::OneThread one_thread;
  const auto column = [](std::vector<double> v) {
    return torch::tensor(v, torch::kDouble).unsqueeze(1);
  };
  const Rows first{40, column({0.5, 1.0, 2.0}), column({1.0, -1.0, 0.5})};
  const Rows second{60, column({1.5, 0.4, 1.0}), column({1.15, -0.9, 0.4})};
  const Posterior half = trained_on(first, nullptr);
  const Posterior all = trained_on(second, &half);
  const Tensor s0 = torch::full({3, 1}, 40 * 0.01, torch::kDouble);
  const Tensor precision = s0 + first.ess * first.curvature + second.ess * second.curvature;
  const Tensor mean = (first.ess * first.curvature * first.minimum +
                       second.ess * second.curvature * second.minimum) /
                      precision;
  const Tensor error = (all.mean("w").slice(1, 0, 1) - mean).abs() * precision.sqrt();
  EXPECT_LE(error.max().item<double>(), ivon_test::tolerance::kKnownMean);
  EXPECT_LE((all.precision("w").slice(1, 0, 1) / precision - 1).abs().max().item<double>(),
            ivon_test::tolerance::kKnownPrecision);
}

TEST(Priors, AreInThePosteriorAndInTheArchive) {
  for (const bool on_step : {false, true}) {
    const IVONOptions options = quadratic_options(0).sample_on_step(on_step);
    Quadratic run(options), resumed(options);
    const Tensor mean = torch::randn({7, 5}, torch::kDouble);
    run.optimizer.set_priors({{run.w, mean, torch::full({}, 4.0)}});
    run.train(5, on_step ? 0 : 1);
    std::stringstream stream;
    {
      const auto shown = run.optimizer.mean_params();
      torch::save(run.optimizer, stream);
      resumed.optimizer.eval();
      const torch::NoGradGuard no_grad;
      resumed.w.copy_(run.w);
    }
    torch::load(resumed.optimizer, stream);
    resumed.optimizer.train();
    run.train(5, on_step ? 0 : 1);
    resumed.train(5, on_step ? 0 : 1);
    EXPECT_TRUE(same_bits(resumed.optimizer.mean(resumed.w), run.optimizer.mean(run.w)));

    torch::nn::Module module;
    module.register_parameter("w", run.w);
    run.optimizer.eval();
    const Posterior q = Posterior::of(run.optimizer, module);
    EXPECT_TRUE(same_bits(q.parameter("w").prior_mean, mean));
    EXPECT_EQ(q.parameter("w").prior_precision.item<double>(), 4);
    EXPECT_GT(q.kl(), 0);
    const Tensor h = run.optimizer.param_state(run.w).hess();
    EXPECT_TRUE(torch::allclose(q.precision("w"), kPriorEss * h + 4));

    // Without a precision the prior is taken away.
    run.optimizer.set_priors({{run.w, {}, {}}});
    EXPECT_FALSE(run.optimizer.param_state(run.w).prior_precision().defined());
    EXPECT_FALSE(run.optimizer.param_state(run.w).prior_mean().defined());
  }
}

TEST(Priors, NextPrior) {
  const auto t = [](double value) { return torch::full({2}, value, torch::kDouble); };
  const Posterior q({{"w", t(1), t(10), t(0.5), t(2)}}, 5, {"frozen"});
  EXPECT_TRUE(torch::equal(ivon::next_prior(q).precision("w"), t(10)));
  EXPECT_TRUE(torch::allclose(ivon::next_prior(q, 0.25).precision("w"), t(4)));
  EXPECT_TRUE(torch::equal(ivon::next_prior(q, 0.25).mean("w"), t(1)));
  EXPECT_EQ(ivon::next_prior(q).left_out(), std::vector<std::string>{"frozen"});
  EXPECT_EQ(message_of([&] { ivon::next_prior(q, 0); }),
            "ivon: gamma must be > 0 and <= 1, got 0; 1 forgets nothing");
  EXPECT_EQ(message_of([&] {
              ivon::next_prior(Posterior({{"w", t(1), t(1)}}), 0.5);
            }),
            "ivon: gamma < 1 needs a prior, but 'w' has none; train with weight_decay > 0 or with "
            "set_prior()");
}

TEST(Priors, EmpiricalWeightDecay) {
  Quadratic run(quadratic_options(1e-3));
  EXPECT_EQ(ivon::set_empirical_weight_decay(run.optimizer), std::vector<double>{1e-3});
  run.train(5);
  const Tensor variance = 1 / (kPriorEss * (run.optimizer.param_state(run.w).hess() + 1e-3));
  const double squares = (run.w.detach().square() + variance).sum().item<double>();
  const std::vector<double> found = ivon::set_empirical_weight_decay(run.optimizer);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found[0], 35 / squares / kPriorEss, 1e-12);
  // It is where KL(q || prior) is least.
  torch::nn::Module module;
  module.register_parameter("w", run.w);
  const Posterior q = Posterior::of(run.optimizer, module);
  const auto kl = [&](double factor) {
    ivon::PosteriorParameter p = q.parameter("w");
    p.precision = 1 / variance;
    p.prior_precision = torch::full({}, factor * found[0] * kPriorEss, torch::kDouble);
    return p.kl();
  };
  EXPECT_LT(kl(1), kl(1.1));
  EXPECT_LT(kl(1), kl(0.9));
}

TEST(Priors, BadInput) {
  Quadratic run(quadratic_options(0));
  const auto set = [&](const Tensor& parameter, const Tensor& mean, const Tensor& precision) {
    return message_of([&] { run.optimizer.set_priors({{parameter, mean, precision}}); });
  };
  const Tensor good = torch::ones({7, 5}, torch::kDouble);
  EXPECT_EQ(set(good, {}, good),
            "ivon: the tensor is no parameter of this optimizer; pass one that a parameter group "
            "lists");
  EXPECT_EQ(set(run.w, torch::ones({7}), good),
            "ivon: the mean of a prior must be a floating-point tensor of the shape of parameter 0 "
            "(group 0, shape [7, 5]), got Float [7]; see ParameterPrior");
  EXPECT_EQ(set(run.w, {}, torch::ones({7})),
            "ivon: the precision of a prior must be a floating-point tensor of the shape of "
            "parameter 0 (group 0, shape [7, 5]) or 0-dimensional, got Float [7]; see "
            "ParameterPrior");
  EXPECT_EQ(set(run.w, good * NAN, good),
            "ivon: the mean of a prior must be finite, but that for parameter 0 (group 0, shape "
            "[7, 5]) is not");
  EXPECT_EQ(set(run.w, {}, good * 0),
            "ivon: the precision of a prior must be > 0, but that for parameter 0 (group 0, shape "
            "[7, 5]) is not; it is 1 / variance");
  EXPECT_EQ(set(run.w, good, {}),
            "ivon: a prior must have a precision, but that for parameter 0 (group 0, shape [7, 5]) "
            "has only a mean; give 1 / variance");
  {
    const auto sample = run.optimizer.sampled_params();
    EXPECT_NE(set(run.w, {}, good).find("must be called outside a sample"), std::string::npos);
    run.backward();
  }
  EXPECT_EQ(set(run.w, {}, good),
            "ivon: set_priors() between a sample and its step() would change the posterior that "
            "the sample was drawn from; call step() first");
  run.optimizer.step();
  EXPECT_FALSE(run.optimizer.param_state(run.w).prior_precision().defined());
  EXPECT_EQ(set(run.w, {}, good), "");
  static_cast<IVONOptions&>(run.optimizer.param_groups()[0].options()).weight_decay(0.1);
  EXPECT_EQ(message_of([&] { (void)run.optimizer.sampled_params(); }),
            "ivon: weight_decay must be 0 for parameter 0 (group 0, shape [7, 5]), which has a "
            "prior of its own, got 0.1; set weight_decay(0), or take the prior away with "
            "set_priors()");

  Quadratic decayed(quadratic_options(0.1));
  EXPECT_EQ(
      message_of([&] {
        decayed.optimizer.set_priors({{decayed.w, {}, good}});
      }),
      "ivon: weight_decay must be 0 for parameter 0 (group 0, shape [7, 5]), which is given a "
      "prior, got 0.1; set weight_decay(0) in its group");
  decayed.w.requires_grad_(false);
  EXPECT_EQ(message_of([&] {
              decayed.optimizer.set_priors({{decayed.w, {}, good}});
            }),
            "ivon: parameter 0 (group 0, shape [7, 5]) must be trained to have a prior, but it is "
            "frozen; call requires_grad_()");
}

}  // namespace
