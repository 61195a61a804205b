// SPDX-License-Identifier: Apache-2.0
// posterior/posterior.hpp: what is taken from an optimizer, KL against numerical integration,
// samples in eager and TorchScript modules, and errors.
#include "ivon/posterior/posterior.hpp"

#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::Posterior;
using ivon::PosteriorParameter;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

PosteriorParameter named(const char* name, const Tensor& mean, const Tensor& precision,
                         const Tensor& prior_mean = {}, const Tensor& prior_precision = {}) {
  return {name, mean, precision, prior_mean, prior_precision};
}

// A module that ties two names to one weight and has a frozen one.
struct TiedImpl : torch::nn::Module {
  TiedImpl() {
    weight = register_parameter("weight", torch::randn({3, 4}));
    register_parameter("tied", weight);
    frozen = register_parameter("frozen", torch::randn({2}), /*requires_grad=*/false);
    bias = register_parameter("bias", torch::randn({3}));
  }
  Tensor forward(const Tensor& x) { return x.matmul(weight.t()) + bias; }
  Tensor weight, frozen, bias;
};
TORCH_MODULE(Tied);

struct TrainedTied {
  explicit TrainedTied(bool on_step = false)
      : optimizer(model->parameters(),
                  ivon::IVONOptions(0.1).ess(500).weight_decay(2e-3).hess_init(0.5).sample_on_step(
                      on_step)) {
    const Tensor x = torch::randn({16, 4});
    for (int i = 0; i < 10; ++i) {
      optimizer.zero_grad();
      const auto backward = [&] { model->forward(x).square().mean().backward(); };
      if (on_step) {
        backward();
      } else {
        const auto sample = optimizer.sampled_params();
        backward();
      }
      optimizer.step();
    }
  }
  Tied model;
  ivon::IVON<> optimizer;
};

TEST(Posterior, OfAnOptimizer) {
  torch::manual_seed(ivon_test::kSeed);
  TrainedTied run;
  const Posterior q = Posterior::of(run.optimizer, *run.model);
  EXPECT_EQ(q.names(), (std::vector<std::string>{"weight", "bias"}));
  EXPECT_EQ(q.left_out(), std::vector<std::string>{"frozen"});
  EXPECT_EQ(q.ess(), 500);
  EXPECT_TRUE(same_bits(q.mean("bias"), run.model->bias));
  const Tensor h = run.optimizer.param_state(run.model->bias).hess();
  EXPECT_LE(ivon_test::relative_error(q.precision("bias"), 500 * (h + 2e-3)), 1e-6);
  EXPECT_NEAR(q.parameter("bias").prior_precision.item<double>(), 1.0, 1e-6);
  EXPECT_TRUE(torch::allclose(q.signal_to_noise("bias"),
                              q.mean("bias").abs() * q.precision("bias").sqrt()));

  // It is independent of what the optimizer does afterwards.
  const Tensor before = q.mean("weight").clone();
  run.optimizer.zero_grad();
  {
    const auto sample = run.optimizer.sampled_params();
    run.model->forward(torch::ones({1, 4})).sum().backward();
  }
  run.optimizer.step();
  EXPECT_TRUE(same_bits(q.mean("weight"), before));
  EXPECT_FALSE(same_bits(run.model->weight, before));
}

TEST(Posterior, OfAnOptimizerBeforeTraining) {
  torch::nn::Linear model(2, 3);
  const ivon::IVON optimizer(model->parameters(),
                             ivon::IVONOptions(0.1).ess(100).hess_init(0.5).weight_decay(0.25));
  const Posterior q = Posterior::of(optimizer, *model);
  EXPECT_TRUE(torch::allclose(q.precision("weight"), torch::full({3, 2}, 75.0)));
}

TEST(Posterior, OfAnOptimizerWhileTheModuleShowsASample) {
  torch::manual_seed(ivon_test::kSeed);
  TrainedTied run(/*on_step=*/true);
  const Posterior q = Posterior::of(run.optimizer, *run.model);
  EXPECT_FALSE(same_bits(q.mean("bias"), run.model->bias));
  run.optimizer.eval();
  EXPECT_TRUE(same_bits(q.mean("bias"), run.model->bias));
}

