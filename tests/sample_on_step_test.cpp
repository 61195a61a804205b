// SPDX-License-Identifier: Apache-2.0
// sample_on_step: AdamW's training loop, unchanged, takes the trajectory of the standard loop bit
// for bit.
#include <functional>
#include <ivon/ivon.hpp>
#include <memory>
#include <string>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::OneThread;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

// A tied weight, a frozen one, one used every other batch, and one that is a slice of a larger
// storage.
struct Model : torch::nn::Module {
  torch::nn::Linear in{nullptr}, out{nullptr}, late{nullptr};
  torch::Tensor slice, tied, extra;
  explicit Model(at::ScalarType dtype = torch::kFloat) {
    torch::manual_seed(7);
    in = register_module("in", torch::nn::Linear(6, 70));
    out = register_module("out", torch::nn::Linear(70, 3));
    late = register_module("late", torch::nn::Linear(3, 3));
    out->bias.requires_grad_(false);
    to(dtype);
    slice = register_parameter("slice", torch::randn({9, 70}).to(dtype).narrow(0, 2, 5).detach());
    tied = register_parameter("tied", in->weight);
  }
  torch::Tensor loss(int64_t batch) {
    const auto x = torch::sin(torch::arange(8 * 6, torch::kFloat) * 0.1 * (1 + batch))
                       .view({8, 6})
                       .to(slice.scalar_type());
    auto hidden = torch::tanh(in(x));
    hidden = hidden + torch::matmul(hidden, slice.t()).sum(-1, true) * 0.1;
    auto y = out(hidden);
    if (batch % 2 == 1) y = late(y);
    if (extra.defined()) y = y + extra.pow(2).mean();
    return y.to(torch::kFloat).pow(2).mean() + torch::matmul(x, tied.t()).mean().to(torch::kFloat);
  }
};

IVONOptions options(bool on_step) {
  return IVONOptions(0.1).ess(1e3).beta2(0.99).hess_init(0.5).sample_on_step(on_step);
}

template <class Estimator>
std::unique_ptr<IVON<Estimator>> make_optimizer(Model& model, bool on_step) {
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(model.in->parameters());
  groups.emplace_back(std::vector<torch::Tensor>{model.slice},
                      std::make_unique<IVONOptions>(IVONOptions(0.05).weight_decay(0.01)));
  groups.emplace_back(model.out->parameters());
  groups.emplace_back(model.late->parameters());
  torch::manual_seed(3);  // the optimizer's seed comes from it
  return std::make_unique<IVON<Estimator>>(std::move(groups), options(on_step));
}

// Both runs, the same model and seed.
template <class Estimator = ivon::PriceEstimator>
struct Pair {
  Model model[2];
  std::unique_ptr<IVON<Estimator>> standard, on_step;
  explicit Pair(at::ScalarType dtype = torch::kFloat)
      : model{Model(dtype), Model(dtype)},
        standard(make_optimizer<Estimator>(model[0], false)),
        on_step(make_optimizer<Estimator>(model[1], true)) {}

  // One step of either; `after` works on the gradients between backward() and step().
  void step(
      const std::vector<int64_t>& batches,
      const std::function<void(Model&)>& after = [](Model&) {}) {
    standard->zero_grad();
    {
      const auto sample = standard->sampled_params();
      for (const int64_t batch : batches) model[0].loss(batch).backward();
    }
    after(model[0]);
    standard->step();

    on_step->zero_grad();
    for (const int64_t batch : batches) model[1].loss(batch).backward();
    after(model[1]);
    on_step->step();
  }

