// SPDX-License-Identifier: Apache-2.0
// IVONOptions::like_adamw(): the damped Hessian against trajectories of an independent program, and
// against torch::optim::AdamW, which it equals where there is no noise.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "golden_support.hpp"
#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using nlohmann::json;
using torch::optim::AdamOptions;
using torch::optim::AdamWOptions;

torch::Tensor damped_tensor(const json& values, torch::Dtype dtype) {
  return ivon_test::tensor_of(values, {static_cast<int64_t>(values.size())}, dtype);
}

// Writes the recorded samples and gradients and compares every state tensor.
void expect_recorded_trajectory(torch::Dtype dtype, double tolerance) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/damped.json");
  const json golden = json::parse(in);
  ASSERT_EQ(golden.size(), 4U);
  for (const auto& [name, record] : golden.items()) {
    SCOPED_TRACE(name);
    const auto weight = damped_tensor(record["init"], dtype).requires_grad_();
    ivon::IVONOptions options;
    options.beta2(0.999).weight_decay(0);
    ivon_test::apply(record["options"], options);
    ivon::IVON<> optimizer({weight}, options);
    torch::Tensor mean_before = damped_tensor(record["init"], torch::kFloat64);
    for (const json& step : record["steps"]) {
      {
        const auto sample = optimizer.sampled_params();
        const torch::NoGradGuard no_grad;
        const auto noise = damped_tensor(step["theta"], torch::kFloat64) - mean_before;
        weight.copy_(optimizer.mean(weight).to(torch::kFloat64) + noise);
        weight.mutable_grad() = damped_tensor(step["gradient"], dtype);
      }
      optimizer.step();
      const auto& state = optimizer.param_state(weight);
      mean_before = damped_tensor(step["mean"], torch::kFloat64);
      using ivon_test::relative_error;
      ASSERT_LT(relative_error(optimizer.mean(weight), mean_before), tolerance);
      ASSERT_LT(relative_error(state.hess(), damped_tensor(step["hess"], torch::kFloat64)),
                tolerance);
      ASSERT_LT(relative_error(state.momentum(), damped_tensor(step["momentum"], torch::kFloat64)),
                tolerance);
    }
  }
}

TEST(LikeAdamW, FollowsTheRecordedTrajectories) {
  expect_recorded_trajectory(torch::kFloat64, ivon_test::tolerance::kDampedFloat64);
  expect_recorded_trajectory(torch::kFloat32, ivon_test::tolerance::kDampedFloat32);
}

// like_adamw() with so little noise that theta is the mean, and without the Hessian estimate, which
// would be made from that noise where noise is made again from its key.
template <class Options>
ivon::IVONOptions without_noise(const Options& options) {
  return ivon::IVONOptions::like_adamw(options, 1e4).noise_max(1e-30).hess_clip(1e-30);
}

// A small regression. Everything goes through the base class, as in a program written for AdamW.
using Schedule = std::function<std::function<void(double loss)>(torch::optim::Optimizer&)>;
torch::Tensor train_regression(
    const std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)>& make,
    const Schedule& schedule, int steps = 40) {
  const ivon_test::OneThread one_thread;
  torch::manual_seed(4);
  const auto inputs = torch::randn({32, 5}, torch::kFloat64);
  const auto targets = inputs.matmul(torch::randn({5, 2}, torch::kFloat64));
  torch::nn::Sequential model(torch::nn::Linear(5, 8), torch::nn::Tanh(), torch::nn::Linear(8, 2));
  model->to(torch::kFloat64);
  const auto optimizer = make(model->parameters());
  const auto after_step = schedule(*optimizer);
  for (int step = 0; step < steps; ++step) {
    optimizer->zero_grad();
    const auto loss = torch::mse_loss(model->forward(inputs), targets);
    loss.backward();
    optimizer->step();
    after_step(loss.item<double>());
  }
  if (auto* ivon = dynamic_cast<ivon::IVON<>*>(optimizer.get())) ivon->eval();
  std::vector<torch::Tensor> flat;
  for (const auto& p : model->parameters()) flat.push_back(p.detach().flatten());
  return torch::cat(flat);
}

