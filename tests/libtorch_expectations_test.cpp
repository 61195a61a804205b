// SPDX-License-Identifier: Apache-2.0
// What LibTorch's users expect of any optimizer: it trains, has groups, schedulers, serialization
// and a closure, works through the base class, as a member, moved, and on the heap.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "xor.hpp"

namespace {

using namespace ivon_test;  // NOLINT: the helpers of this file
using torch::optim::OptimizerParamGroup;

template <class Estimator>
class Expectations : public ::testing::Test {
  ivon_test::OneThread one_thread_;
};
using Estimators = ::testing::Types<ivon::PriceEstimator, ivon::GradSquaredEstimator>;
TYPED_TEST_SUITE(Expectations, Estimators);

class LibtorchExpectations : public ::testing::Test {
  ivon_test::OneThread one_thread_;
};

TYPED_TEST(Expectations, LearnsXor) {
  auto model = xor_model();
  ivon::IVON<TypeParam> optimizer(model->parameters(), xor_options());
  ASSERT_GT(xor_loss_at_mean(model), 0.5);
  train_xor(optimizer, model, 400);
  EXPECT_LT(xor_loss_at_mean(model), 0.1);
}

TYPED_TEST(Expectations, LearnsXorByClosureThroughTheBaseClass) {
  auto model = xor_model();
  std::unique_ptr<torch::optim::Optimizer> optimizer =
      std::make_unique<ivon::IVON<TypeParam>>(model->parameters(), xor_options().mc_samples(2));
  torch::Tensor loss;
  for (int t = 0; t < 400; ++t) {
    loss = optimizer->step([&] {
      optimizer->zero_grad();
      auto value = xor_loss(model);
      value.backward();
      return value;
    });
  }
  EXPECT_LT(loss.item<double>(), 0.1);
  EXPECT_LT(xor_loss_at_mean(model), 0.1);
}

TYPED_TEST(Expectations, ClosureEqualsScope) {
  auto a = xor_model();
  auto b = xor_model();
  ivon::IVON<TypeParam> by_scope(a->parameters(), xor_options());
  ivon::IVON<TypeParam> by_closure(b->parameters(), xor_options());
  by_scope.manual_seed(7);
  by_closure.manual_seed(7);
  train_xor(by_scope, a, 5);
  for (int t = 0; t < 5; ++t) {
    by_closure.step([&] {
      by_closure.zero_grad();
      auto loss = xor_loss(b);
      loss.backward();
      return loss;
    });
  }
  expect_same(a->parameters(), b->parameters());
}

TEST_F(LibtorchExpectations, ClosureReturnsTheMeanLossOfItsSamples) {
  auto model = xor_model();
  ivon::IVON optimizer(model->parameters(), xor_options().mc_samples(3));
  std::vector<double> losses;
  const auto mean = optimizer.step([&] {
    optimizer.zero_grad();
    auto loss = xor_loss(model);
    loss.backward();
    losses.push_back(loss.template item<double>());
    return loss;
  });
  ASSERT_EQ(losses.size(), 3U);
  EXPECT_NE(losses[0], losses[1]);
  EXPECT_NEAR(mean.item<double>(), (losses[0] + losses[1] + losses[2]) / 3, 1e-6);
}

TEST_F(LibtorchExpectations, GroupsKeepTheirOwnOptionsAndInheritTheRest) {
  auto a = torch::zeros({2}).requires_grad_();
  auto b = torch::zeros({3}).requires_grad_();
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{a});
  auto own = std::make_unique<ivon::IVONOptions>();
  own->lr(0.25).hess_init(0.5);
  groups.emplace_back(std::vector<torch::Tensor>{b}, std::move(own));
  ivon::IVON optimizer(groups, ivon::IVONOptions(0.1).ess(100).weight_decay(0.01));

  ASSERT_EQ(optimizer.param_groups().size(), 2U);
  const auto& first = static_cast<ivon::IVONOptions&>(optimizer.param_groups()[0].options());
  const auto& second = static_cast<ivon::IVONOptions&>(optimizer.param_groups()[1].options());
  EXPECT_EQ(first.lr(), 0.1);
  EXPECT_EQ(first.hess_init(), 1.0);
  EXPECT_EQ(second.lr(), 0.25);
  EXPECT_EQ(second.hess_init(), 0.5);
  for (const auto* options : {&first, &second}) {
    EXPECT_EQ(options->ess(), 100);
    EXPECT_EQ(options->weight_decay(), 0.01);
  }
}