  void expect_same(const std::string& where) {
    const auto a = model[0].parameters(), b = model[1].parameters();
    const auto mean_scope = on_step->mean_params();
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_TRUE(same_bits(a[i], b[i])) << where << ", parameter " << i;
      EXPECT_TRUE(same_bits(standard->mean(a[i]), on_step->mean(b[i]))) << where << ", mean " << i;
      if (!a[i].requires_grad() || standard->state().count(a[i].unsafeGetTensorImpl()) == 0)
        continue;
      const auto& x = standard->param_state(a[i]);
      const auto& y = on_step->param_state(b[i]);
      EXPECT_TRUE(same_bits(x.hess(), y.hess())) << where << ", hess " << i;
      EXPECT_TRUE(same_bits(x.momentum(), y.momentum())) << where << ", momentum " << i;
      EXPECT_EQ(x.step(), y.step()) << where << ", step " << i;
    }
  }
};

template <class Estimator>
void expect_same_trajectory(at::ScalarType dtype) {
  const OneThread one_thread;
  Pair<Estimator> run(dtype);
  const auto name = std::string(c10::toString(dtype)) + " " + Estimator::kName;
  for (int64_t t = 0; t < 6; ++t) {
    run.step({t});
    run.expect_same(name + ", step " + std::to_string(t));
  }
}

TEST(SampleOnStep, TrajectoryIsTheStandardLoops) {
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf}) {
    expect_same_trajectory<ivon::PriceEstimator>(dtype);
    expect_same_trajectory<ivon::GradSquaredEstimator>(dtype);
  }
}

TEST(SampleOnStep, ClippingMicroBatchesAndSchedulers) {
  const OneThread one_thread;
  Pair<> run;
  ivon::WarmupCosineLR standard_schedule(*run.standard, 2, 8), schedule(*run.on_step, 2, 8);
  const auto clip = [](Model& model) {
    torch::nn::utils::clip_grad_norm_(model.parameters(), 0.1);
  };
  for (int64_t t = 0; t < 8; ++t) {
    run.step({2 * t, 2 * t + 1, t}, clip);
    standard_schedule.step();
    schedule.step();
  }
  run.expect_same("end");
}

TEST(SampleOnStep, PredictionsAndTheMeanInBetweenChangeNothing) {
  const OneThread one_thread;
  Pair<> run;
  for (int64_t t = 0; t < 4; ++t) {
    run.step({t});
    const auto before = run.model[1].slice.detach().clone();
    const auto expected = ivon::predict(
        *run.standard, [&] { return run.model[0].in->weight; }, 3);
    const auto shown = ivon::predict(
        *run.on_step, [&] { return run.model[1].in->weight; }, 3);
    EXPECT_TRUE(same_bits(expected.probs, shown.probs)) << "the same noise for predictions";
    EXPECT_TRUE(same_bits(before, run.model[1].slice)) << "the training sample is shown again";
    run.on_step->eval();
    EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice)) << "eval() shows the mean";
    {
      torch::NoGradGuard no_grad;
      const auto sample = run.on_step->sampled_params();
      EXPECT_FALSE(same_bits(run.model[0].slice, run.model[1].slice));
      const auto expected_sample = run.standard->sampled_params();
      EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
    }
    EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
    run.on_step->train();
    EXPECT_TRUE(same_bits(before, run.model[1].slice));
    EXPECT_FALSE(same_bits(run.model[0].slice, run.model[1].slice));
  }
  run.expect_same("end");
}

TEST(SampleOnStep, GradientsSurviveALookAtTheMean) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0}, [&](Model& model) {
    if (&model != &run.model[1]) return;
    const auto outer = run.on_step->mean_params();
    {
      const auto inner = run.on_step->mean_params();
      EXPECT_TRUE(same_bits(model.slice, run.on_step->mean(model.slice)));
    }
    EXPECT_TRUE(same_bits(model.slice, run.on_step->mean(model.slice))) << "the outer scope lives";
  });
  run.step({1});
  run.expect_same("end");
}