std::function<void(double)> no_schedule(torch::optim::Optimizer&) {
  return [](double) {};
}

void expect_the_weights_of_adamw(const AdamWOptions& options, const Schedule& schedule) {
  const auto theirs = train_regression(
      [&](const auto& parameters) {
        return std::make_unique<torch::optim::AdamW>(parameters, options);
      },
      schedule);
  const auto ours = train_regression(
      [&](const auto& parameters) {
        return std::make_unique<ivon::IVON<>>(parameters, without_noise(options));
      },
      schedule);
  EXPECT_LT(ivon_test::relative_error(ours, theirs), ivon_test::tolerance::kAdamW);
}

TEST(LikeAdamW, IsAdamWWithoutNoise) {
  // Ours bounds the root mean square by eps from below, AdamW adds eps: hence a tiny one.
  expect_the_weights_of_adamw(AdamWOptions(1e-2).eps(1e-20), no_schedule);
  expect_the_weights_of_adamw(AdamWOptions(3e-3).eps(1e-20).weight_decay(0.3), no_schedule);
  expect_the_weights_of_adamw(
      AdamWOptions(1e-2).eps(1e-20).betas(std::make_tuple(0.5, 0.9)).weight_decay(0), no_schedule);
}

TEST(LikeAdamW, SchedulesWrittenForAdamWWorkUnchanged) {
  const auto options = AdamWOptions(1e-2).eps(1e-20);
  expect_the_weights_of_adamw(options, [](torch::optim::Optimizer& optimizer) {
    const auto scheduler = std::make_shared<torch::optim::StepLR>(optimizer, 10, 0.5);
    return [scheduler](double) { scheduler->step(); };
  });
  expect_the_weights_of_adamw(options, [](torch::optim::Optimizer& optimizer) {
    const auto scheduler = std::make_shared<torch::optim::ReduceLROnPlateauScheduler>(
        optimizer, torch::optim::ReduceLROnPlateauScheduler::SchedulerMode::min, 0.5, 2, 0.05);
    return [scheduler](double loss) { scheduler->step(static_cast<float>(loss)); };
  });
  expect_the_weights_of_adamw(options, [](torch::optim::Optimizer& optimizer) {
    const auto scheduler = std::make_shared<ivon::WarmupCosineLR>(optimizer, 5, 40);
    return [scheduler](double) { scheduler->step(); };
  });
  // A warm-up by hand, as LibTorch's users write it.
  expect_the_weights_of_adamw(options, [](torch::optim::Optimizer& optimizer) {
    return [&optimizer, step = 0](double) mutable {
      ++step;
      for (auto& group : optimizer.param_groups()) {
        group.options().set_lr(1e-2 * std::min(1.0, step / 10.0));
      }
    };
  });
  // The same by LibTorch's tutorials: a cast to the options of AdamW, which reaches only lr.
  expect_the_weights_of_adamw(options, [](torch::optim::Optimizer& optimizer) {
    return [&optimizer](double) {
      for (auto& group : optimizer.param_groups()) {
        static_cast<AdamWOptions&>(group.options()).lr() *= 0.95;
      }
    };
  });
}

TEST(LikeAdamW, CarriesTheOptionsOver) {
  const auto adamw = ivon::IVONOptions::like_adamw(
      AdamWOptions(2e-3).betas(std::make_tuple(0.8, 0.95)).eps(1e-6).weight_decay(0.2), 5e4);
  EXPECT_EQ(adamw.lr(), 2e-3);
  EXPECT_EQ(adamw.betas(), std::make_tuple(0.8, 0.95));
  EXPECT_EQ(adamw.eps(), 1e-6);
  EXPECT_EQ(adamw.ess(), 5e4);
  EXPECT_EQ(adamw.decoupled_weight_decay(), 0.2);
  EXPECT_EQ(adamw.weight_decay(), 0);
  EXPECT_TRUE(adamw.sample_on_step());
  adamw.validate();

  const auto adam = ivon::IVONOptions::like_adamw(AdamOptions(2e-3).weight_decay(0.2), 5e4);
  EXPECT_EQ(adam.weight_decay(), 0.2);
  EXPECT_EQ(adam.decoupled_weight_decay(), 0);

  EXPECT_EQ(ivon::IVONOptions::like_adamw(2e-3, 5e4),
            ivon::IVONOptions::like_adamw(AdamWOptions(2e-3), 5e4));
  EXPECT_EQ(ivon::IVONOptions::like_adamw(2e-3, 5e4).decoupled_weight_decay(), 0.01);
}