// With sample_on_step, the module shows the mean in a scope of mean_params(), and a posterior may
// be shown in it.
TEST(Posterior, IsShownDuringTrainingInAScopeOfTheMean) {
  torch::manual_seed(ivon_test::kSeed);
  TrainedTied run(/*on_step=*/true);
  Posterior q = Posterior::of(run.optimizer, *run.model);
  const Tensor before = run.model->weight.detach().clone();
  {
    const auto mean = run.optimizer.mean_params();
    const Tensor held = run.model->weight.detach().clone();
    {
      const auto sample = q.sampled_params(*run.model);
      EXPECT_FALSE(same_bits(run.model->weight, held));
    }
    EXPECT_TRUE(same_bits(run.model->weight, held));
  }
  EXPECT_TRUE(same_bits(run.model->weight, before));  // the training sample
  run.optimizer.zero_grad();
  run.model->forward(torch::ones({2, 4})).square().mean().backward();
  run.optimizer.step();
}

// The posterior's samples are the optimizer's samples for prediction, from the same noise.
TEST(Posterior, SamplesAreThoseOfTheOptimizer) {
  torch::manual_seed(ivon_test::kSeed);
  torch::nn::Linear model(5, 4);
  ivon::IVON optimizer(model->parameters(), ivon::IVONOptions(0.1).ess(100).hess_init(0.5));
  {
    const auto sample = optimizer.sampled_params();
    model->forward(torch::randn({3, 5})).square().sum().backward();
  }
  optimizer.step();
  Posterior q = Posterior::of(optimizer, *model);
  optimizer.manual_seed(7);
  q.manual_seed(7);
  const torch::NoGradGuard no_grad;
  for (int i = 0; i < 3; ++i) {
    Tensor theirs;
    {
      const auto sample = optimizer.sampled_params();
      theirs = model->weight.clone();
    }
    const auto sample = q.sampled_params(*model);
    EXPECT_LE(ivon_test::relative_error(model->weight, theirs), 1e-6);
  }
}

// Integrates a function over one Gaussian N(mean, 1 / precision) by the trapezoidal rule.
double integrate(double mean, double precision, const std::function<double(double)>& f) {
  const double deviation = 1 / std::sqrt(precision), step = 0.01;
  double total = 0;
  for (double z = -12; z <= 12; z += step) {
    total += std::exp(-0.5 * z * z) * f(mean + z * deviation);
  }
  return total * step / std::sqrt(2 * M_PI);
}

TEST(Posterior, KlAgainstNumericalIntegration) {
  const Tensor m = torch::tensor({0.3, -2.0, 0.0}, torch::kDouble);
  const Tensor s = torch::tensor({4.0, 0.5, 100.0}, torch::kDouble);
  const Tensor m0 = torch::tensor({0.0, -1.0, 0.1}, torch::kDouble);
  const Tensor s0 = torch::tensor({2.0, 3.0, 99.0}, torch::kDouble);
  double expected = 0;
  for (int64_t i = 0; i < 3; ++i) {
    const auto at = [i](const Tensor& t) { return t[i].item<double>(); };
    const auto log_density = [](double x, double mean, double precision) {
      return 0.5 * std::log(precision / (2 * M_PI)) - 0.5 * precision * (x - mean) * (x - mean);
    };
    expected += integrate(at(m), at(s), [&](double x) {
      return log_density(x, at(m), at(s)) - log_density(x, at(m0), at(s0));
    });
  }
  const Posterior q({named("w", m, s, m0, s0)}, 10);
  EXPECT_NEAR(q.kl(), expected, 1e-9);
  EXPECT_NEAR(q.elbo(0.25), -(2.5 + expected), 1e-9);
  EXPECT_EQ(Posterior({named("w", m, s, m, s)}).kl(), 0);
  const Tensor one = torch::ones({1}, torch::kDouble);
  EXPECT_NEAR(Posterior({named("w", 0 * one, 1e20 * one, {}, one)}).kl(),
              0.5 * (std::log(1e20) - 1), 1e-12);
}

