// SPDX-License-Identifier: Apache-2.0
// predict(), predict_batches() and predict_regression() with a Posterior: options, whole data sets,
// the module's mode, and moments that are known in closed form.
#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "ivon/posterior/metrics.hpp"
#include "ivon/posterior/posterior.hpp"
#include "ivon/posterior/predict.hpp"
#include "ivon/posterior/predict_regression.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::Posterior;
using ivon::PredictOptions;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

// A small classifier with dropout, and a posterior over its weights.
struct Classifier {
  Classifier() {
    torch::manual_seed(ivon_test::kSeed);
    model = torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::Tanh(),
                                  torch::nn::Dropout(0.5), torch::nn::Linear(8, 3));
    x = torch::randn({30, 4});
    std::vector<ivon::PosteriorParameter> parameters;
    for (const auto& item : model->named_parameters()) {
      parameters.push_back(
          {item.key(), item.value().detach().clone(), torch::full_like(item.value(), 20).detach()});
    }
    q = Posterior(parameters, 100);
  }
  std::vector<Tensor> batches() const { return x.split(8); }

  torch::nn::Sequential model{nullptr};
  Tensor x;
  Posterior q{std::vector<ivon::PosteriorParameter>{}};
};

// Batches of which the second walk finds one fewer.
struct Shrinking {
  std::vector<Tensor> batches;
  int walks = 0;
  auto begin() {
    if (++walks == 2) batches.pop_back();
    return batches.begin();
  }
  auto end() { return batches.end(); }
};

TEST(PredictPosterior, TheModuleIsInEvaluationModeMeanwhile) {
  Classifier c;
  c.model->train();
  c.model[1]->eval();
  const auto predicted = [&] {
    c.q.manual_seed(0);
    return ivon::predict(
        c.q, *c.model, [&] { return c.model->forward(c.x); }, 4);
  };
  const ivon::Prediction p = predicted();
  EXPECT_EQ(p.samples, 4);
  EXPECT_TRUE(same_bits(p.probs, predicted().probs));  // no dropout
  EXPECT_TRUE(c.model->is_training());
  EXPECT_FALSE(c.model[1]->is_training());
  EXPECT_TRUE(c.model[2]->is_training());
  EXPECT_THROW(ivon::predict(c.q, *c.model, []() -> Tensor { throw std::runtime_error("stop"); }),
               std::runtime_error);
  EXPECT_TRUE(c.model->is_training());
  EXPECT_FALSE(c.model[1]->is_training());

  torch::jit::Module script("part");
  script.register_attribute("training", torch::jit::BoolType::get(), true);
  script.register_parameter("w", torch::zeros({3, 2}), false);
  script.define("def forward(self, x):\n    return x.mm(self.w)\n");
  Posterior q({{"w", torch::ones({3, 2}), torch::ones({3, 2})}});
  ivon::predict(q, script, [&] {
    EXPECT_FALSE(script.is_training());
    return script.forward({torch::ones({1, 3})}).toTensor();
  });
  EXPECT_TRUE(script.is_training());
}

TEST(PredictPosterior, NoSamplesIsTheMean) {
  Classifier c;
  const auto forward = [&] { return c.model->forward(c.x); };
  const Tensor at_mean = [&] {
    const torch::NoGradGuard no_grad;
    c.model->eval();
    return torch::softmax(c.model->forward(c.x), -1);
  }();
  for (Tensor& parameter : c.model->parameters()) {
    const torch::NoGradGuard no_grad;
    parameter.zero_();
  }
  const ivon::Prediction p = ivon::predict(c.q, *c.model, forward, 0);
  EXPECT_TRUE(torch::allclose(p.probs, at_mean, 1e-6, 1e-6));
  EXPECT_EQ(p.mutual_information.max().item<float>(), 0);
  EXPECT_EQ(c.model->parameters()[0].abs().max().item<float>(), 0);  // as it was
}

