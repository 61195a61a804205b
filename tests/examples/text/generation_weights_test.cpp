// SPDX-License-Identifier: Apache-2.0
// Ensembles of weights in examples/gpt2, and the command generate.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <ivon/posterior/posterior.hpp>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/models/gpt2.hpp"
#include "generation_tokens.hpp"
#include "gpt2/ensemble.hpp"
#include "gpt2/generate.hpp"

namespace {

using generation_tokens::abc_tokens;
using torch::Tensor;

// A small model of four tokens with weights large enough for predictions that are not uniform.
std::shared_ptr<examples::Gpt2> generation_model() {
  torch::manual_seed(5);
  examples::Gpt2Options options;
  options.layers = 2;
  options.heads = 2;
  options.width = 8;
  options.context = 6;
  options.vocabulary = 4;
  const auto model = std::make_shared<examples::Gpt2>(options);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.add_(0.3 * torch::randn_like(p));
  return model;
}

// A posterior around the weights of the model, all but those of the last norm.
ivon::Posterior posterior_around(const examples::Gpt2& model, double precision) {
  std::vector<ivon::PosteriorParameter> parameters;
  std::vector<std::string> left_out;
  for (const auto& p : model.named_parameters()) {
    if (p.key().find("ln_f") != std::string::npos) {
      left_out.push_back(p.key());
      continue;
    }
    const Tensor mean = p.value().detach().clone();
    parameters.push_back({p.key(), mean, torch::full_like(mean, precision)});
  }
  return ivon::Posterior(parameters, {}, left_out);
}

// What the model says without a cache: [n, vocabulary].
Tensor direct_prediction(examples::Gpt2& model, const Tensor& tokens) {
  const torch::NoGradGuard no_grad;
  return torch::softmax(model.forward(tokens).select(1, tokens.size(1) - 1), -1);
}

TEST(Ensemble, PredictsLikeTheModelAlsoBeyondItsContext) {
  const auto model = generation_model();
  gpt2::Ensemble ensemble(*model);
  const Tensor text = torch::randint(4, {2, 10}, torch::kLong);
  const auto expect_near = [&](const Tensor& p, int64_t begin, int64_t end) {
    EXPECT_TRUE(
        torch::allclose(p[0], direct_prediction(*model, text.slice(1, begin, end)), 1e-4, 1e-6))
        << begin << " to " << end;
  };
  expect_near(ensemble.next(text.slice(1, 0, 3)), 0, 3);
  for (int64_t t = 4; t <= 6; ++t) expect_near(ensemble.next(text.slice(1, t - 1, t)), 0, t);
  for (int64_t t = 7; t <= 9; ++t) expect_near(ensemble.next(text.slice(1, t - 1, t)), 4, t);
  expect_near(ensemble.next(text.slice(1, 9, 10)), 4, 10);
  EXPECT_THROW(ensemble.next(text.slice(0, 0, 1)), std::invalid_argument);
  ensemble.clear();
  expect_near(ensemble.next(text), 4, 10);
}

TEST(Ensemble, EqualTextsAreReadOnceAndGoOnDifferently) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  gpt2::Ensemble together(*model, posterior, 2);
  posterior.manual_seed(0);
  gpt2::Ensemble apart(*model, posterior, 2);
  const Tensor prompt = torch::tensor({{0, 3, 1}}, torch::kLong), more = torch::tensor({{2}, {0}});
  const Tensor first = together.next(prompt.repeat({2, 1}));
  ASSERT_EQ(first.sizes(), (std::vector<int64_t>{2, 2, 4}));
  const Tensor second = together.next(more);
  for (int64_t i = 0; i < 2; ++i) {
    apart.clear();
    EXPECT_TRUE(torch::allclose(first.select(1, i), apart.next(prompt).select(1, 0), 1e-4, 1e-6));
    EXPECT_TRUE(torch::allclose(second.select(1, i),
                                apart.next(more.slice(0, i, i + 1)).select(1, 0), 1e-4, 1e-6));
  }
}

TEST(Ensemble, MembersAreTheSamplesOfThePosterior) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  const Tensor text = torch::randint(4, {1, 4}, torch::kLong);
  const Tensor before = direct_prediction(*model, text);
  posterior.manual_seed(9);
  gpt2::Ensemble ensemble(*model, posterior, 2);
  const Tensor p = ensemble.next(text);
  ASSERT_EQ(p.sizes(), (std::vector<int64_t>{2, 1, 4}));
  EXPECT_TRUE(torch::equal(direct_prediction(*model, text), before));
  posterior.manual_seed(9);
  for (int64_t i = 0; i < 2; ++i) {
    const auto sample = posterior.sampled_params(*model);
    EXPECT_TRUE(torch::allclose(p[i], direct_prediction(*model, text), 1e-4, 1e-6)) << i;
  }
  EXPECT_FALSE(torch::allclose(p[0], p[1], 0.01, 0.001));
}

