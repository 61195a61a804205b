// SPDX-License-Identifier: Apache-2.0
// examples/common/weight_average.hpp: the formula, the weights after a Scope, and archives.
#include "common/weight_average.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "common/checkpoint.hpp"
#include "small.hpp"

namespace {

using examples::WeightAverage;
using examples_test::error_of;
using testing::HasSubstr;

torch::nn::Sequential averaged_model() {
  torch::manual_seed(1);
  return torch::nn::Sequential(torch::nn::Linear(3, 2), torch::nn::BatchNorm1d(2));
}

std::vector<torch::Tensor> copies_of_averaged(const torch::nn::Sequential& model) {
  std::vector<torch::Tensor> copies;
  for (const auto& t : model->parameters()) copies.push_back(t.detach().clone());
  for (const auto& t : model->buffers()) copies.push_back(t.detach().clone());
  return copies;
}

void change_averaged(const torch::nn::Sequential& model, double by) {
  const torch::NoGradGuard no_grad;
  for (auto& t : model->parameters()) t.add_(by);
  for (auto& t : model->buffers()) t.add_(static_cast<int64_t>(by));
}

void expect_equal_lists(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i], b[i])) << i;
}

TEST(WeightAverage, IsTheFormulaInPlainNumbers) {
  torch::nn::Linear model(1, 1);
  const torch::NoGradGuard no_grad;
  model->weight.fill_(0);
  WeightAverage average(*model, 0.3);
  double expected = 0;
  for (int t = 0; t < 8; ++t) {
    model->weight.fill_(t + 1);
    average.update();
    const double decay = std::min(0.3, (1.0 + t) / (10.0 + t));  // reaches 0.3 at t = 3
    expected = decay * expected + (1 - decay) * (t + 1);
    const auto scope = average.shown();
    EXPECT_NEAR(model->weight.item<double>(), expected, 1e-6);
  }
}

TEST(WeightAverage, TheFirstAverageIsTheModuleAsItWas) {
  const auto model = averaged_model();
  const auto begin = copies_of_averaged(model);
  WeightAverage average(*model, 0.9);
  change_averaged(model, 0.5);  // by less than 1, so that the count of batches stays
  const auto scope = average.shown();
  expect_equal_lists(copies_of_averaged(model), begin);
}

TEST(WeightAverage, FloatingPointBuffersAreAveragedAndOthersLeftAlone) {
  const auto model = averaged_model();
  WeightAverage average(*model, 0);
  change_averaged(model, 3);
  const auto buffers = model->named_buffers();
  average.update();  // decay 0: the average is the module
  change_averaged(model, 4);
  const auto scope = average.shown();
  EXPECT_EQ(buffers["1.running_mean"][0].item<double>(), 3);
  EXPECT_EQ(buffers["1.num_batches_tracked"].item<int64_t>(), 7);
}

TEST(WeightAverage, TheWeightsComeBackBitForBit) {
  const auto model = averaged_model();
  WeightAverage average(*model, 0.9);
  change_averaged(model, 0.1);
  average.update();
  const auto before = copies_of_averaged(model);
  try {
    const auto scope = average.shown();
    EXPECT_FALSE(torch::equal(copies_of_averaged(model)[0], before[0]));
    throw std::runtime_error("anything");
  } catch (const std::runtime_error&) {
  }
  expect_equal_lists(copies_of_averaged(model), before);
}

TEST(WeightAverage, NoUpdateWhileTheAveragesAreShown) {
  const auto model = averaged_model();
  WeightAverage average(*model, 0.9);
  {
    const auto scope = average.shown();
    EXPECT_THAT(error_of([&] { average.update(); }), HasSubstr("before update()"));
  }
  EXPECT_NO_THROW(average.update());
}

TEST(WeightAverage, SmallChangesOf16BitWeightsAreNotLost) {
  torch::nn::Linear model(1, 1);
  model->to(torch::kBFloat16);
  const torch::NoGradGuard no_grad;
  model->weight.fill_(1);
  WeightAverage average(*model, 0.999);
  for (int i = 0; i < 9000; ++i) average.update();  // until the decay is 0.999
  model->weight.fill_(2);
  for (int i = 0; i < 1000; ++i) average.update();
  const auto scope = average.shown();
  EXPECT_NEAR(model->weight.item<double>(), 2 - std::exp(-1.0), 0.01);
}

TEST(WeightAverage, ACheckpointRestoresIt) {
  const examples_test::Folder folder("weight_average");
  const auto model = averaged_model();
  WeightAverage first(*model, 0.9), second(*model, 0.9);
  change_averaged(model, 0.5);
  first.update();
  examples::Checkpoint out(folder.path / "a.pt", {}, torch::kCPU);
  out.add("average", first);
  out.save({});
  examples::Checkpoint in(folder.path / "a.pt", {}, torch::kCPU);
  in.add("average", second);
  ASSERT_TRUE(in.load().has_value());
  EXPECT_EQ(second.updates(), 1);
  std::vector<torch::Tensor> shown;
  {
    const auto scope = first.shown();
    shown = copies_of_averaged(model);
  }
  const auto scope = second.shown();
  expect_equal_lists(copies_of_averaged(model), shown);
}

TEST(WeightAverage, AnArchiveOfAnotherModelIsRefused) {
  const examples_test::Folder folder("other_average");
  torch::nn::Linear small(2, 3), large(2, 4);
  WeightAverage first(*small, 0.9), second(*large, 0.9);
  examples::Checkpoint out(folder.path / "a.pt", {}, torch::kCPU);
  out.add("average", first);
  out.save({});
  examples::Checkpoint in(folder.path / "a.pt", {}, torch::kCPU);
  in.add("average", second);
  EXPECT_THAT(error_of([&] { in.load(); }), HasSubstr("must be Float [4, 2], got Float [3, 2]"));
}

TEST(WeightAverage, TheDecayMustBeBelowOne) {
  torch::nn::Linear model(1, 1);
  EXPECT_THAT(error_of([&] { WeightAverage(*model, 1); }), HasSubstr("got 1"));
  EXPECT_THROW(WeightAverage(*model, -0.1), std::invalid_argument);
}

TEST(WeightAverage, KeepWritesTheAveragesForGood) {
  const auto model = averaged_model();
  WeightAverage average(*model, 0.5);
  const auto before = copies_of_averaged(model);
  change_averaged(model, 3);
  {
    const auto scope = average.shown();
    EXPECT_THAT(error_of([&] { average.keep(); }), HasSubstr("end the scope"));
  }
  average.keep();
  EXPECT_TRUE(torch::equal(model->parameters()[0], before[0]));
}

}  // namespace