TEST(Posterior, Tempered) {
  const Posterior q({named("w", torch::ones({2}), torch::tensor({1.0F, 3.0F}))}, 10);
  const Posterior cold = q.tempered(4);
  EXPECT_TRUE(torch::equal(cold.precision("w"), torch::tensor({4.0F, 12.0F})));
  EXPECT_EQ(cold.ess(), 40);
  EXPECT_TRUE(torch::equal(q.precision("w"), torch::tensor({1.0F, 3.0F})));
}

TEST(Posterior, SamplesHaveItsMomentsAndTheModuleIsGivenBack) {
  constexpr int64_t kCount = 100'000;
  Posterior q({named("w", torch::full({kCount}, 0.5), torch::full({kCount}, 25.0))});
  torch::nn::Module module;
  Tensor w = module.register_parameter("w", torch::randn({kCount}));
  const Tensor before = w.detach().clone();
  {
    const auto sample = q.sampled_params(module);
    const Tensor d = (w.detach() - 0.5).to(torch::kDouble) * 5;
    const double error = 4 / std::sqrt(static_cast<double>(kCount));
    EXPECT_NEAR(d.mean().item<double>(), 0, error);
    EXPECT_NEAR(d.square().mean().item<double>(), 1, error * std::sqrt(2.0));
  }
  EXPECT_TRUE(same_bits(w, before));
  try {
    const auto sample = q.sampled_params(module);
    throw std::runtime_error("out of the scope");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(same_bits(w, before));
  {
    const auto mean = q.mean_params(module);
    EXPECT_TRUE(torch::equal(w, torch::full({kCount}, 0.5)));
  }
  EXPECT_TRUE(same_bits(w, before));
  q.apply_mean(module);
  EXPECT_TRUE(torch::equal(w, torch::full({kCount}, 0.5)));
}

Tensor drawn(Posterior& q, torch::nn::Module& module, const Tensor& w) {
  const auto sample = q.sampled_params(module);
  return w.detach().clone();
}

TEST(Posterior, SamplesFollowFromTheSeed) {
  Posterior q({named("w", torch::zeros({33}), torch::ones({33}))});
  torch::nn::Module module;
  const Tensor w = module.register_parameter("w", torch::randn({33}));
  const Tensor first = drawn(q, module, w), second = drawn(q, module, w);
  EXPECT_FALSE(same_bits(first, second));
  Posterior copy = q;
  q.manual_seed(0);
  EXPECT_TRUE(same_bits(drawn(q, module, w), first));
  EXPECT_TRUE(same_bits(drawn(q, module, w), second));
  q.manual_seed(1);
  EXPECT_FALSE(same_bits(drawn(q, module, w), first));
  EXPECT_FALSE(same_bits(drawn(copy, module, w), first));  // it goes on where q was
}

TEST(Posterior, MirrorImage) {
  torch::manual_seed(ivon_test::kSeed);
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16}) {
    Posterior q({named("w", torch::full({9}, 2.0), torch::full({9}, 4.0))});
    torch::nn::Module module;
    Tensor w = module.register_parameter("w", torch::randn({9}).to(dtype));
    const Tensor before = w.detach().clone();
    const torch::NoGradGuard no_grad;
    {
      auto sample = q.sampled_params(module);
      const Tensor d = w - 2;
      sample.mirror();
      EXPECT_TRUE(torch::allclose(w - 2, -d, 1e-2, 1e-2)) << dtype;
      EXPECT_GT(d.abs().max().item<double>(), 0.3);
    }
    EXPECT_TRUE(same_bits(w, before));
  }
  TrainedTied run;
  auto sample = run.optimizer.sampled_params();
  EXPECT_EQ(message_of([&] { sample.mirror(); }),
            "ivon: mirror() must be called while a sample for prediction is shown; draw it under "
            "torch::NoGradGuard");
  sample.restore();
  EXPECT_EQ(message_of([&] { sample.mirror(); }),
            "ivon: mirror() must be called while the guard lives, but it has ended");
}