TEST(SampleOnStep, ClosureRunsOnTheSampleShown) {
  const OneThread one_thread;
  Pair<> run;
  for (int64_t t = 0; t < 3; ++t) {
    const auto loss_of = [&](Model& model, auto& optimizer) {
      return optimizer.step([&] {
        optimizer.zero_grad();
        auto loss = model.loss(t);
        loss.backward();
        return loss;
      });
    };
    const auto expected = loss_of(run.model[0], *run.standard);
    EXPECT_TRUE(same_bits(expected, loss_of(run.model[1], *run.on_step)));
  }
  run.expect_same("end");
  const auto before = run.model[1].slice.detach().clone();
  EXPECT_THROW(run.on_step->step([]() -> torch::Tensor { throw std::runtime_error("no data"); }),
               std::runtime_error);
  EXPECT_TRUE(same_bits(before, run.model[1].slice)) << "nothing changed";
  run.step({5});
  run.expect_same("after a closure that threw");
}

TEST(SampleOnStep, AGroupAddedLaterIsSampledAtOnce) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});
  for (size_t i : {0u, 1u}) {
    run.model[i].extra = torch::ones({40}).requires_grad_();
    auto& optimizer = i == 0 ? *run.standard : *run.on_step;
    optimizer.add_param_group(OptimizerParamGroup({run.model[i].extra}));
  }
  EXPECT_FALSE(same_bits(run.model[1].extra, torch::ones({40}))) << "shows its first sample";
  for (int64_t t = 1; t < 3; ++t) run.step({t});
  run.on_step->eval();
  EXPECT_TRUE(same_bits(run.model[0].extra, run.model[1].extra));
  run.expect_same("end");
}

TEST(SampleOnStep, ManualSeedDrawsAnew) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});
  run.standard->manual_seed(99);
  run.on_step->manual_seed(99);
  run.step({1});
  run.expect_same("train");
  run.standard->manual_seed(100);
  run.on_step->eval();
  run.on_step->manual_seed(100);
  run.on_step->train();
  run.step({2});
  run.expect_same("eval");
}

TEST(SampleOnStep, FreezingAParameterShowsItsMean) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});
  run.on_step->eval();
  for (auto& model : run.model) model.slice.requires_grad_(false);
  run.on_step->train();
  EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
  run.step({1});
  EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
  run.on_step->eval();
  for (auto& model : run.model) model.slice.requires_grad_(true);
  run.on_step->train();
  EXPECT_FALSE(same_bits(run.model[0].slice, run.model[1].slice));
  run.step({2});
  run.expect_same("under eval()");

  // While it shows its sample: that stays until the step.
  run.model[1].slice.requires_grad_(false);
  run.on_step->zero_grad();
  run.model[1].loss(3).backward();
  run.on_step->step();
  EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
}

TEST(SampleOnStep, ItsEndShowsTheMean) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});
  auto moved = std::make_unique<IVON<>>(std::move(*run.on_step));
  EXPECT_FALSE(same_bits(run.model[0].slice, run.model[1].slice));
  moved.reset();
  EXPECT_TRUE(same_bits(run.model[0].slice, run.model[1].slice));
  EXPECT_TRUE(same_bits(run.model[0].in->weight, run.model[1].in->weight));
}

TEST(SampleOnStep, AGuardOutlivesTheOptimizer) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});
  const auto mean = run.on_step->mean(run.model[1].slice);
  {
    torch::NoGradGuard no_grad;
    const auto sample = run.on_step->sampled_params();
    run.on_step.reset();
    EXPECT_FALSE(same_bits(mean, run.model[1].slice));
  }
  EXPECT_TRUE(same_bits(mean, run.model[1].slice));
}

