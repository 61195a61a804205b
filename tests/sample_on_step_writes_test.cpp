// SPDX-License-Identifier: Apache-2.0
// sample_on_step: checkpoints in either state, and weights that others write while the module shows
// a sample. No weight is ever lost.
#include <functional>
#include <ivon/ivon.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::OneThread;
using ivon_test::same_bits;

constexpr const char* kAdvice = "call eval() before writing to the module and train() afterwards";

std::shared_ptr<torch::nn::LinearImpl> make_model(uint64_t seed, at::ScalarType dtype) {
  torch::manual_seed(seed);
  auto model = std::make_shared<torch::nn::LinearImpl>(30, 40);
  model->to(dtype);
  return model;
}

struct Training {
  std::shared_ptr<torch::nn::LinearImpl> model;
  std::unique_ptr<IVON<>> optimizer;

  explicit Training(bool on_step, uint64_t seed = 1, at::ScalarType dtype = torch::kFloat)
      : model(make_model(seed, dtype)),
        optimizer(std::make_unique<IVON<>>(
            model->parameters(), IVONOptions(0.1).ess(1e3).beta2(0.99).sample_on_step(on_step))) {
    // A weight that is loaded while a sample is shown counts as unwritten where it is equal to the
    // sample. In bfloat16 that happens to 2 of 1000 weights, but to none with this seed.
    optimizer->manual_seed(1);
  }
  bool on_step() const {
    return static_cast<const IVONOptions&>(optimizer->defaults()).sample_on_step();
  }
  torch::Tensor loss(int64_t batch) {
    const auto x = torch::sin(torch::arange(4 * 30, torch::kFloat) * 0.1 * (1 + batch))
                       .view({4, 30})
                       .to(model->weight.scalar_type());
    return model->forward(x).to(torch::kFloat).pow(2).mean();
  }
  void train(int64_t from, int64_t to) {
    for (int64_t t = from; t < to; ++t) {
      optimizer->zero_grad();
      if (on_step()) {
        loss(t).backward();
      } else {
        const auto sample = optimizer->sampled_params();
        loss(t).backward();
      }
      optimizer->step();
    }
  }
  torch::Tensor mean() const { return optimizer->mean(model->weight); }
};

struct Files {
  std::stringstream model, optimizer;
  explicit Files(Training& run) {
    torch::save(run.model, model);
    torch::save(*run.optimizer, optimizer);
  }
  void load_model(Training& run) {
    model.clear();
    model.seekg(0);
    torch::load(run.model, model);
  }
  void load_optimizer(Training& run) {
    optimizer.clear();
    optimizer.seekg(0);
    torch::load(*run.optimizer, optimizer);
  }
};

void expect_same(Training& a, Training& b, const std::string& where) {
  for (auto* run : {&a, &b}) run->optimizer->eval();
  const auto x = a.model->parameters(), y = b.model->parameters();
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_TRUE(same_bits(x[i], y[i])) << where << ", " << i;
    EXPECT_TRUE(same_bits(a.optimizer->mean(x[i]), b.optimizer->mean(y[i]))) << where << ", " << i;
    EXPECT_TRUE(
        same_bits(a.optimizer->param_state(x[i]).hess(), b.optimizer->param_state(y[i]).hess()));
  }
  for (auto* run : {&a, &b}) run->optimizer->train();
}

// --- checkpoints --------------------------------------------------------------------------------

class Checkpoints : public testing::TestWithParam<at::ScalarType> {
 protected:
  const OneThread one_thread_;
};
INSTANTIATE_TEST_SUITE_P(Dtypes, Checkpoints, testing::Values(torch::kFloat, torch::kBFloat16),
                         [](const auto& dtype) { return std::string(c10::toString(dtype.param)); });

TEST_P(Checkpoints, SavedWhileTrainingInEitherOrder) {
  Training whole(true, 1, GetParam());
  whole.train(0, 3);
  Files files(whole);
  for (const bool model_first : {true, false}) {
    Training resumed(true, 2, GetParam());
    if (model_first) files.load_model(resumed);
    files.load_optimizer(resumed);
    if (!model_first) files.load_model(resumed);
    resumed.train(3, 6);
    Training uninterrupted(true, 1, GetParam());
    uninterrupted.train(0, 6);
    expect_same(uninterrupted, resumed, model_first ? "model first" : "optimizer first");
  }
}

TEST_P(Checkpoints, SavedWhileTheModuleHoldsTheMean) {
  Training whole(true, 1, GetParam());
  whole.train(0, 3);
  whole.optimizer->eval();
  Files files(whole);
  Training resumed(true, 2, GetParam());
  files.load_model(resumed);
  files.load_optimizer(resumed);
  resumed.train(3, 6);
  whole.optimizer->train();
  whole.train(3, 6);
  expect_same(whole, resumed, "model first");

  Training evaluating(true, 2, GetParam());
  evaluating.optimizer->eval();
  files.load_optimizer(evaluating);
  files.load_model(evaluating);
  evaluating.optimizer->train();
  evaluating.train(3, 6);
  expect_same(whole, evaluating, "under eval() in either order");
}

TEST_P(Checkpoints, LoadedUnderEvalWithoutTheModel) {
  Training whole(true, 1, GetParam());
  whole.train(0, 3);
  Files files(whole);
  Training served(true, 2, GetParam());
  served.optimizer->eval();
  files.load_optimizer(served);
  EXPECT_TRUE(same_bits(whole.mean(), served.mean())) << "the archive holds the mean";
  whole.optimizer->eval();
  EXPECT_TRUE(same_bits(whole.model->weight, served.model->weight));
}

