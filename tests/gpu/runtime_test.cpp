// SPDX-License-Identifier: Apache-2.0
// What only a CUDA device has: graphs, streams, an allocator that may run out, work that nobody may
// wait for. Needs cuda_runtime_api.h, which LibTorch's CUDA headers include; ivon's do not.
#include <gtest/gtest.h>
#include <torch/torch.h>

#ifdef IVON_TEST_CUDA_HEADERS
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <ivon/ivon.hpp>
#include <memory>
#include <vector>

#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::device;
using ivon_test::same_bits;

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!device().is_cuda()) GTEST_SKIP() << "IVON_TEST_DEVICE names no CUDA device";
    if (ivon::cuda_backend_info().backend != "nvrtc") GTEST_SKIP() << "no compiled kernels";
  }
};

IVONOptions options() { return IVONOptions(0.05).ess(1000).hess_init(0.1).beta2(0.99); }

// A model of fixed gradients' addresses: theta - 0.25.
struct Training {
  std::vector<at::Tensor> params;
  std::unique_ptr<IVON<>> optimizer;

  explicit Training(const IVONOptions& with) {
    for (const int64_t count : {5, 50'000, 1'000'003}) {
      params.push_back(torch::linspace(-1, 1, count, device()).requires_grad_());
      params.back().mutable_grad() = torch::zeros({count}, device());
    }
    optimizer = std::make_unique<IVON<>>(params, with);
    optimizer->manual_seed(ivon_test::kSeed);
  }
  void backward() {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& p : params) p.mutable_grad().copy_(p).sub_(0.25);
  }
  void iterate() {
    optimizer->zero_grad(/*set_to_none=*/false);
    if (static_cast<const IVONOptions&>(optimizer->defaults()).sample_on_step()) {
      backward();
    } else {
      auto sample = optimizer->sampled_params();
      backward();
    }
    optimizer->step();
  }
  void set_lr(double lr) {
    for (auto& group : optimizer->param_groups()) group.options().set_lr(lr);
  }
  std::vector<at::Tensor> result() {
    std::vector<at::Tensor> all;
    for (const at::Tensor& p : params) {
      all.push_back(optimizer->mean(p).cpu());
      all.push_back(optimizer->param_state(p).hess().cpu());
      all.push_back(optimizer->param_state(p).momentum().cpu());
      all.push_back(torch::tensor(optimizer->param_state(p).step()));
    }
    return all;
  }
};

void expect_same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "tensor " << i;
}

std::vector<at::Tensor> run(const IVONOptions& with, bool captured) {
  Training training(with);
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool();
  c10::cuda::device_synchronize();
  const c10::cuda::CUDAStreamGuard guard(side);
  for (int i = 0; i < 3; ++i) training.iterate();
  at::cuda::CUDAGraph graph;
  if (captured) {
    graph.capture_begin();
    training.iterate();
    graph.capture_end();
  }
  for (int i = 0; i < 7; ++i) {
    if (i == 3) training.set_lr(0.01);
    if (captured) {
      graph.replay();
    } else {
      training.iterate();
    }
  }
  training.iterate();
  c10::cuda::device_synchronize();
  return training.result();
}

TEST_F(Gpu, ReplaysAreIterations) {
  expect_same(run(options().capturable(true), false), run(options().capturable(true), true));
}
TEST_F(Gpu, ReplaysAreIterationsInOnePass) {
  const IVONOptions with = options().capturable(true).sample_on_step(true);
  expect_same(run(with, false), run(with, true));
}
TEST_F(Gpu, CapturingNeedsCapturable) {
  Training training(options());
  const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool());
  c10::cuda::device_synchronize();
  training.iterate();
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  IVON_EXPECT_ERROR(training.iterate(), "build it with IVONOptions::capturable(true)");
  graph.capture_end();
}

