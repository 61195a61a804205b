// SPDX-License-Identifier: Apache-2.0
// The life of a sample: what makes it pending, when its gradients are read, what drops it.
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;

struct Problem {
  torch::Tensor weight = torch::linspace(-1, 1, 64).requires_grad_();
  IVON<> optimizer;
  explicit Problem(IVONOptions options = IVONOptions(0.1).ess(100).beta2(0.9))
      : optimizer({weight}, std::move(options)) {
    optimizer.manual_seed(ivon_test::kSeed);
  }
  void backward() { weight.pow(3).sum().backward(); }
  void sample() {
    auto scope = optimizer.sampled_params();
    backward();
  }
  torch::Tensor hess() { return optimizer.param_state(weight).hess().clone(); }
  torch::Tensor momentum() { return optimizer.param_state(weight).momentum().clone(); }
};

TEST(SampleLife, EveryScopeHasItsOwnNoise) {
  Problem a;
  torch::Tensor first, second, predicted;
  {
    auto scope = a.optimizer.sampled_params();
    first = a.weight.detach().clone();
  }
  {
    auto scope = a.optimizer.sampled_params();
    second = a.weight.detach().clone();
  }
  EXPECT_FALSE(same_bits(first, second));
  {
    torch::NoGradGuard no_grad;
    auto scope = a.optimizer.sampled_params();
    predicted = a.weight.detach().clone();
  }
  EXPECT_FALSE(same_bits(first, predicted));
  a.optimizer.manual_seed(ivon_test::kSeed);  // both streams to their beginning
  {
    auto scope = a.optimizer.sampled_params();
    EXPECT_TRUE(same_bits(a.weight, first));
  }
  {
    c10::InferenceMode inference;
    auto scope = a.optimizer.sampled_params();
    EXPECT_TRUE(same_bits(a.weight, predicted));
  }
}

TEST(SampleLife, PredictionsChangeNothingInTraining) {
  Problem plain, evaluated;
  for (int i = 0; i < 4; ++i) {
    for (Problem* problem : {&plain, &evaluated}) {
      problem->optimizer.zero_grad();
      problem->sample();
      if (problem == &evaluated) {  // between sample and step, the hardest place
        torch::NoGradGuard no_grad;
        auto scope = problem->optimizer.sampled_params();
      }
      problem->optimizer.step();
    }
  }
  EXPECT_TRUE(same_bits(plain.weight, evaluated.weight));
  EXPECT_TRUE(same_bits(plain.hess(), evaluated.hess()));
}

TEST(SampleLife, ZeroGradBetweenSampleAndStepLosesNothing) {
  Problem plain, zeroed, zeroed_in_place;
  plain.sample();
  plain.optimizer.step();
  zeroed.sample();
  zeroed.optimizer.zero_grad();
  zeroed.optimizer.step();
  zeroed_in_place.sample();
  zeroed_in_place.optimizer.zero_grad(/*set_to_none=*/false);
  zeroed_in_place.optimizer.step();
  EXPECT_TRUE(same_bits(plain.weight, zeroed.weight));
  EXPECT_TRUE(same_bits(plain.weight, zeroed_in_place.weight));
  EXPECT_TRUE(same_bits(plain.hess(), zeroed_in_place.hess()));
}

TEST(SampleLife, ClippingAfterTheScopeTakesEffect) {
  Problem problem;
  problem.sample();
  torch::nn::utils::clip_grad_norm_({problem.weight}, 1e-3);
  problem.optimizer.step();
  EXPECT_NEAR(problem.momentum().norm().item<double>(), 0.1 * 1e-3, 1e-8);
}

TEST(SampleLife, ClippingEachOfSeveralSamplesTakesEffect) {
  Problem problem;
  for (int s = 0; s < 2; ++s) {
    problem.optimizer.zero_grad();
    problem.sample();
    torch::nn::utils::clip_grad_norm_({problem.weight}, 1e-3);
  }
  problem.optimizer.step();
  EXPECT_LE(problem.momentum().norm().item<double>(), 0.1 * 1e-3 * (1 + 1e-5));
  EXPECT_GT(problem.momentum().norm().item<double>(), 0.05 * 1e-3);
}