TEST(Posterior, OtherDtypesAndMemoryOrders) {
  torch::manual_seed(ivon_test::kSeed);
  Posterior q({named("w", torch::randn({6, 5}), torch::full({6, 5}, 100.0))});
  torch::nn::Module plain, transposed, half, wide;
  const Tensor w = plain.register_parameter("w", torch::zeros({6, 5}));
  const Tensor t = transposed.register_parameter("w", torch::zeros({5, 6}).t());
  const Tensor b = half.register_parameter("w", torch::zeros({6, 5}, torch::kBFloat16));
  const Tensor d = wide.register_parameter("w", torch::zeros({6, 5}, torch::kDouble));
  const Tensor sample = drawn(q, plain, w);
  q.manual_seed(0);
  EXPECT_TRUE(torch::allclose(drawn(q, half, b).to(torch::kFloat), sample, 1e-2, 1e-2));
  EXPECT_NEAR((drawn(q, wide, d) - q.mean("w")).std().item<double>(), 0.1, 0.05);
  EXPECT_NEAR((drawn(q, transposed, t) - q.mean("w")).std().item<double>(), 0.1, 0.05);
  const auto mean = q.mean_params(transposed);
  EXPECT_TRUE(torch::equal(t, q.mean("w")));
}

TEST(Posterior, TorchScriptModule) {
  torch::jit::Module script("affine");
  script.register_parameter("w", torch::zeros({3, 2}), false);
  script.register_parameter("b", torch::zeros({2}), false);
  script.define("def forward(self, x):\n    return x.mm(self.w) + self.b\n");
  torch::nn::Module eager;
  const Tensor w = eager.register_parameter("w", torch::ones({3, 2}));
  const Tensor b = eager.register_parameter("b", torch::ones({2}));
  torch::manual_seed(ivon_test::kSeed);
  Posterior q({named("w", torch::randn({3, 2}), torch::full({3, 2}, 9.0)),
               named("b", torch::randn({2}), torch::full({2}, 9.0))});
  const Tensor x = torch::randn({4, 3});
  const torch::NoGradGuard no_grad;
  Tensor expected;
  {
    const auto sample = q.sampled_params(eager);
    expected = x.mm(w) + b;
  }
  q.manual_seed(0);
  {
    const auto sample = q.sampled_params(script);
    EXPECT_TRUE(same_bits(script.forward({x}).toTensor(), expected));
  }
  EXPECT_EQ(script.forward({x}).toTensor().abs().max().item<float>(), 0);
  q.apply_mean(script);
  EXPECT_TRUE(torch::allclose(script.forward({x}).toTensor(), x.mm(q.mean("w")) + q.mean("b")));
}

TEST(Posterior, ATiedWeightIsKnownByAnyOfItsNames) {
  torch::manual_seed(ivon_test::kSeed);
  Tied model;
  const Tensor mean = torch::randn({3, 4});
  const Posterior q({named("tied", mean, torch::ones({3, 4})),
                     named("bias", torch::zeros({3}), torch::ones({3}))},
                    {}, {"frozen"});
  q.apply_mean(*model);
  EXPECT_TRUE(torch::equal(model->weight, mean));
}

TEST(Posterior, AModuleThatDoesNotFit) {
  torch::manual_seed(ivon_test::kSeed);
  TrainedTied run;
  Posterior q = Posterior::of(run.optimizer, *run.model);
  torch::nn::Module other;
  const Tensor weight = other.register_parameter("weight", torch::zeros({4, 3}));
  other.register_parameter("extra", torch::zeros({1}));
  const std::string expected =
      "ivon: the posterior must have the names and shapes of the module, but they differ:\n"
      "  weight: shape [3, 4] in the posterior, [4, 3] in the module\n"
      "  extra: not in the posterior\n"
      "  bias: not in the module\n"
      "Pass the module that it was made for.";
  EXPECT_EQ(message_of([&] { (void)q.sampled_params(other); }), expected);
  EXPECT_EQ(message_of([&] { q.apply_mean(other); }), expected);
  EXPECT_EQ(weight.abs().max().item<float>(), 0);
  EXPECT_EQ(message_of([&] { (void)Posterior::of(run.optimizer, other); }),
            "ivon: the module must have all parameters that the optimizer trains, but lacks 2 of "
            "them; pass the module that the optimizer was made for");
}