TEST_F(LibtorchExpectations, ExternalVectorOfParameters) {
  const std::vector<torch::Tensor> params = {torch::randn({2, 2}).requires_grad_(),
                                             torch::randn({2}).requires_grad_()};
  ivon::IVON optimizer(params, ivon::IVONOptions(0.1).ess(100));
  ASSERT_EQ(optimizer.param_groups().size(), 1U);
  ASSERT_EQ(optimizer.param_groups()[0].params().size(), 2U);
  for (size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(optimizer.param_groups()[0].params()[i].is_same(params[i]));
}

TEST_F(LibtorchExpectations, AddParamGroupAfterTraining) {
  auto a = torch::ones({2}).requires_grad_();
  auto b = torch::ones({3}).requires_grad_();
  ivon::IVON optimizer({a}, ivon::IVONOptions(0.1).ess(1e6));
  const auto train = [&] {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      (a.square().sum() + b.square().sum()).backward();
    }
    optimizer.step();
  };
  train();
  EXPECT_TRUE(ivon_test::same_bits(b, torch::ones({3})));

  auto own = std::make_unique<ivon::IVONOptions>();
  own->lr(0.2);
  optimizer.add_param_group(OptimizerParamGroup({b}, std::move(own)));
  ASSERT_EQ(optimizer.param_groups().size(), 2U);
  EXPECT_EQ(optimizer.param_groups()[1].options().get_lr(), 0.2);
  EXPECT_EQ(static_cast<ivon::IVONOptions&>(optimizer.param_groups()[1].options()).ess(), 1e6);
  train();
  EXPECT_TRUE((b < 1).all().item<bool>());
  EXPECT_EQ(optimizer.param_state(a).step(), 2);
  EXPECT_EQ(optimizer.param_state(b).step(), 1);
}

TEST_F(LibtorchExpectations, AddParamGroupThroughTheBaseClass) {
  auto a = torch::ones({2}).requires_grad_();
  auto b = torch::ones({3}).requires_grad_();
  ivon::IVON<> optimizer({a}, ivon::IVONOptions(0.1).ess(1e6));
  torch::optim::Optimizer& base = optimizer;
  base.add_param_group(OptimizerParamGroup({b}));
  optimizer.zero_grad();
  {
    const auto sample = optimizer.sampled_params();
    (a.square().sum() + b.square().sum()).backward();
  }
  optimizer.step();
  EXPECT_TRUE((b < 1).all().item<bool>());
}

TEST_F(LibtorchExpectations, ParametersMayBeAddedOneByOneToAnEmptyOptimizer) {
  ivon::IVON<> optimizer(std::vector<OptimizerParamGroup>{}, ivon::IVONOptions(0.1).ess(1e6));
  EXPECT_EQ(optimizer.param_groups().size(), 0U);
  auto a = torch::ones({2}).requires_grad_();
  optimizer.add_param_group(OptimizerParamGroup({a}));
  {
    const auto sample = optimizer.sampled_params();
    a.square().sum().backward();
  }
  optimizer.step();
  EXPECT_TRUE((a < 1).all().item<bool>());
}

TEST_F(LibtorchExpectations, ZeroGradDropsOrZeroes) {
  auto a = torch::ones({2}).requires_grad_();
  ivon::IVON optimizer({a}, ivon::IVONOptions(0.1).ess(100));
  a.mutable_grad() = torch::ones({2});
  optimizer.zero_grad(/*set_to_none=*/false);
  ASSERT_TRUE(a.grad().defined());
  EXPECT_TRUE(ivon_test::same_bits(a.grad(), torch::zeros({2})));
  optimizer.zero_grad();
  EXPECT_FALSE(a.grad().defined());
}

TEST_F(LibtorchExpectations, ZeroGradThroughTheBaseClassBeforeTheScopeTrainsTheSame) {
  auto a = xor_model();
  auto b = xor_model();
  ivon::IVON<> direct(a->parameters(), xor_options());
  ivon::IVON<> through_base(b->parameters(), xor_options());
  direct.manual_seed(3);
  through_base.manual_seed(3);
  train_xor(direct, a, 4);
  torch::optim::Optimizer& base = through_base;
  for (int t = 0; t < 4; ++t) {
    base.zero_grad();
    {
      const auto sample = through_base.sampled_params();
      xor_loss(b).backward();
    }
    base.step();
  }
  expect_same(a->parameters(), b->parameters());
}

double lr_of(torch::optim::Optimizer& optimizer, size_t group) {
  return optimizer.param_groups().at(group).options().get_lr();
}

TEST_F(LibtorchExpectations, StepLR) {
  auto a = torch::ones({2}).requires_grad_();
  auto b = torch::ones({2}).requires_grad_();
  ivon::IVON<> optimizer({OptimizerParamGroup({a}), OptimizerParamGroup({b})},
                         ivon::IVONOptions(0.4).ess(100));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/2, /*gamma=*/0.5);
  for (int t = 0; t < 5; ++t) scheduler.step();
  EXPECT_DOUBLE_EQ(lr_of(optimizer, 0), 0.1);  // halved twice within five calls
  EXPECT_DOUBLE_EQ(lr_of(optimizer, 1), 0.1);
}