TEST(SampleLife, SeveralBackwardsInAScopeAreOneSample) {
  Problem once, accumulated;
  once.sample();
  once.optimizer.step();
  {
    auto scope = accumulated.optimizer.sampled_params();
    for (int k = 0; k < 4; ++k) (accumulated.weight.pow(3).sum() / 4).backward();
  }
  accumulated.optimizer.step();
  EXPECT_TRUE(torch::allclose(once.weight, accumulated.weight, 1e-6, 1e-7));
}

TEST(SampleLife, AnExceptionInTheScopeDropsTheSample) {
  Problem problem;
  const auto mean = problem.weight.detach().clone();
  try {
    auto scope = problem.optimizer.sampled_params();
    problem.backward();
    throw std::runtime_error("out of coffee");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(same_bits(problem.weight, mean));
  EXPECT_TRUE(problem.weight.grad().defined()) << "gradients stay as they are";
  EXPECT_NE(message_of([&] { problem.optimizer.step(); }), "");
  problem.optimizer.zero_grad();
  problem.sample();
  problem.optimizer.step();
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 1);
}

TEST(SampleLife, AScopeInsideAnotherExceptionsCleanupStillCounts) {
  struct Cleanup {
    Problem* problem;
    ~Cleanup() { problem->sample(); }
  };
  Problem problem;
  try {
    Cleanup cleanup{&problem};
    throw std::runtime_error("elsewhere");
  } catch (const std::runtime_error&) {
  }
  problem.optimizer.step();
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 1);
}

TEST(SampleLife, AClosureThatThrowsChangesNothing) {
  Problem problem(IVONOptions(0.1).ess(100).mc_samples(3).beta2(0.9));
  Problem twin(IVONOptions(0.1).ess(100).mc_samples(3).beta2(0.9));
  problem.sample();  // pending when the closure is called
  twin.sample();
  int calls = 0;
  EXPECT_THROW(problem.optimizer.step([&]() -> torch::Tensor {
    problem.optimizer.zero_grad();
    problem.backward();
    if (++calls == 3) throw std::runtime_error("no");
    return torch::zeros({});
  }),
               std::runtime_error);
  problem.optimizer.step();  // with the sample from before alone
  twin.optimizer.step();
  EXPECT_TRUE(same_bits(problem.weight, twin.weight));
  EXPECT_TRUE(same_bits(problem.hess(), twin.hess()));
}

TEST(SampleLife, AClosureAddsItsSamplesToThePendingOne) {
  Problem by_hand, mixed;
  by_hand.sample();
  by_hand.optimizer.zero_grad();
  by_hand.sample();
  by_hand.optimizer.step();
  mixed.sample();
  mixed.optimizer.step([&] {
    mixed.optimizer.zero_grad();
    mixed.backward();
    return torch::zeros({});
  });
  EXPECT_TRUE(same_bits(by_hand.weight, mixed.weight));
  EXPECT_TRUE(same_bits(by_hand.hess(), mixed.hess()));
}

TEST(SampleLife, ValuesWrittenInsideTheScopeAreTheSample) {
  Problem problem;
  const auto mean = problem.weight.detach().clone();
  const auto theta = mean + 0.5;
  {
    auto scope = problem.optimizer.sampled_params();
    {
      torch::NoGradGuard no_grad;
      problem.weight.copy_(theta);
    }
    problem.weight.mutable_grad() = torch::ones({64});
  }
  problem.optimizer.step();
  const double h = 1, delta = 1e-4, hhat = 100 * (h + delta) * 0.5, u = 0.1 * (hhat - h);
  EXPECT_NEAR(problem.hess().mean().item<double>(), h + u + u * u / (2 * (h + delta)), 1e-3);
}

// Decoupled decay by hand between the scope and step(): theta - m would be off by the decay.
TEST(SampleLife, WritingTheMeanBeforeStepDoesNotFalsifyTheNoise) {
  Problem plain, shifted;
  plain.sample();
  plain.optimizer.step();
  shifted.sample();
  {
    torch::NoGradGuard no_grad;
    shifted.weight.add_(5.0);
  }
  shifted.optimizer.step();
  EXPECT_TRUE(torch::allclose(plain.hess(), shifted.hess(), 1e-4, 1e-5));
}