TEST_P(Checkpoints, BothLoopsReadBothArchives) {
  for (const bool from : {true, false}) {
    Training saved(from, 1, GetParam());
    saved.train(0, 3);
    Files files(saved);
    Training loaded(!from, 2, GetParam());
    files.load_model(loaded);
    files.load_optimizer(loaded);
    EXPECT_EQ(loaded.on_step(), !from) << "the loop is the program's";
    loaded.train(3, 5);
    saved.train(3, 5);
    expect_same(saved, loaded, from ? "on step -> standard" : "standard -> on step");
  }
}

// --- writes from outside ------------------------------------------------------------------------

TEST(OutsideWrites, ACheckpointLoadedIntoTheModelBecomesTheMean) {
  const OneThread one_thread;
  Training other(false, 3);
  std::stringstream file;
  torch::save(other.model, file);
  Training run(true);
  torch::load(run.model, file);  // re-points the parameters
  run.loss(0).backward();
  IVON_EXPECT_ERROR(run.optimizer->step(), kAdvice);
  EXPECT_TRUE(same_bits(run.mean(), other.model->weight));
  EXPECT_FALSE(same_bits(run.model->weight, other.model->weight)) << "a sample around it is shown";
  run.train(0, 2);  // valid again
  EXPECT_EQ(run.optimizer->param_state(run.model->weight).step(), 2);
}

TEST(OutsideWrites, AnInitialisationBecomesTheMean) {
  const OneThread one_thread;
  Training run(true);
  torch::nn::init::constant_(run.model->weight, 0.25);
  IVON_EXPECT_ERROR(run.optimizer->zero_grad(), kAdvice);
  EXPECT_TRUE(same_bits(run.mean(), torch::full_like(run.model->weight, 0.25)));
  run.train(0, 1);
}

TEST(OutsideWrites, AClampKeepsTheMeanOfWhatItLeftAlone) {
  const OneThread one_thread;
  Training run(true);
  run.train(0, 2);
  const auto mean = run.mean();
  torch::Tensor expected, shown;
  {
    torch::NoGradGuard no_grad;
    shown = run.model->weight.detach().clone();
    run.model->weight.clamp_max_(0.15);
    expected = torch::where(shown > 0.15, torch::full_like(mean, 0.15), mean);
  }
  ASSERT_TRUE((shown > 0.15).any().item<bool>());
  run.loss(2).backward();
  IVON_EXPECT_ERROR(run.optimizer->step(), kAdvice);
  EXPECT_TRUE(same_bits(run.mean(), expected));
}

TEST(OutsideWrites, AreNoticedByEveryCall) {
  const OneThread one_thread;
  const std::vector<std::function<void(IVON<>&)>> calls = {
      [](IVON<>& o) { o.eval(); },
      [](IVON<>& o) { o.train(); },
      [](IVON<>& o) { (void)o.mean_params(); },
      [](IVON<>& o) { o.manual_seed(1); },
      [](IVON<>& o) {
        torch::NoGradGuard no_grad;
        (void)o.sampled_params();
      },
      [](IVON<>& o) {
        std::stringstream out;
        torch::save(o, out);
      },
      [](IVON<>& o) {
        o.add_param_group(torch::optim::OptimizerParamGroup({torch::ones({2}).requires_grad_()}));
      }};
  for (size_t i = 0; i < calls.size(); ++i) {
    Training run(true);
    torch::nn::init::constant_(run.model->weight, 0.25);
    IVON_EXPECT_ERROR(calls[i](*run.optimizer), kAdvice);
    EXPECT_EQ(run.mean().max().item<float>(), 0.25F) << i;
    calls[i](*run.optimizer);  // said once
  }
}

TEST(OutsideWrites, UnderEvalAreTheMean) {
  const OneThread one_thread;
  Training run(true);
  run.train(0, 1);
  run.optimizer->eval();
  torch::nn::init::constant_(run.model->weight, 0.25);
  run.optimizer->train();
  EXPECT_TRUE(same_bits(run.mean(), torch::full_like(run.model->weight, 0.25)));
  EXPECT_FALSE(same_bits(run.model->weight, run.mean()));
  {
    const auto mean = run.optimizer->mean_params();
    torch::nn::init::constant_(run.model->weight, 0.5);
  }
  EXPECT_TRUE(same_bits(run.mean(), torch::full_like(run.model->weight, 0.5)));
  run.train(1, 2);
}

TEST(OutsideWrites, OutliveTheOptimizer) {
  const OneThread one_thread;
  Training other(false, 3), run(true);
  std::stringstream file;
  torch::save(other.model, file);
  torch::load(run.model, file);
  run.optimizer.reset();
  EXPECT_TRUE(same_bits(run.model->weight, other.model->weight));
}

TEST(OutsideWrites, AMoveToAnotherDtypeIsUndone) {
  const OneThread one_thread;
  Training run(true);
  const auto mean = run.mean();
  run.model->to(torch::kDouble);
  IVON_EXPECT_ERROR(run.optimizer->step(), "was resized or re-pointed while it showed a sample");
  EXPECT_TRUE(same_bits(run.mean(), mean));
  EXPECT_EQ(run.model->weight.scalar_type(), torch::kFloat);
  run.train(0, 2);
}

}  // namespace
