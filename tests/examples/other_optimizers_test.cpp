// SPDX-License-Identifier: Apache-2.0
// examples/common/optimizers: Lion and NovoGrad against the weights that other implementations
// recorded, and what LibTorch's optimizers do as well: groups, archives, missing gradients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/optimizers.hpp"
#include "common/optimizers/lion.hpp"
#include "common/optimizers/novograd.hpp"
#include "small.hpp"

namespace {

using examples::Lion;
using examples::LionOptions;
using examples::NovoGrad;
using examples::NovoGradOptions;
using examples::NovoGradParamState;
using examples_test::error_of;
using testing::HasSubstr;
using OtherOptimizer = std::unique_ptr<torch::optim::Optimizer>;
using OtherWeights = std::vector<torch::Tensor>;

OtherOptimizer other_optimizer(const std::string& name, const OtherWeights& weights) {
  return examples::make_optimizer(examples::optimizer_settings(name), weights);
}

OtherWeights other_weights() {
  torch::manual_seed(5);
  return {torch::randn({3, 2}).requires_grad_(), torch::randn({4}).requires_grad_()};
}

// One step with gradients that only depend on `t`.
void other_step(torch::optim::Optimizer& optimizer, int64_t t) {
  for (auto& p : optimizer.param_groups()[0].params()) {
    const auto elements = torch::arange(p.numel(), p.options().requires_grad(false));
    p.mutable_grad() = torch::sin(elements + static_cast<double>(t)).view_as(p);
  }
  optimizer.step();
}

std::string archive_of(const torch::optim::Optimizer& optimizer) {
  std::ostringstream stream;
  torch::save(optimizer, stream);
  return stream.str();
}

void load_archive(torch::optim::Optimizer& optimizer, const std::string& archive) {
  std::istringstream stream(archive);
  torch::load(optimizer, stream);
}

const examples::Json& recorded() {
  static const examples::Json content = [] {
    return examples::Json::parse(
        std::ifstream(IVON_TEST_GOLDEN_DIR "/optimizers/trajectories.json"));
  }();
  return content;
}

torch::Tensor recorded_tensor(const examples::Json& values, size_t i) {
  return torch::tensor(values.at(i).get<std::vector<double>>(), torch::kDouble)
      .view(recorded().at("shapes").at(i).get<std::vector<int64_t>>());
}

OtherOptimizer recorded_optimizer(const std::string& name, const examples::Json& options,
                                  const OtherWeights& weights) {
  const double lr = options.at("lr"), decay = options.at("weight_decay");
  const double beta1 = options.at("betas").at(0), beta2 = options.at("betas").at(1);
  if (name.rfind("lion", 0) == 0) {
    return std::make_unique<Lion>(weights,
                                  LionOptions(lr).betas({beta1, beta2}).weight_decay(decay));
  }
  return std::make_unique<NovoGrad>(
      weights,
      NovoGradOptions(lr).betas({beta1, beta2}).eps(options.at("eps")).weight_decay(decay));
}

class RecordedTrajectory : public testing::TestWithParam<const char*> {};

TEST_P(RecordedTrajectory, EveryStepIsTheSame) {
  const examples::Json& record = recorded().at(GetParam());
  OtherWeights weights;
  for (size_t i = 0; i < 2; ++i) {
    weights.push_back(recorded_tensor(record.at("init"), i).requires_grad_());
  }
  const auto optimizer = recorded_optimizer(GetParam(), record.at("options"), weights);
  for (const auto& step : record.at("steps")) {
    optimizer->param_groups()[0].options().set_lr(step.at("lr"));
    for (size_t i = 0; i < 2; ++i) {
      const bool missing = step.at("gradients").at(i).is_null();
      weights[i].mutable_grad() =
          missing ? torch::Tensor() : recorded_tensor(step.at("gradients"), i);
    }
    optimizer->step();
    for (size_t i = 0; i < 2; ++i) {
      const auto expected = recorded_tensor(step.at("weights"), i);
      ASSERT_TRUE(torch::allclose(weights[i].detach(), expected, 1e-9, 1e-12)) << expected;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RecordedTrajectory,
                         testing::Values("lion", "lion_no_decay", "novograd",
                                         "novograd_large_eps"));

class LionAndNovoGrad : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Both, LionAndNovoGrad, testing::Values("lion", "novograd"));

TEST_P(LionAndNovoGrad, AnArchiveContinuesBitForBit) {
  const auto a = other_weights();
  const auto first = other_optimizer(GetParam(), a);
  for (int64_t t = 0; t < 3; ++t) other_step(*first, t);
  OtherWeights b;
  for (const auto& p : a) b.push_back(p.detach().clone().requires_grad_());
  const auto second = other_optimizer(GetParam(), b);
  load_archive(*second, archive_of(*first));
  for (auto* optimizer : {first.get(), second.get()}) other_step(*optimizer, 3);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i], b[i]));
}