TEST(SampleLife, LoadDropsAPendingSample) {
  Problem problem;
  std::stringstream stream;
  torch::save(problem.optimizer, stream);
  problem.sample();
  torch::load(problem.optimizer, stream);
  EXPECT_NE(message_of([&] { problem.optimizer.step(); }), "");
}

TEST(SampleLife, CallsThatAreAllowedWhileASampleIsPending) {
  Problem problem;
  problem.sample();
  problem.optimizer.train();
  problem.optimizer.eval();
  { auto mean = problem.optimizer.mean_params(); }
  auto other = torch::zeros({3}).requires_grad_();
  problem.optimizer.add_param_group({{other}});
  problem.optimizer.manual_seed(9);
  problem.optimizer.step();
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 1);
}

TEST(SampleLife, EarlyRestoreEndsTheScope) {
  Problem problem;
  const auto mean = problem.weight.detach().clone();
  auto scope = problem.optimizer.sampled_params();
  problem.backward();
  scope.restore();
  EXPECT_TRUE(same_bits(problem.weight, mean));
  problem.optimizer.step();
  scope.restore();  // nothing left to do
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 1);
}

TEST(SampleLife, GuardsMove) {
  Problem problem;
  const auto mean = problem.weight.detach().clone();
  {
    auto outer = [&] {
      auto inner = problem.optimizer.sampled_params();
      problem.backward();
      return inner;
    }();
    EXPECT_FALSE(same_bits(problem.weight, mean));
    auto other = std::move(outer);
    EXPECT_FALSE(same_bits(problem.weight, mean));
  }
  EXPECT_TRUE(same_bits(problem.weight, mean));
  problem.optimizer.step();
}

TEST(SampleLife, GuardsSurviveTheOptimizersMoveAndEnd) {
  auto weight = torch::ones({16}).requires_grad_();
  const auto mean = weight.detach().clone();
  auto optimizer =
      std::make_unique<IVON<>>(std::vector<torch::Tensor>{weight}, IVONOptions(0.1).ess(10));
  auto scope = std::make_unique<ivon::SampledParams>(optimizer->sampled_params());
  IVON<> moved = std::move(*optimizer);
  optimizer.reset();
  weight.pow(2).sum().backward();
  EXPECT_FALSE(same_bits(weight, mean));
  scope.reset();
  EXPECT_TRUE(same_bits(weight, mean));
  moved.step();
  {
    auto outlives = moved.sampled_params();
    { IVON<> last = std::move(moved); }
    EXPECT_FALSE(same_bits(weight, mean));
  }
  EXPECT_NEAR(weight.mean().item<double>(), 1 - 0.2, 0.2);
}

// The graph saved the weights of the sample; a backward pass after the switch must not use others.
TEST(SampleLife, BackwardAfterTheScopeIsReported) {
  Problem problem;
  torch::Tensor loss;
  {
    auto scope = problem.optimizer.sampled_params();
    loss = problem.weight.pow(3).sum();
  }
  EXPECT_NE(message_of([&] { loss.backward(); }).find("modified by an inplace operation"),
            std::string::npos);
}

TEST(SampleLife, ModelZeroGradBetweenIterationsIsFine) {
  Problem problem;
  for (int i = 0; i < 3; ++i) {
    problem.weight.mutable_grad() = torch::Tensor();  // model->zero_grad()
    problem.sample();
    problem.optimizer.step();
  }
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 3);
}

TEST(SampleLife, BaseZeroGradInPlaceIsFine) {
  Problem problem;
  torch::optim::Optimizer& base = problem.optimizer;
  for (int i = 0; i < 3; ++i) {
    base.zero_grad(/*set_to_none=*/false);
    problem.sample();
    base.step();
  }
  EXPECT_EQ(problem.optimizer.param_state(problem.weight).step(), 3);
}

}  // namespace
