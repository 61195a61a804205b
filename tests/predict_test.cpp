// SPDX-License-Identifier: Apache-2.0
// posterior/predict.hpp: the averages against a direct float64 computation, what predict leaves
// behind, and errors. The first half uses a stand-in for the optimizer, the second ivon::IVON.
#include "ivon/posterior/predict.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::Prediction;
using torch::Tensor;

// Counts samples as an optimizer would: `index` is the sample shown, -1 outside.
struct FakeOptimizer {
  struct Sample {
    FakeOptimizer& owner;
    explicit Sample(FakeOptimizer& o) : owner(o) { owner.index = owner.drawn++; }
    Sample(const Sample&) = delete;
    Sample& operator=(const Sample&) = delete;
    ~Sample() { owner.index = -1; }
  };
  Sample sampled_params() { return Sample(*this); }
  struct Mean {
    ~Mean() {}  // NOLINT(modernize-use-equals-default): a guard is no unused variable
  };
  Mean mean_params() { return {}; }
  int64_t drawn = 0;
  int64_t index = -1;
};

// The definition, from all samples at once in float64: the twin of the streaming code.
Prediction direct(const Tensor& logits) {
  const Tensor p = torch::softmax(logits.to(torch::kDouble), -1);
  const Tensor p_bar = p.mean(0);
  const auto entropy = [](const Tensor& q) { return torch::special::entr(q).sum(-1); };
  Prediction result{p_bar, entropy(p_bar), entropy(p_bar) - entropy(p).mean(0)};
  result.expected_entropy = entropy(p).mean(0);
  result.confidence = std::get<0>(p_bar.max(-1));
  return result;
}

double error(const Tensor& actual, const Tensor& expected) {
  return (actual.to(torch::kDouble) - expected).abs().max().item<double>();
}

void expect_close(const Prediction& actual, const Prediction& expected, double tolerance) {
  EXPECT_LE(error(actual.probs, expected.probs), tolerance);
  EXPECT_LE(error(actual.entropy, expected.entropy), tolerance);
  EXPECT_LE(error(actual.mutual_information, expected.mutual_information), tolerance);
  EXPECT_LE(error(actual.expected_entropy, expected.expected_entropy), tolerance);
  EXPECT_LE(error(actual.confidence, expected.confidence), tolerance);
}

TEST(Predict, AveragesProbabilitiesNotLogits) {
  torch::manual_seed(1);
  const Tensor logits = torch::randn({16, 5, 7, 10}, torch::kDouble) * 4;
  const Prediction expected = direct(logits);
  const Prediction wide = ivon::prediction_from_logits(logits);
  EXPECT_EQ(wide.probs.scalar_type(), torch::kDouble);
  EXPECT_EQ(wide.probs.sizes(), (std::vector<int64_t>{5, 7, 10}));
  EXPECT_EQ(wide.entropy.sizes(), (std::vector<int64_t>{5, 7}));
  expect_close(wide, expected, ivon_test::tolerance::kPredictionFloat64);
  const Prediction narrow = ivon::prediction_from_logits(logits.to(torch::kFloat));
  EXPECT_EQ(narrow.probs.scalar_type(), torch::kFloat);
  expect_close(narrow, expected, ivon_test::tolerance::kPredictionFloat32);
}

TEST(Predict, SixteenBitLogitsAreAveragedInFloat32) {
  torch::manual_seed(2);
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    const Tensor logits = torch::randn({4, 6, 3}).to(dtype);
    const Prediction p = ivon::prediction_from_logits(logits);
    EXPECT_EQ(p.probs.scalar_type(), torch::kFloat);
    expect_close(p, direct(logits), ivon_test::tolerance::kPredictionFloat32);
  }
}

TEST(Predict, StaysAccurateOverManySamples) {
  torch::manual_seed(3);
  const Tensor logits = torch::randn({1000, 20, 10}) * 3;
  expect_close(ivon::prediction_from_logits(logits), direct(logits),
               ivon_test::tolerance::kPredictionFloat32Long);
}

TEST(Predict, ExtremeLogits) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor logits =
      torch::tensor({1e4, 0., -inf, 0., 1e4, -inf}, torch::kDouble).view({2, 1, 3});
  for (const auto dtype : {torch::kDouble, torch::kFloat}) {
    const Prediction p = ivon::prediction_from_logits(logits.to(dtype));
    EXPECT_NEAR(p.probs[0][0].item<double>(), 0.5, 1e-6);
    EXPECT_EQ(p.probs[0][2].item<double>(), 0);
    EXPECT_NEAR(p.entropy.item<double>(), std::log(2), 1e-6);
    EXPECT_NEAR(p.mutual_information.item<double>(), std::log(2), 1e-6);  // each sample is sure
  }
}