TEST_P(LionAndNovoGrad, AnArchiveKeepsTheOptions) {
  const auto first = other_optimizer(GetParam(), other_weights());
  first->param_groups()[0].options().set_lr(0.625);
  const auto second = other_optimizer(GetParam(), other_weights());
  load_archive(*second, archive_of(*first));
  EXPECT_EQ(second->param_groups()[0].options().get_lr(), 0.625);
}

TEST_P(LionAndNovoGrad, LoadingRemovesStateThatTheArchiveLacks) {
  const std::string fresh = archive_of(*other_optimizer(GetParam(), other_weights()));
  const auto optimizer = other_optimizer(GetParam(), other_weights());
  other_step(*optimizer, 0);
  load_archive(*optimizer, fresh);
  EXPECT_TRUE(optimizer->state().empty());
}

TEST_P(LionAndNovoGrad, AWrongArchiveIsRefusedAndTheStateStays) {
  const auto optimizer = other_optimizer(GetParam(), other_weights());
  other_step(*optimizer, 0);
  const std::string other = archive_of(*other_optimizer(GetParam(), {torch::ones({2})}));
  EXPECT_THROW(load_archive(*optimizer, other), c10::Error);
  EXPECT_EQ(optimizer->state().size(), 2U);
}

TEST_P(LionAndNovoGrad, AParameterWithoutGradientKeepsItsValue) {
  const auto weights = other_weights();
  const auto before = weights[1].detach().clone();
  const auto optimizer = other_optimizer(GetParam(), weights);
  weights[0].mutable_grad() = torch::ones({3, 2});
  optimizer->step();
  EXPECT_TRUE(torch::equal(weights[1], before));
  EXPECT_EQ(optimizer->state().size(), 1U);
}

TEST_P(LionAndNovoGrad, ASparseGradientIsRefused) {
  const auto weights = other_weights();
  weights[0].mutable_grad() = torch::ones({3, 2}).to_sparse();
  const auto optimizer = other_optimizer(GetParam(), weights);
  EXPECT_THAT(error_of([&] { optimizer->step(); }), HasSubstr("must be dense"));
}

TEST_P(LionAndNovoGrad, OptionsOutOfRangeAreRefused) {
  auto s = examples::optimizer_settings(GetParam());
  s.beta2 = 1;
  EXPECT_THAT(error_of([&] { examples::make_optimizer(s, other_weights()); }),
              HasSubstr("beta2 must be at least 0 and below 1, got 1"));
  s = examples::optimizer_settings(GetParam());
  s.weight_decay = -0.5;
  EXPECT_THROW(examples::make_optimizer(s, other_weights()), std::invalid_argument);
  const auto optimizer = other_optimizer(GetParam(), other_weights());
  optimizer->param_groups()[0].options().set_lr(-2);
  EXPECT_THAT(error_of([&] { other_step(*optimizer, 0); }), HasSubstr("got -2"));
}

TEST_P(LionAndNovoGrad, TheClosureComputesGradientsAndItsLossIsReturned) {
  const auto weights = other_weights();
  const auto before = weights[0].detach().clone();
  const auto optimizer = other_optimizer(GetParam(), weights);
  const auto loss = optimizer->step([&] {
    auto value = weights[0].square().sum();
    value.backward();
    return value;
  });
  EXPECT_FLOAT_EQ(loss.item<float>(), before.square().sum().item<float>());
  EXPECT_FALSE(torch::equal(weights[0], before));
}

TEST_P(LionAndNovoGrad, NoParametersAreNoError) {
  const auto optimizer = other_optimizer(GetParam(), {});
  EXPECT_NO_THROW(optimizer->step());
}