TEST_F(LibtorchExpectations, ReduceLROnPlateau) {
  auto a = torch::ones({2}).requires_grad_();
  ivon::IVON optimizer({a}, ivon::IVONOptions(0.4).ess(100));
  torch::optim::ReduceLROnPlateauScheduler scheduler(optimizer,
                                                     torch::optim::ReduceLROnPlateauScheduler::min,
                                                     /*factor=*/0.5F, /*patience=*/1);
  for (int t = 0; t < 4; ++t) scheduler.step(1.0F);
  EXPECT_LT(lr_of(optimizer, 0), 0.4);
  EXPECT_GE(lr_of(optimizer, 0), 0.1);
}

TEST_F(LibtorchExpectations, OurSchedulers) {
  auto a = torch::ones({2}).requires_grad_();
  ivon::IVON optimizer({a}, ivon::IVONOptions(0.4).ess(100));
  ivon::WarmupCosineLR scheduler(optimizer, /*warmup_steps=*/2, /*total_steps=*/10);
  EXPECT_DOUBLE_EQ(lr_of(optimizer, 0), 0.2);
  for (int t = 0; t < 10; ++t) scheduler.step();
  EXPECT_NEAR(lr_of(optimizer, 0), 0.0, 1e-12);
}

// A rate that a scheduler set is the rate of the next step: with lr 0 nothing moves.
TEST_F(LibtorchExpectations, TheRateSetFromOutsideIsUsed) {
  auto a = torch::ones({2}).requires_grad_();
  ivon::IVON optimizer({a}, ivon::IVONOptions(0.4).ess(100));
  const auto train = [&] {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      a.square().sum().backward();
    }
    optimizer.step();
  };
  optimizer.param_groups()[0].options().set_lr(0.0);
  train();
  EXPECT_TRUE(ivon_test::same_bits(a, torch::ones({2})));
  optimizer.param_groups()[0].options().set_lr(0.4);
  train();
  EXPECT_FALSE(ivon_test::same_bits(a, torch::ones({2})));
}

TYPED_TEST(Expectations, SerializationRoundTripContinuesTheSameRun) {
  auto model = xor_model();
  ivon::IVON<TypeParam> optimizer(model->parameters(), xor_options());
  train_xor(optimizer, model, 5);
  std::stringstream model_file;
  std::stringstream optimizer_file;
  torch::save(model, model_file);
  torch::save(optimizer, optimizer_file);
  train_xor(optimizer, model, 5);

  auto resumed_model = xor_model(1);
  ivon::IVON<TypeParam> resumed(resumed_model->parameters(), ivon::IVONOptions(9.0).ess(9));
  torch::load(resumed_model, model_file);
  torch::load(resumed, optimizer_file);
  EXPECT_EQ(resumed.param_groups()[0].options().get_lr(), 1.0);
  train_xor(resumed, resumed_model, 5);
  expect_same(model->parameters(), resumed_model->parameters());
}

TYPED_TEST(Expectations, StateIsReachableThroughTheBaseClass) {
  auto model = xor_model();
  ivon::IVON<TypeParam> optimizer(model->parameters(), xor_options());
  train_xor(optimizer, model, 3);
  torch::optim::Optimizer& base = optimizer;
  EXPECT_EQ(base.state().size(), 4U);
  for (const auto& param : model->parameters()) {
    const auto& state = optimizer.param_state(param);
    EXPECT_EQ(state.step(), 3);
    EXPECT_EQ(state.hess().sizes(), param.sizes());
    EXPECT_EQ(state.momentum().sizes(), param.sizes());
  }
}

TEST_F(LibtorchExpectations, ProducesTheSameRunForTheSameTorchSeed) {
  const auto run = [](uint64_t seed) {
    auto model = xor_model(1);
    torch::manual_seed(seed);
    ivon::IVON<> optimizer(model->parameters(), xor_options());
    train_xor(optimizer, model, 5);
    return copies(model->parameters());
  };
  const auto first = run(42);
  expect_same(first, run(42));
  EXPECT_FALSE(ivon_test::same_bits(first[0], run(43)[0]));
}

// The programs' second run with IVON_TEST_CUDA_ON_HOST=1 goes by the CUDA passes.
TEST(CudaOnHost, IsAsTheEnvironmentSays) {
  const char* wanted = std::getenv("IVON_TEST_CUDA_ON_HOST");
  const bool on = wanted != nullptr && std::string(wanted) == "1";
  EXPECT_EQ(ivon::detail::cuda_runtime(at::kCPU) != nullptr, on);
}

}  // namespace
