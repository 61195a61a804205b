// SPDX-License-Identifier: Apache-2.0
// posterior/batch_norm.hpp: the statistics against hand computation, and that everything else is as
// before, also after an exception.
#include "ivon/posterior/batch_norm.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "support.hpp"

namespace {

using ivon_test::message_of;
using ivon_test::same_bits;
using torch::Tensor;

struct NormalizedNetImpl : torch::nn::Module {
  NormalizedNetImpl() {
    register_module("norm", norm);
    register_module("dropout", dropout);
    register_module("frozen", frozen);
    norm->running_mean.fill_(7);
    norm->running_var.fill_(9);
    norm->num_batches_tracked.fill_(5);
    frozen->eval();
  }
  Tensor forward(const Tensor& x) {
    EXPECT_TRUE(norm->is_training());
    EXPECT_FALSE(is_training());
    EXPECT_FALSE(dropout->is_training());
    EXPECT_FALSE(torch::GradMode::is_enabled());
    return dropout(norm(x));
  }
  torch::nn::BatchNorm1d norm{torch::nn::BatchNormOptions(2).momentum(0.25)};
  torch::nn::Dropout dropout{0.5};
  torch::nn::BatchNorm2d frozen{torch::nn::BatchNormOptions(3)};  // not reached by forward
};

// Means 2, 6 and -2, 0; unbiased variances 2, 8 and 8, 2.
std::vector<Tensor> normalized_batches() {
  return {torch::tensor({1.0F, 4.0F, 3.0F, 8.0F}).view({2, 2}),
          torch::tensor({-4.0F, -1.0F, 0.0F, 1.0F}).view({2, 2})};
}

void expect_as_before(const NormalizedNetImpl& net) {
  EXPECT_TRUE(net.is_training());
  EXPECT_TRUE(net.norm->is_training());
  EXPECT_TRUE(net.dropout->is_training());
  EXPECT_FALSE(net.frozen->is_training());
  EXPECT_EQ(net.norm->options.momentum(), 0.25);
  EXPECT_EQ(net.frozen->options.momentum(), 0.1);
}

void expect_old_statistics(const NormalizedNetImpl& net) {
  EXPECT_TRUE(same_bits(net.norm->running_mean, torch::full({2}, 7.0F)));
  EXPECT_TRUE(same_bits(net.norm->running_var, torch::full({2}, 9.0F)));
  EXPECT_EQ(net.norm->num_batches_tracked.item<int64_t>(), 5);
}

TEST(BatchNorm, AveragesTheBatches) {
  NormalizedNetImpl net;  // on the stack
  ivon::reestimate_batch_norm(net, normalized_batches(), [&](const Tensor& x) { net.forward(x); });
  EXPECT_TRUE(same_bits(net.norm->running_mean, torch::tensor({0.0F, 3.0F})));
  EXPECT_TRUE(same_bits(net.norm->running_var, torch::tensor({5.0F, 5.0F})));
  EXPECT_EQ(net.norm->num_batches_tracked.item<int64_t>(), 2);
  // What forward does not reach stays.
  EXPECT_TRUE(same_bits(net.frozen->running_mean, torch::zeros({3})));
  EXPECT_TRUE(same_bits(net.frozen->running_var, torch::ones({3})));
  EXPECT_EQ(net.frozen->num_batches_tracked.item<int64_t>(), 0);
  expect_as_before(net);
}

TEST(BatchNorm, AnExceptionGivesTheOldStatisticsBack) {
  NormalizedNetImpl net;
  int calls = 0;
  const auto forward = [&](const Tensor& x) {
    if (++calls == 2) throw std::runtime_error("second batch");
    net.forward(x);
  };
  EXPECT_THROW(ivon::reestimate_batch_norm(net, normalized_batches(), forward), std::runtime_error);
  expect_old_statistics(net);
  expect_as_before(net);
}

TEST(BatchNorm, AnEmptyLoaderIsAnError) {
  NormalizedNetImpl net;
  const std::vector<Tensor> none;
  EXPECT_EQ(message_of([&] {
              ivon::reestimate_batch_norm(net, none, [&](const Tensor& x) { net.forward(x); });
            }),
            "ivon: batches must have at least 1 batch, got 0; a loader that was read to its end "
            "must be made anew");
  expect_old_statistics(net);
  expect_as_before(net);
}

TEST(BatchNorm, EveryDimensionAndASharedLayer) {
  torch::nn::BatchNorm3d deep(1);
  torch::nn::BatchNorm2d flat(1);
  torch::nn::ModuleList inner(flat);
  torch::nn::ModuleList net(deep, inner, flat);  // `flat` is there twice
  deep->running_mean.fill_(std::nan(""));
  const std::vector<Tensor> batches = {torch::tensor({1.0F, 3.0F}), torch::tensor({5.0F, 7.0F})};
  net->eval();
  flat->train();
  ivon::reestimate_batch_norm(*net, batches, [&](const Tensor& x) {
    deep(x.view({2, 1, 1, 1, 1}));
    flat(x.view({2, 1, 1, 1}));
    flat(x.view({2, 1, 1, 1}) + 1);
  });
  EXPECT_EQ(deep->running_mean.item<float>(), 4);
  EXPECT_EQ(deep->running_var.item<float>(), 2);
  EXPECT_EQ(flat->running_mean.item<float>(), 4.5F);
  EXPECT_EQ(flat->num_batches_tracked.item<int64_t>(), 4);
  EXPECT_FALSE(net->is_training());
  EXPECT_FALSE(inner->is_training());
  EXPECT_FALSE(deep->is_training());
  EXPECT_TRUE(flat->is_training());
  EXPECT_EQ(flat->options.momentum(), 0.1);
}

TEST(BatchNorm, WithoutLayersNothingIsRun) {
  torch::nn::Linear linear(1, 1);
  torch::nn::BatchNorm1d untracked(torch::nn::BatchNormOptions(2).track_running_stats(false));
  const auto fail = [](const Tensor&) { FAIL(); };
  ivon::reestimate_batch_norm(*linear, normalized_batches(), fail);
  ivon::reestimate_batch_norm(*untracked, normalized_batches(), fail);
  EXPECT_TRUE(linear->is_training());
}

}  // namespace