TEST(Predict, AgreementHasNoMutualInformation) {
  torch::manual_seed(4);
  const Tensor one = torch::randn({1, 50, 10}) * 5;
  const Prediction single = ivon::prediction_from_logits(one);
  EXPECT_EQ(single.mutual_information.abs().max().item<double>(), 0);
  EXPECT_GT(single.entropy.max().item<double>(), 0);
  const Prediction many = ivon::prediction_from_logits(one.expand({32, 50, 10}));
  EXPECT_GE(many.mutual_information.min().item<double>(), 0);
  EXPECT_LE(many.mutual_information.max().item<double>(), 1e-5);
  EXPECT_GE(many.entropy.min().item<double>(), 0);
  EXPECT_LE(many.probs.max().item<double>(), 1);
}

TEST(Predict, CertaintyStaysWithinBounds) {
  for (int64_t samples = 1; samples <= 64; ++samples) {
    const Prediction p =
        ivon::prediction_from_logits(torch::tensor({30.f, 0.f}).expand({samples, 2}));
    EXPECT_LE(p.probs.max().item<float>(), 1) << samples;
    EXPECT_GE(p.entropy.item<float>(), 0) << samples;
    EXPECT_GE(p.mutual_information.item<float>(), 0) << samples;
  }
}

TEST(Predict, OpensOneScopeForEachSampleWithoutGradients) {
  FakeOptimizer optimizer;
  torch::manual_seed(5);
  const Tensor logits = torch::randn({3, 4, 2}, torch::requires_grad());
  const Prediction p = ivon::predict(
      optimizer,
      [&] {
        EXPECT_FALSE(torch::GradMode::is_enabled());
        return logits[optimizer.index];
      },
      3);
  EXPECT_EQ(optimizer.drawn, 3);
  EXPECT_EQ(optimizer.index, -1);
  EXPECT_TRUE(torch::GradMode::is_enabled());
  EXPECT_FALSE(p.probs.requires_grad());
  EXPECT_TRUE(ivon_test::same_bits(p.probs, ivon::prediction_from_logits(logits).probs));
  ivon::predict(optimizer, [&] { return logits[0]; });
  EXPECT_EQ(optimizer.drawn, 3 + 16);
}

TEST(Predict, WorksInInferenceMode) {
  FakeOptimizer optimizer;
  ivon::PredictionAccumulator accumulator;
  {
    const torch::InferenceMode inference;
    const Prediction p = ivon::predict(
        optimizer, [] { return torch::eye(3); }, 2);
    EXPECT_EQ(p.probs.size(0), 3);
    accumulator.add(torch::eye(3));
  }
  accumulator.add(torch::eye(3));  // what inference mode made may be added to outside of it
  EXPECT_EQ(accumulator.count(), 2);
  EXPECT_EQ(accumulator.result().entropy.numel(), 3);
}

TEST(Predict, BadInput) {
  FakeOptimizer optimizer;
  const auto returning = [&](const Tensor& t) {
    return ivon_test::message_of([&] {
      ivon::predict(
          optimizer, [&] { return t; }, 2);
    });
  };
  const auto with = [&](const ivon::PredictOptions& options) {
    return ivon_test::message_of([&] {
      ivon::predict(
          optimizer, [] { return torch::eye(2); }, options);
    });
  };
  EXPECT_EQ(with(-1), "ivon: samples must be >= 0, got -1; 0 predicts at the mean, 16 is usual");
  EXPECT_EQ(with(ivon::PredictOptions(3).antithetic(true)),
            "ivon: samples must be even with antithetic, got 3; every sample has a mirror image");
  EXPECT_EQ(with(ivon::PredictOptions().tolerance(-1)),
            "ivon: tolerance must be finite and >= 0, got -1; 0 draws all samples");
  EXPECT_EQ(optimizer.drawn, 0);
  EXPECT_EQ(returning(Tensor()),
            "ivon: logits must be a tensor [..., C], got an undefined tensor; return the model's "
            "output from forward");
  EXPECT_EQ(returning(torch::ones({2, 2}, torch::kLong)),
            "ivon: logits must be floating point, got Long; return scores before the softmax, not "
            "class indices");
  EXPECT_EQ(returning(torch::tensor(1.0)),
            "ivon: logits must have the classes as last dimension, got the shape []; return [..., "
            "C]");
  EXPECT_EQ(returning(torch::ones({2, 0})),
            "ivon: logits must have the classes as last dimension, got the shape [2, 0]; return "
            "[..., C]");
  EXPECT_EQ(ivon_test::message_of([&] {
              ivon::predict(optimizer, [&] { return torch::ones({2 + optimizer.index % 2, 3}); });
            }).substr(0, 62),
            "ivon: logits must have one shape for all samples, [2, 3], got ");
  const auto dtype = [&] { return optimizer.index % 2 == 0 ? torch::kHalf : torch::kFloat; };
  optimizer.drawn = 0;
  EXPECT_EQ(
      ivon_test::message_of(
          [&] { ivon::predict(optimizer, [&] { return torch::ones({3}, dtype()); }); }),
      "ivon: logits must have one dtype and device for all samples, Half on cpu, got Float on "
      "cpu; convert them in forward");
  IVON_EXPECT_ERROR(ivon::prediction_from_logits(torch::ones({3})),
                    "ivon: logits must have the shape [S, ..., C] with S >= 1, got [3]; stack the "
                    "samples along a new first dimension");
  IVON_EXPECT_ERROR(ivon::PredictionAccumulator().result(),
                    "ivon: a prediction must have at least 1 sample, got 0; call add()");
  EXPECT_EQ(optimizer.index, -1);
  EXPECT_EQ(with(ivon::PredictOptions(2).antithetic(true)),
            "ivon: antithetic needs samples that have mirror(); leave the option out");
  EXPECT_EQ(returning(torch::ones({2, 1})),
            "ivon: logits must have at least 2 classes, got the shape [2, 1]; for a single sigmoid "
            "output z return torch::cat({torch::zeros_like(z), z}, -1)");
}