TEST(PredictPosterior, AWholeDataSet) {
  Classifier c;
  const auto forward = [&](const Tensor& batch) { return c.model->forward(batch); };
  const auto whole = ivon::predict(
      c.q, *c.model, [&] { return c.model->forward(c.x); }, 6);
  c.q.manual_seed(0);
  const auto joined = ivon::predict_batches(c.q, *c.model, c.batches(), forward, 6);
  EXPECT_EQ(joined.samples, 6);
  EXPECT_TRUE(torch::allclose(joined.probs, whole.probs, 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(joined.expected_entropy, whole.expected_entropy, 1e-5, 1e-6));
  EXPECT_TRUE(torch::equal(joined.confidence, joined.probs.amax(-1)));

  // Samples of its own for every batch: the second batch continues the noise of the first.
  c.q.manual_seed(0);
  const auto fresh = ivon::predict_batches(c.q, *c.model, c.batches(), forward,
                                           PredictOptions(6).fresh_samples(true));
  EXPECT_TRUE(torch::allclose(fresh.probs.slice(0, 0, 8), joined.probs.slice(0, 0, 8)));
  EXPECT_FALSE(torch::allclose(fresh.probs.slice(0, 8, 16), joined.probs.slice(0, 8, 16)));
  c.q.manual_seed(0);
  ivon::predict(
      c.q, *c.model, [&] { return forward(c.x.slice(0, 0, 8)); }, 6);
  const auto second = ivon::predict(
      c.q, *c.model, [&] { return forward(c.x.slice(0, 8, 16)); }, 6);
  EXPECT_TRUE(torch::allclose(fresh.probs.slice(0, 8, 16), second.probs));

  EXPECT_EQ(
      message_of([&] { ivon::predict_batches(c.q, *c.model, std::vector<Tensor>(), forward); }),
      "ivon: the data must have at least 1 batch, got 0; check the loader");
  Shrinking shrinking{c.batches()};
  EXPECT_EQ(message_of([&] { ivon::predict_batches(c.q, *c.model, shrinking, forward, 4); }),
            "ivon: the data must have the same batches every time, but there are fewer than "
            "before; use a loader with a fixed order");
}

TEST(PredictPosterior, ALoaderOfLibTorch) {
  Classifier c;
  using Batch = std::vector<torch::data::TensorExample>;
  auto loader = torch::data::make_data_loader<torch::data::samplers::SequentialSampler>(
      torch::data::datasets::TensorDataset(c.x), torch::data::DataLoaderOptions(8));
  const auto forward = [&](const Batch& batch) {
    std::vector<Tensor> rows;
    for (const auto& example : batch) rows.push_back(example.data);
    return c.model->forward(torch::stack(rows));
  };
  const auto joined = ivon::predict_batches(c.q, *c.model, *loader, forward, 6);
  c.q.manual_seed(0);
  const auto whole = ivon::predict(
      c.q, *c.model, [&] { return c.model->forward(c.x); }, 6);
  EXPECT_TRUE(torch::allclose(joined.probs, whole.probs, 1e-5, 1e-6));
}

// With logits that are linear in the weights, the mean of a pair of mirror images is exact.
TEST(PredictPosterior, AntitheticPairsCancelOddErrors) {
  Posterior q({{"w", torch::full({2}, 0.3), torch::full({2}, 4.0)}});
  torch::nn::Module module;
  const Tensor w = module.register_parameter("w", torch::zeros({2}));
  std::vector<Tensor> seen;
  const auto forward = [&] {
    seen.push_back(w.detach().clone());
    return w;
  };
  ivon::predict(q, module, forward, PredictOptions(6).antithetic(true));
  ASSERT_EQ(seen.size(), 6U);
  for (size_t i = 0; i < 6; i += 2) {
    EXPECT_TRUE(torch::allclose(seen[i] + seen[i + 1], torch::full({2}, 0.6), 1e-6, 1e-6));
  }
  EXPECT_FALSE(torch::allclose(seen[0], seen[2]));
}

TEST(PredictPosterior, StopsWhereTheAveragesHaveSettled) {
  Classifier c;
  const auto samples = [&](double tolerance) {
    c.q.manual_seed(0);
    return ivon::predict(
               c.q, *c.model, [&] { return c.model->forward(c.x); },
               PredictOptions(512).tolerance(tolerance))
        .samples;
  };
  EXPECT_EQ(samples(0), 512);
  EXPECT_EQ(samples(1), 4);
  const int64_t needed = samples(0.03);
  EXPECT_GT(needed, 4);
  EXPECT_LT(needed, 512);
  EXPECT_EQ(needed & (needed - 1), 0);  // a power of two
  // The error of the average is about as large as the tolerance.
  const auto predicted = [&](const PredictOptions& options) {
    return ivon::predict(
               c.q, *c.model, [&] { return c.model->forward(c.x); }, options)
        .probs;
  };
  const Tensor exact = predicted(20'000);
  const double error =
      (predicted(PredictOptions(512).tolerance(0.03)) - exact).abs().max().item<double>();
  EXPECT_LT(error, 0.09);
}

// y = x w + noise: the mixture's moments and, for one weight, its quantiles are those of a
// Gaussian.
TEST(PredictPosterior, RegressionMoments) {
  constexpr int64_t kSamples = 4000;
  Posterior q({{"w", torch::tensor({1.5}, torch::kDouble), torch::tensor({4.0}, torch::kDouble)}});
  torch::nn::Module module;
  const Tensor w = module.register_parameter("w", torch::zeros({1}, torch::kDouble));
  const Tensor x = torch::tensor({-1.0, 0.5, 2.0}, torch::kDouble);
  const auto forward = [&] {
    return ivon::GaussianOutput{x * w, torch::full({3}, 0.09, torch::kDouble)};
  };
  const auto average = ivon::predict_regression(q, module, forward, kSamples);
  const ivon::RegressionPrediction p = average.result();
  const Tensor variance = x.square() / 4;
  const double root = std::sqrt(static_cast<double>(kSamples));
  EXPECT_EQ(p.samples, kSamples);
  EXPECT_TRUE(((p.mean - 1.5 * x).abs() <= 4 * variance.sqrt() / root).all().item<bool>());
  EXPECT_TRUE(((p.epistemic_variance - variance).abs() <= 4 * std::sqrt(2.0) * variance / root)
                  .all()
                  .item<bool>());
  EXPECT_TRUE(torch::allclose(p.total_variance, p.epistemic_variance + 0.09));
  EXPECT_TRUE(torch::allclose(p.noise_variance, torch::full({3}, 0.09, torch::kDouble)));
  const Tensor deviation = (variance + 0.09).sqrt();
  const Tensor quantiles = average.quantiles({0.05, 0.5, 0.95});
  EXPECT_TRUE(torch::allclose(quantiles[2] - quantiles[1], 1.644854 * deviation, 0.05, 0.02));
  EXPECT_TRUE(torch::allclose(quantiles[0] - quantiles[1], -1.644854 * deviation, 0.05, 0.02));
  EXPECT_TRUE(torch::allclose(quantiles[1], p.mean, 0.05, 0.03));
}

TEST(PredictPosterior, RegressionQuantilesExactly) {
  ivon::RegressionAccumulator average;
  average.add(
      {torch::tensor({1.0, 5.0}, torch::kDouble), torch::tensor({4.0, 0.0}, torch::kDouble)});
  // One Gaussian, and one number without noise.
  const Tensor q = average.quantiles({0.025, 0.975});
  EXPECT_NEAR(q[0][0].item<double>(), 1 - 2 * 1.959963984540054, 1e-9);
  EXPECT_NEAR(q[1][0].item<double>(), 1 + 2 * 1.959963984540054, 1e-9);
  EXPECT_NEAR(q[0][1].item<double>(), 5, 1e-9);
  EXPECT_EQ(average.result().epistemic_variance.abs().max().item<double>(), 0);
  // Two far components of equal weight: the quartiles are their medians.
  average.add(
      {torch::tensor({101.0, 7.0}, torch::kDouble), torch::tensor({4.0, 0.0}, torch::kDouble)});
  const Tensor quartiles = average.quantiles({0.25, 0.75});
  EXPECT_NEAR(quartiles[0][0].item<double>(), 1, 1e-6);
  EXPECT_NEAR(quartiles[1][0].item<double>(), 101, 1e-6);
  EXPECT_NEAR(quartiles[0][1].item<double>(), 5, 1e-9);
}

TEST(PredictPosterior, RegressionBadInput) {
  const auto adding = [](const Tensor& mean, const Tensor& variance) {
    ivon::RegressionAccumulator average;
    average.add({torch::zeros({2}), {}});
    const std::string message = message_of([&] { average.add({mean, variance}); });
    EXPECT_EQ(average.count(), 1);
    return message;
  };
  EXPECT_EQ(adding({}, {}),
            "ivon: forward must return a floating-point mean, got an undefined tensor; return the "
            "model's output");
  EXPECT_EQ(adding(torch::zeros({3}), {}),
            "ivon: forward must return one shape for all samples, [2], got [3]; it must use the "
            "same inputs every time");
  EXPECT_EQ(adding(torch::zeros({2}), torch::zeros({1})),
            "ivon: the variance must have the shape of the mean, [2], got [1]; expand it");
  EXPECT_EQ(adding(torch::zeros({2}), -torch::ones({2})),
            "ivon: the variance must be >= 0, got a negative value or NaN; return a variance, not "
            "its logarithm");
  ivon::RegressionAccumulator average;
  EXPECT_EQ(message_of([&] { (void)average.result(); }),
            "ivon: a prediction must have at least 1 sample, got 0; call add()");
  average.add({torch::zeros({2}), {}});
  EXPECT_EQ(message_of([&] { (void)average.quantiles({1.0}); }),
            "ivon: a quantile's level must be between 0 and 1, got 1; 0.05 and 0.95 bound an "
            "interval of 90 %");
  EXPECT_EQ(
      message_of([&] { (void)average.quantiles({}); }),
      "ivon: quantiles need at least 1 level, got 0; 0.05 and 0.95 bound an interval of 90 %");
}

}  // namespace