TEST(SampleOnStep, Errors) {
  const OneThread one_thread;
  Pair<> run;
  auto& optimizer = *run.on_step;
  auto& model = run.model[1];
  EXPECT_EQ(message_of([&] { optimizer.step(); }),
            "ivon: step() needs gradients, got none since the last step; call backward() on the "
            "loss before it");
  IVON_EXPECT_ERROR((void)optimizer.sampled_params(),
                    "must be called without gradients under sample_on_step");
  model.loss(0).backward();
  optimizer.step();
  model.loss(1).backward();
  IVON_EXPECT_ERROR(optimizer.step(),
                    "was added to one that an earlier sample already used; call the optimizer's "
                    "zero_grad() before each sample");
  optimizer.zero_grad();
  IVON_EXPECT_ERROR(optimizer.step(), "got none since the last step");
  optimizer.eval();
  IVON_EXPECT_ERROR(optimizer.step(), "call train() before the forward pass");
  IVON_EXPECT_ERROR((void)optimizer.sampled_params(), "without gradients under sample_on_step");
  optimizer.train();
  {
    const auto mean = optimizer.mean_params();
    IVON_EXPECT_ERROR(optimizer.step(), "end the scope of mean_params()");
  }
  {
    torch::NoGradGuard no_grad;
    const auto sample = optimizer.sampled_params();
    IVON_EXPECT_ERROR(optimizer.eval(), "outside a sample");
    IVON_EXPECT_ERROR(optimizer.train(), "outside a sample");
    IVON_EXPECT_ERROR((void)optimizer.mean_params(), "outside a sample");
    IVON_EXPECT_ERROR(optimizer.step(), "outside a sample");
  }
  IVON_EXPECT_ERROR(IVON<>(model.in->parameters(), options(false)),
                    "shows a sample of another optimizer (sample_on_step); call that one's eval()");
  IVON_EXPECT_ERROR(optimizer.step([&] {
    optimizer.eval();
    return torch::Tensor();
  }),
                    "call train() before the forward pass");
  optimizer.train();
  model.loss(2).backward();
  optimizer.step();
  EXPECT_EQ(optimizer.param_state(model.slice).step(), 2) << "valid after every error";
}

TEST(SampleOnStep, TwoOptimizersDoNotTakeEachOthersSampleForTheMean) {
  const OneThread one_thread;
  auto weight = torch::ones({40}).requires_grad_();
  IVON first({weight}, options(true));
  first.eval();
  IVON second({weight}, options(true));
  IVON_EXPECT_ERROR(first.train(), "shows a sample of another optimizer");
  second.eval();
  EXPECT_TRUE(same_bits(weight, torch::ones({40})));
  IVON standard({weight}, options(false));
  first.train();
  IVON_EXPECT_ERROR((void)standard.sampled_params(), "shows a sample of another optimizer");
  first.eval();
  EXPECT_TRUE(same_bits(weight, torch::ones({40})));
}

TEST(SampleOnStep, AScopeOfTheMeanThatEndsInsideAPredictionLeavesItShown) {
  const OneThread one_thread;
  auto weight = torch::ones({40}).requires_grad_();
  for (const bool evaluating : {false, true}) {
    IVON optimizer({weight}, options(true));
    if (evaluating) optimizer.eval();
    torch::NoGradGuard no_grad;
    auto mean = optimizer.mean_params();
    {
      const auto sample = optimizer.sampled_params();
      const auto shown = weight.detach().clone();
      mean.restore();
      EXPECT_TRUE(same_bits(weight, shown));
      EXPECT_TRUE(same_bits(optimizer.mean(weight), torch::ones({40})));
    }
    optimizer.eval();
    EXPECT_TRUE(same_bits(weight, torch::ones({40})));
  }
}

TEST(SampleOnStep, ZerosInPlaceAreNoGradients) {
  const OneThread one_thread;
  Pair<> run;
  run.step({0});  // `late` takes part in odd batches only
  for (int64_t t = 1; t < 5; ++t) {
    run.standard->zero_grad(false);
    {
      const auto sample = run.standard->sampled_params();
      run.model[0].loss(t).backward();
    }
    run.standard->step();
    run.on_step->zero_grad(false);
    run.model[1].loss(t).backward();
    run.on_step->step();
  }
  EXPECT_EQ(run.on_step->param_state(run.model[1].late->weight).step(), 2);
  run.expect_same("end");
}

}  // namespace