TEST_F(Gpu, StreamsDoNotMatter) {
  std::vector<std::vector<at::Tensor>> results;
  for (const bool other : {false, true}) {
    Training training(options());
    c10::cuda::device_synchronize();
    for (int i = 0; i < 6; ++i) {
      // A stream of its own each time, and traffic in the allocator that would reuse memory in
      // flight.
      const c10::cuda::CUDAStreamGuard guard(other ? c10::cuda::getStreamFromPool()
                                                   : c10::cuda::getDefaultCUDAStream());
      training.iterate();
      for (int j = 0; j < 20; ++j) torch::full({1'000'003}, j, device());
      if (other) c10::cuda::getCurrentCUDAStream().synchronize();
    }
    c10::cuda::device_synchronize();
    results.push_back(training.result());
  }
  expect_same(results[0], results[1]);
}

TEST_F(Gpu, NobodyWaitsAndNothingIsAllocated) {
  for (const bool one_pass : {false, true}) {
    Training training(options().sample_on_step(one_pass));
    for (int i = 0; i < 3; ++i) training.iterate();
    c10::cuda::device_synchronize();
    const auto allocations = [] {
      return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocation[0].allocated;
    };
    const auto before = allocations();
    c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
    EXPECT_EQ(ivon_test::message_of([&] { training.iterate(); }), "");
    c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
    EXPECT_EQ(allocations(), before);
  }
}

// Memory runs out for the sums of a second sample, and for a sample: the means stay.
TEST_F(Gpu, OutOfMemoryLosesNothing) {
  Training training(options());
  training.iterate();
  std::vector<at::Tensor> before;
  for (const at::Tensor& p : training.params) before.push_back(p.detach().cpu());
  training.optimizer->zero_grad(false);
  {
    auto sample = training.optimizer->sampled_params();
    training.backward();
  }
  c10::cuda::CUDACachingAllocator::emptyCache();
  c10::cuda::CUDACachingAllocator::setMemoryFraction(1e-6, 0);
  EXPECT_NE(ivon_test::message_of([&] { training.optimizer->zero_grad(false); }), "");
  c10::cuda::CUDACachingAllocator::setMemoryFraction(1.0, 0);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(same_bits(training.params[i].detach().cpu(), before[i]));
  }
  training.iterate();
}

// More than 2^31 elements, where the device has room: 2 + 2 + 2 + 3 * 4 bytes each.
TEST_F(Gpu, MoreElementsThan32BitsCount) {
  constexpr int64_t kCount = (int64_t{1} << 31) + 4099;
  std::pair<size_t, size_t> memory{0, 0};
  cudaMemGetInfo(&memory.first, &memory.second);
  if (memory.first < static_cast<size_t>(kCount) * 24) GTEST_SKIP() << "too little memory";
  const auto halves = at::TensorOptions().device(device()).dtype(at::kBFloat16);
  const at::Tensor p = at::zeros({kCount}, halves).requires_grad_();
  IVON optimizer({p}, IVONOptions(0.1).ess(1).weight_decay(0));
  optimizer.manual_seed(5);
  {
    auto sample = optimizer.sampled_params();
    const ivon::detail::NoiseKey key{5, 0, ivon::detail::NoiseDomain::kTraining, 0};
    constexpr int64_t kBegin = int64_t{1} << 31;
    std::vector<float> expected(4099);
    ivon::detail::fill_normal_cuda(key, kBegin / ivon::detail::kNoiseBlock, expected.data(), 4099);
    EXPECT_TRUE(same_bits(p.detach().slice(0, kBegin, kCount).cpu(),
                          torch::tensor(expected).to(at::kBFloat16)));
    p.mutable_grad() = at::ones({kCount}, halves);
  }
  optimizer.step();
  const at::Tensor means = p.detach().slice(0, kCount - 5000, kCount).cpu();
  EXPECT_TRUE((means < 0).all().item<bool>());
}

}  // namespace
#else
TEST(Gpu, LeftOut) { GTEST_SKIP() << "built without cuda_runtime_api.h: no graphs, no streams"; }
#endif