// ---- with ivon::IVON ----------------------------------------------------------------------------

struct Task {
  torch::nn::Sequential model{torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 3)};
  Tensor x = torch::randn({32, 4});
  Tensor y = torch::randint(3, {32}, torch::kLong);
  ivon::IVON<> optimizer{model->parameters(), ivon::IVONOptions(0.1).ess(32).hess_init(0.5)};

  static Task seeded(uint64_t seed) {
    torch::manual_seed(seed);
    return {};
  }
  void step() {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      torch::nll_loss(torch::log_softmax(model->forward(x), -1), y).backward();
    }
    optimizer.step();
  }
  Prediction predict(int64_t samples) {
    return ivon::predict(
        optimizer, [&] { return model->forward(x); }, samples);
  }
  Tensor weights() const {
    return torch::nn::utils::parameters_to_vector(model->parameters()).detach().clone();
  }
};

TEST(PredictWithIvon, SpreadsOverThePosterior) {
  Task task = Task::seeded(ivon_test::kSeed);
  for (int i = 0; i < 20; ++i) task.step();
  const Tensor mean = task.weights();
  const Prediction p = task.predict(64);
  EXPECT_TRUE(ivon_test::same_bits(task.weights(), mean));
  EXPECT_TRUE(torch::allclose(p.probs.sum(-1), torch::ones({32}), 0, 1e-5));
  EXPECT_GT(p.mutual_information.mean().item<double>(), 1e-3);
  EXPECT_TRUE((p.mutual_information <= p.entropy).all().item<bool>());
  // The next samples are others: two predictions differ, by their Monte Carlo error only.
  const Prediction q = task.predict(64);
  const double difference = error(q.probs, p.probs.to(torch::kDouble));
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.5);
}

TEST(PredictWithIvon, ChangesNothingInTraining) {
  Task with = Task::seeded(ivon_test::kSeed), without = Task::seeded(ivon_test::kSeed);
  ASSERT_TRUE(ivon_test::same_bits(with.weights(), without.weights()));
  for (int i = 0; i < 10; ++i) {
    with.step();
    without.step();
    with.predict(3);
    const torch::InferenceMode inference;
    with.predict(2);
  }
  EXPECT_TRUE(ivon_test::same_bits(with.weights(), without.weights()));
  for (size_t i = 0; i < with.model->parameters().size(); ++i) {
    const auto& a = with.optimizer.param_state(with.model->parameters()[i]);
    const auto& b = without.optimizer.param_state(without.model->parameters()[i]);
    EXPECT_TRUE(ivon_test::same_bits(a.hess(), b.hess()));
    EXPECT_TRUE(ivon_test::same_bits(a.momentum(), b.momentum()));
  }
}

TEST(PredictWithIvon, AnExceptionRestoresTheMean) {
  Task task = Task::seeded(ivon_test::kSeed);
  task.step();
  const Tensor mean = task.weights();
  int calls = 0;
  const auto failing = [&]() -> Tensor {
    EXPECT_FALSE(ivon_test::same_bits(task.weights(), mean));
    if (++calls == 2) throw std::runtime_error("the disk is full");
    return task.model->forward(task.x);
  };
  EXPECT_THROW(ivon::predict(task.optimizer, failing), std::runtime_error);
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(ivon_test::same_bits(task.weights(), mean));
  EXPECT_TRUE(torch::GradMode::is_enabled());
  task.step();
  EXPECT_FALSE(ivon_test::same_bits(task.weights(), mean));
}

}  // namespace