TEST(LikeAdamW, RefusesWhatItCannotDo) {
  EXPECT_EQ(ivon_test::message_of(
                [] { (void)ivon::IVONOptions::like_adamw(AdamWOptions(1e-3).amsgrad(true), 1e4); }),
            "ivon: like_adamw() has no amsgrad; set amsgrad(false)");
  const auto weight = torch::zeros({2}).requires_grad_();
  EXPECT_EQ(ivon_test::message_of(
                [&] { ivon::IVON<> optimizer({weight}, ivon::IVONOptions::like_adamw(1e-3, -1)); }),
            "ivon: ess must be > 0, got -1; set it to the number of training examples");
}

// Half a run of AdamW and half a run of ours is a run of AdamW.
template <class Other, class Options>
void expect_to_continue(const Options& options) {
  const auto run = [&](int switch_at) {
    const ivon_test::OneThread one_thread;
    torch::manual_seed(4);
    const auto inputs = torch::randn({32, 5}, torch::kFloat64);
    const auto targets = inputs.matmul(torch::randn({5, 1}, torch::kFloat64));
    auto weight = torch::zeros({5, 1}, torch::kFloat64).requires_grad_();
    auto other = std::make_unique<Other>(std::vector<torch::Tensor>{weight}, options);
    std::unique_ptr<ivon::IVON<>> ours;
    for (int step = 0; step < 30; ++step) {
      if (step == switch_at) {
        ours = std::make_unique<ivon::IVON<>>(std::vector<torch::Tensor>{weight},
                                              without_noise(options));
        ivon::start_from(*ours, *other);
      }
      weight.mutable_grad().reset();
      torch::mse_loss(inputs.matmul(weight), targets).backward();
      ours ? ours->step() : other->step();
    }
    if (ours) ours->eval();
    return weight.detach().clone();
  };
  EXPECT_LT(ivon_test::relative_error(run(15), run(-1)), ivon_test::tolerance::kAdamW);
}

TEST(LikeAdamW, StartsFromATrainedAdamW) {
  expect_to_continue<torch::optim::AdamW>(AdamWOptions(1e-2).eps(1e-20));
  expect_to_continue<torch::optim::Adam>(AdamOptions(1e-2).eps(1e-20));
}

TEST(LikeAdamW, StartingFromAnotherModelIsAnError) {
  const auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({2}).requires_grad_();
  torch::optim::AdamW other({a}, AdamWOptions(1e-3));
  ivon::IVON<> ours({b}, ivon::IVONOptions::like_adamw(1e-3, 100));
  IVON_EXPECT_ERROR(ivon::start_from(ours, other), "found no parameter of this optimizer");
}

// A gradient that is pure noise of 1e-3: the Hessian is then the damping times 1e-3. The noise
// falls with the size of the data set, and for small ones it has a bound.
TEST(LikeAdamW, NoSizeOfTheDataSetDrownsTheWeights) {
  const ivon_test::OneThread one_thread;
  for (const auto& [ess, damping] :
       std::map<double, double>{{1.0, 8e3}, {6e4, 8e3 / std::sqrt(6e4)}, {1e6, 8.0}, {1e10, 5e4}}) {
    const double sigma = std::min(0.03, 1 / std::sqrt(ess * damping * 1e-3));
    torch::manual_seed(1);
    const auto weight = torch::zeros({4000}).requires_grad_();
    ivon::IVON<> optimizer({weight}, ivon::IVONOptions::like_adamw(1e-3, ess));
    optimizer.manual_seed(1);
    for (int step = 0; step < 200; ++step) {
      weight.mutable_grad() = 1e-3 * torch::randn({4000});
      optimizer.step();
    }
    const auto deviation = (weight - optimizer.mean(weight)).detach();
    EXPECT_NEAR(deviation.std().item<double>(), sigma, 0.1 * sigma) << ess;
  }
}

}  // namespace