TEST(Posterior, OneSampleAtATime) {
  torch::manual_seed(ivon_test::kSeed);
  TrainedTied run;
  Posterior q = Posterior::of(run.optimizer, *run.model);
  const Tensor before = run.model->weight.detach().clone();
  {
    const torch::NoGradGuard no_grad;
    const auto sample = run.optimizer.sampled_params();
    EXPECT_NE(message_of([&] {
                (void)q.sampled_params(*run.model);
              }).find("must hold its own value, but it shows a sample of another optimizer"),
              std::string::npos);
    EXPECT_NE(message_of([&] { q.apply_mean(*run.model); }).find("must hold its own value"),
              std::string::npos);
  }
  {
    const auto sample = q.sampled_params(*run.model);
    EXPECT_NE(
        message_of([&] { (void)q.sampled_params(*run.model); }).find("must hold its own value"),
        std::string::npos);
  }
  EXPECT_TRUE(same_bits(run.model->weight, before));
}

TEST(Posterior, BadValues) {
  const Tensor one = torch::ones({2});
  const auto made = [](std::vector<PosteriorParameter> parameters) {
    return message_of([&] { Posterior q(std::move(parameters)); });
  };
  EXPECT_EQ(made({named("w", one, torch::tensor({1.0F, 0.0F}))}),
            "ivon: the precision of 'w' must be finite and > 0, but 1 of 2 elements are not; it is "
            "1 / variance");
  EXPECT_EQ(made({named("w", one, torch::tensor({1.0F, NAN}))}),
            "ivon: the precision of 'w' must be finite and > 0, but 1 of 2 elements are not; it is "
            "1 / variance");
  EXPECT_EQ(made({named("w", one * INFINITY, one)}),
            "ivon: the mean of 'w' must be finite, but 2 of 2 elements are not; train with a "
            "smaller learning rate");
  EXPECT_EQ(made({named("w", one, torch::ones({3}))}),
            "ivon: the precision of 'w' must be like its mean, Float [2] on cpu, got Float [3] on "
            "cpu; convert it");
  EXPECT_EQ(made({named("w", one, one, {}, torch::zeros({}))}),
            "ivon: the prior_precision of 'w' must be finite and > 0, but 1 of 1 elements are not; "
            "it is 1 / variance");
  EXPECT_EQ(made({named("w", one.to(torch::kHalf), one)}),
            "ivon: the mean of 'w' must be a dense float32 or float64 tensor, got Half; convert it "
            "with to(torch::kFloat)");
  EXPECT_EQ(made({named("w", one, {})}),
            "ivon: the precision of 'w' must be a tensor of the mean's shape, got an undefined "
            "tensor; give 1 / variance");
  EXPECT_EQ(made({named("", one, one)}),
            "ivon: a posterior's parameter must have a name, got an empty one");
  EXPECT_EQ(made({named("w", one, one), named("w", one, one)}),
            "ivon: a posterior has a name once, but 'w' is there twice; rename one of them");
  EXPECT_EQ(message_of([&] { Posterior q({}, 0.0); }),
            "ivon: ess must be finite and > 0, got 0; leave it out if it is unknown");
  const Posterior q({named("w", one, one)});
  EXPECT_EQ(message_of([&] { (void)q.mean("v"); }),
            "ivon: the posterior has no parameter 'v'; names() lists them");
  EXPECT_EQ(message_of([&] { (void)q.kl(); }),
            "ivon: KL(q || prior) needs a prior, but 'w' has none; train with weight_decay > 0 or "
            "set its prior_precision");
  EXPECT_EQ(message_of([&] { (void)q.ess(); }),
            "ivon: the posterior must have one effective sample size, but it was made without one "
            "or of groups that differ in it; give ess to the constructor");
  EXPECT_EQ(message_of([&] { (void)q.tempered(0); }),
            "ivon: tau must be finite and > 0, got 0; 1 changes nothing");
}

}  // namespace