TEST(NovoGrad, EpsMustBeAboveZero) {
  EXPECT_THAT(error_of([] { NovoGrad(other_weights(), NovoGradOptions(1).eps(0)); }),
              HasSubstr("eps must be finite and above 0, got 0"));
}

TEST(Lion, AGroupHasItsOwnOptions) {
  const auto weights = other_weights();
  const auto before = weights[1].detach().clone();
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(OtherWeights{weights[0]});
  groups.emplace_back(OtherWeights{weights[1]}, std::make_unique<LionOptions>(0.5));
  Lion optimizer(groups, LionOptions(0.25));
  for (const auto& p : weights) p.mutable_grad() = torch::ones_like(p);
  optimizer.step();
  EXPECT_TRUE(torch::equal(weights[1].detach(), before - 0.5));
}

TEST(Lion, TheOptionsOfAGroupMustBeLions) {
  Lion optimizer(other_weights());
  const torch::optim::OptimizerParamGroup group({torch::ones({2})},
                                                std::make_unique<NovoGradOptions>(0.5));
  EXPECT_THAT(error_of([&] { optimizer.add_param_group(group); }), HasSubstr("LionOptions"));
  EXPECT_EQ(optimizer.param_groups().size(), 1U);
}

TEST(NovoGrad, AGroupKeepsItsOptions) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(other_weights(), std::make_unique<NovoGradOptions>(0.5));
  const NovoGrad optimizer(groups, NovoGradOptions(0.25));
  EXPECT_EQ(optimizer.param_groups()[0].options().get_lr(), 0.5);
}

TEST(Lion, AnElementWithoutGradientOnlyDecays) {
  const auto weight = torch::full({2}, 8.0).requires_grad_();
  Lion optimizer({weight}, LionOptions(0.25).weight_decay(0.5));
  weight.mutable_grad() = torch::tensor({0.0F, 1e-30F});
  optimizer.step();
  EXPECT_TRUE(torch::equal(weight.detach(), torch::tensor({7.0F, 6.75F})));
}

TEST(NovoGrad, ATensorWhoseFirstGradientIsZeroStartsWithTheNext) {
  const auto weight = torch::zeros({2}).requires_grad_();
  NovoGrad optimizer({weight}, NovoGradOptions(1));
  weight.mutable_grad() = torch::zeros({2});
  optimizer.step();
  EXPECT_TRUE(torch::equal(weight.detach(), torch::zeros({2})));
  weight.mutable_grad() = torch::tensor({3.0F, 4.0F});
  optimizer.step();
  EXPECT_TRUE(torch::allclose(weight.detach(), torch::tensor({-0.6F, -0.8F})));
}

TEST(NovoGrad, TheSecondMomentOf16BitParametersIsFloat32) {
  const auto weight = torch::zeros({4}, torch::kHalf).requires_grad_();
  NovoGrad optimizer({weight}, NovoGradOptions(1));
  weight.mutable_grad() = torch::full({4}, 1000.0, torch::kHalf);
  optimizer.step();
  const auto& state = static_cast<NovoGradParamState&>(*optimizer.state().begin()->second);
  EXPECT_EQ(state.exp_avg_sq().scalar_type(), torch::kFloat);
  EXPECT_EQ(state.exp_avg_sq().item<float>(), 4e6F);
  EXPECT_TRUE(torch::equal(weight.detach(), torch::full({4}, -0.5, torch::kHalf)));
}

TEST(NovoGrad, AnArchiveKeepsBothMoments) {
  const auto weight = torch::ones({3}).requires_grad_();
  NovoGrad first({weight}, NovoGradOptions(0.1)), second({weight}, NovoGradOptions(0.1));
  for (int64_t t = 0; t < 4; ++t) other_step(first, t);
  load_archive(second, archive_of(first));
  const auto& a = static_cast<NovoGradParamState&>(*first.state().begin()->second);
  const auto& b = static_cast<NovoGradParamState&>(*second.state().begin()->second);
  EXPECT_TRUE(torch::equal(a.exp_avg(), b.exp_avg()));
  EXPECT_TRUE(torch::equal(a.exp_avg_sq(), b.exp_avg_sq()));
}

}  // namespace
