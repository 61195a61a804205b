// SPDX-License-Identifier: Apache-2.0
// The fused route against the tensor expressions, and the one parallel job over many tensors.
#include <ATen/Parallel.h>

#include <ivon/dispatch/parallel.hpp>
#include <ivon/dispatch/tensor_update.hpp>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using namespace ivon::detail;
using ivon_test::relative_error;
using ivon_test::same_bits;

TEST(Dispatch, CoversEveryItemOnce) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 4}) {
    at::set_num_threads(threads);
    for (const int64_t items : {0, 1, 15, 16, 17, 33, 1000, 100'000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(items));
      run_in_parallel(items, 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const auto& count : seen) ASSERT_EQ(count, 1) << items;
    }
  }
  at::set_num_threads(before);
}

TEST(Dispatch, UsesLibTorchsThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  run_in_parallel(1'000, 1, [&](int64_t, int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard<std::mutex> lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads.size(), 2u);
  at::set_num_threads(before);
}

TEST(Dispatch, ExceptionsPass) {
  EXPECT_THROW(run_in_parallel(1'000, 1, [](int64_t, int64_t) { throw std::runtime_error(""); }),
               std::runtime_error);
}

TEST(Dispatch, TasksOfAllSizesAreOneJob) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  TaskList<SampleTask> list;
  std::vector<int64_t> counts = {0, 1, 4096, 4097, 0, 300'000, 7, 8192};
  std::vector<std::vector<int>> seen;
  for (const int64_t count : counts) {
    seen.emplace_back(static_cast<size_t>(block_count(count)), 0);
    list.add({{Dtype::kFloat32, nullptr, nullptr, nullptr, count},
              nullptr,
              {{}, PosteriorScale(1, 1, 1)}},
             count);
  }
  const int64_t total = list.run([&](const SampleTask& task, int64_t block) {
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == task.posterior.count) ++seen[i][static_cast<size_t>(block)];
    }
    return block_size(task.posterior.count, block);
  });
  EXPECT_EQ(total, 1 + 4096 + 4097 + 300'000 + 7 + 8192);
  for (const auto& blocks : seen) {
    for (const int count : blocks) EXPECT_EQ(count, 1);
  }
  at::set_num_threads(before);
}

// A slice of a larger storage with a transposed gradient: the tensor route. The same values in a
// storage of their own: the fused one.
template <class Estimator>
void expect_routes_agree(const ivon::IVONOptions& options, at::ScalarType dtype = torch::kFloat,
                         int samples = 1) {
  torch::manual_seed(3);
  auto fused = torch::randn({50, 90}).to(dtype).requires_grad_();
  auto by_tensors = torch::empty({50, 100}, dtype).narrow(1, 7, 90).detach();
  by_tensors.copy_(fused.detach());
  by_tensors.requires_grad_();
  ivon::IVON<Estimator> a({fused}, options), b({by_tensors}, options);
  for (auto* optimizer : {&a, &b}) optimizer->manual_seed(1);
  for (int step = 0; step < 5; ++step) {
    const auto one = [&](ivon::IVON<Estimator>& optimizer, const torch::Tensor& weight,
                         bool dense) {
      for (int s = 0; s < samples; ++s) {
        optimizer.zero_grad();
        const auto sample = optimizer.sampled_params();
        torch::manual_seed(10 * step + s);
        const auto gradient = torch::randn({90, 50}).t().to(dtype);
        // In half precision theta may be rounded to either side.
        weight.mutable_grad() =
            ivon::detail::is_half(dtype) ? gradient : gradient + weight.detach();
        if (dense) weight.mutable_grad() = weight.grad().contiguous();
      }
      optimizer.step();
    };
    one(a, fused, true);
    one(b, by_tensors, false);
    using namespace ivon_test;
    const double scale = dtype == torch::kDouble ? tolerance::kFusedFloat64 : 1;
    const auto& x = a.param_state(fused);
    const auto& y = b.param_state(by_tensors);
    EXPECT_LT(relative_error(a.mean(fused), b.mean(by_tensors)), scale * tolerance::kFusedFloat32)
        << dtype << ", step " << step;
    EXPECT_LT(relative_error(x.hess(), y.hess()), scale * tolerance::kFusedFloat32Hess)
        << dtype << ", step " << step;
    EXPECT_LT(relative_error(x.momentum(), y.momentum()), scale * tolerance::kFusedFloat32)
        << dtype << ", step " << step;
  }
}

TEST(Dispatch, FusedAndTensorRoutesAgree) {
  const auto options = [] { return ivon::IVONOptions(0.1).ess(1e3).beta2(0.99); };
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf}) {
    for (const int samples : {1, 3}) {
      expect_routes_agree<ivon::PriceEstimator>(options(), dtype, samples);
      expect_routes_agree<ivon::GradSquaredEstimator>(options(), dtype, samples);
    }
    expect_routes_agree<ivon::PriceEstimator>(options().hess_clip(2).clip_radius(0.5).debias(false),
                                              dtype);
    expect_routes_agree<ivon::PriceEstimator>(
        options().damping(3).noise_max(0.02).decoupled_weight_decay(0.1), dtype);
  }
}

TEST(Dispatch, WhatTheFusedKernelsTake) {
  const auto matrix = torch::zeros({4, 6});
  const torch::Tensor none;
  const auto takes = [&](const torch::Tensor& mean) {
    const auto hess = torch::zeros_like(mean);
    return is_fusible({mean, none, hess});
  };
  EXPECT_TRUE(takes(matrix));
  EXPECT_TRUE(takes(matrix.t()));
  EXPECT_TRUE(takes(torch::zeros({})));
  EXPECT_TRUE(takes(torch::zeros({0})));
  EXPECT_FALSE(takes(matrix.narrow(1, 1, 3)));
  EXPECT_FALSE(is_fusible({matrix, none, matrix.to(torch::kDouble)}));
  EXPECT_FALSE(fuses_with(torch::zeros({6, 4}).t(), matrix, torch::kFloat));
  // Strides of dimensions of size 1 say nothing about the order in memory.
  const auto row = torch::zeros({4, 1, 6});
  EXPECT_TRUE(fuses_with(row.as_strided({4, 1, 6}, {6, 77, 1}), row, torch::kFloat));
}

}  // namespace