std::string generated_output(const gpt2::GenerateSettings& s, examples::Gpt2& model,
                             ivon::Posterior* posterior) {
  std::ostringstream out;
  gpt2::generate(s, model, posterior, abc_tokens(), out, false);
  return out.str();
}

TEST(Generate, PrintsTextOrUncertaintyOrTheBestCandidate) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  gpt2::GenerateSettings s;
  s.prompt = "a";
  s.from = "average";
  s.samples = 3;
  s.generation.max_tokens = 5;
  const std::string text = generated_output(s, *model, &posterior);
  EXPECT_EQ(text.substr(0, 1), "a");
  EXPECT_EQ(text, generated_output(s, *model, &posterior));
  s.uncertainty = true;
  EXPECT_EQ(generated_output(s, *model, &posterior).substr(0, 9), "{\"token\":");
  s.uncertainty = false;
  s.candidates = 3;
  EXPECT_EQ(generated_output(s, *model, &posterior).substr(0, 1), "a");
  s.abstain = 100;
  EXPECT_EQ(generated_output(s, *model, &posterior), "");
}

TEST(Generate, TheSampleIsTheFirstOfThePosteriorAndNotKept) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 1);
  const Tensor before = direct_prediction(*model, torch::zeros({1, 3}, torch::kLong));
  gpt2::GenerateSettings s;
  s.prompt = "a";
  s.generation.max_tokens = 30;
  s.from = "sample";
  const std::string sampled = generated_output(s, *model, &posterior);
  EXPECT_TRUE(torch::equal(direct_prediction(*model, torch::zeros({1, 3}, torch::kLong)), before));
  s.from = "mean";
  posterior.manual_seed(s.generation.seed);
  const auto sample = posterior.sampled_params(*model);
  EXPECT_EQ(generated_output(s, *model, nullptr), sampled);
}

TEST(Generate, ReportsLinesAboutTheText) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  gpt2::GenerateSettings s;
  s.generation.max_tokens = 2;
  const auto lines = [&](const std::string& prompt, const std::string& from) {
    s.prompt = prompt;
    s.from = from;
    testing::internal::CaptureStderr();
    generated_output(s, *model, &posterior);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(lines("abcabcab", "mean")
                .find("the prompt has 8 tokens, but the context of the model "
                      "is 6"),
            0U);
  EXPECT_EQ(lines("abcabc", "mean").find("mutual information"), std::string::npos);
  EXPECT_NE(lines("abcabc", "average").find("mutual information"), std::string::npos);
}

TEST(Generate, AFullDiskIsAnError) {
  const auto model = generation_model();
  gpt2::GenerateSettings s;
  s.prompt = "a";
  std::ofstream full("/dev/full");
  EXPECT_THROW(gpt2::generate(s, *model, nullptr, abc_tokens(), full, false), std::runtime_error);
}

// A posterior that is asked for a sample changes its next one.
TEST(Generate, RefusesBadSettingsBeforeAnyWorkIsDone) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  gpt2::GenerateSettings s;
  s.prompt = "a";
  s.from = "sample";
  s.candidates = 1;
  const auto expect_untouched = [&] {
    posterior.manual_seed(77);
    EXPECT_THROW(generated_output(s, *model, &posterior), std::invalid_argument);
    Tensor found[2];
    for (Tensor& prediction : found) {
      const auto sample = posterior.sampled_params(*model);
      prediction = direct_prediction(*model, torch::zeros({1, 3}, torch::kLong));
      posterior.manual_seed(77);
    }
    EXPECT_TRUE(torch::equal(found[0], found[1]));
  };
  expect_untouched();
  s.candidates = 2;
  s.generation.sampling.top_p = 0;
  expect_untouched();
  s.generation.sampling.top_p = 1;
  s.generation.max_tokens = -1;
  expect_untouched();
}

TEST(Generate, RefusesSettingsThatDoNotGoTogether) {
  const auto model = generation_model();
  gpt2::GenerateSettings s;
  s.from = "sample";
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
  s.from = "mean";
  s.abstain = 10;
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
  s.candidates = 2;
  s.uncertainty = true;
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
}

}  // namespace
