// SPDX-License-Identifier: Apache-2.0
// The optimizer on the device that IVON_TEST_DEVICE names: the processors' numbers, restored,
// resumed, in one pass. On a CPU with IVON_TEST_CUDA_ON_HOST=1 the same tests check themselves.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <ivon/ivon.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::device;
using ivon_test::same_bits;

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf};

// Whether the fused kernels are what runs: then bits are equal, else numbers are near.
bool fused() { return ivon::detail::cuda_runtime(device()) != nullptr; }

IVONOptions options() { return IVONOptions(0.05).ess(1000).hess_init(0.1).beta2(0.99); }

std::vector<at::Tensor> parameters(at::ScalarType dtype, const at::Device& where) {
  torch::manual_seed(ivon_test::kSeed);
  std::vector<at::Tensor> params;
  for (const int64_t count : {3, 5000, 64, 8192, 1, 100'003}) {
    params.push_back(torch::randn({count}).to(where, dtype).requires_grad_());
  }
  params.push_back(torch::randn({8, 3, 5, 5})
                       .to(where, dtype)
                       .contiguous(at::MemoryFormat::ChannelsLast)
                       .requires_grad_());
  return params;
}

// Gradients that one rounding decides, the same on every device.
void set_gradients(const std::vector<at::Tensor>& params) {
  const at::NoGradGuard no_grad;
  for (const at::Tensor& p : params) p.mutable_grad() = p - 0.25;
}

template <class Optimizer>
void iterate(Optimizer& optimizer, const std::vector<at::Tensor>& params, int count = 1) {
  for (int i = 0; i < count; ++i) {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      set_gradients(params);
    }
    optimizer.step();
  }
}

template <class Optimizer>
std::vector<at::Tensor> state_of(const Optimizer& optimizer,
                                 const std::vector<at::Tensor>& params) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& p : params) {
    all.push_back(optimizer.mean(p).cpu());
    all.push_back(optimizer.param_state(p).hess().cpu());
    all.push_back(optimizer.param_state(p).momentum().cpu());
  }
  return all;
}

void expect_same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "tensor " << i;
}

TEST(Device, BackendIsTheOneAskedFor) {
  if (!device().is_cuda()) GTEST_SKIP() << "no CUDA device";
  const ivon::CudaBackendInfo info = ivon::cuda_backend_info();
  const char* wanted = std::getenv("IVON_CUDA_BACKEND");
  EXPECT_EQ(info.backend, wanted != nullptr && *wanted != '\0' ? wanted : "nvrtc") << info.reason;
  std::printf("%s: %s\n", info.backend.c_str(), info.reason.c_str());
}

TEST(Device, NoiseHasTheSpecifiedBits) {
  if (!device().is_cuda() && !fused()) GTEST_SKIP() << "the streams of CPUs are tested elsewhere";
  for (const int64_t count : {1, 5, 4096, 1'000'003}) {
    const ivon::detail::NoiseKey key{7, 3, ivon::detail::NoiseDomain::kPrediction, 2};
    const at::Tensor like = at::empty({count}, at::TensorOptions().device(device()));
    std::vector<float> expected(static_cast<size_t>(count));
    ivon::detail::fill_normal_cuda(key, 0, expected.data(), count);
    EXPECT_TRUE(same_bits(ivon::detail::standard_normal(like, key, at::kFloat).cpu(),
                          torch::tensor(expected)));
  }
}

// Noise written into the parameters: what every device computes from it.
template <class Estimator>
std::vector<at::Tensor> trajectory_with_injected_noise(at::ScalarType dtype,
                                                       const at::Device& where) {
  const auto params = parameters(dtype, where);
  IVON<Estimator> optimizer(params, options());
  torch::manual_seed(ivon_test::kSeed);
  for (int i = 0; i < 4; ++i) {
    for (int s = 0; s < (i == 3 ? 2 : 1); ++s) {
      optimizer.zero_grad();
      auto sample = optimizer.sampled_params();
      {
        const at::NoGradGuard no_grad;
        for (const at::Tensor& p : params) p.copy_(at::randn(p.sizes()).mul(0.05).add(0.1));
      }
      set_gradients(params);
    }
    optimizer.step();
  }
  return state_of(optimizer, params);
}

template <class Estimator>
void expect_the_processors_numbers() {
  for (const at::ScalarType dtype : kDtypes) {
    SCOPED_TRACE(c10::toString(dtype));
    auto* const host = std::exchange(ivon::detail::cuda::host_runtime(), nullptr);
    const auto expected = trajectory_with_injected_noise<Estimator>(dtype, at::kCPU);
    ivon::detail::cuda::host_runtime() = host;
    const auto actual = trajectory_with_injected_noise<Estimator>(dtype, device());
    for (size_t i = 0; i < expected.size(); ++i) {
      if (fused()) {
        EXPECT_TRUE(same_bits(actual[i], expected[i])) << "tensor " << i;
      } else {
        const double bound = dtype == at::kDouble ? 1e-12 : 1e-4;
        EXPECT_LE(ivon_test::relative_error(actual[i], expected[i]), bound) << "tensor " << i;
      }
    }
  }
}
TEST(Device, TheProcessorsNumbersPrice) { expect_the_processors_numbers<ivon::PriceEstimator>(); }
TEST(Device, TheProcessorsNumbersGradSquared) {
  expect_the_processors_numbers<ivon::GradSquaredEstimator>();
}

TEST(Device, TheMeanIsRestored) {
  for (const at::ScalarType dtype : kDtypes) {
    const auto params = parameters(dtype, device());
    IVON optimizer(params, options());
    std::vector<at::Tensor> before;
    for (const at::Tensor& p : params) before.push_back(p.detach().clone());
    {
      auto sample = optimizer.sampled_params();
      EXPECT_FALSE(same_bits(params[1], before[1]));
    }
    try {
      auto sample = optimizer.sampled_params();
      throw std::runtime_error("out of the scope");
    } catch (const std::runtime_error&) {
    }
    for (size_t i = 0; i < params.size(); ++i) EXPECT_TRUE(same_bits(params[i], before[i]));
    iterate(optimizer, params);
  }
}

TEST(Device, OnePassIsTheStandardLoop) {
  for (const at::ScalarType dtype : kDtypes) {
    SCOPED_TRACE(c10::toString(dtype));
    const auto standard = parameters(dtype, device());
    IVON loop(standard, options());
    loop.manual_seed(3);
    iterate(loop, standard, 5);
    const auto params = parameters(dtype, device());
    IVON optimizer(params, options().sample_on_step(true));
    optimizer.manual_seed(3);
    for (int i = 0; i < 5; ++i) {
      optimizer.zero_grad();
      set_gradients(params);
      optimizer.step();
    }
    optimizer.eval();
    expect_same_bits(state_of(optimizer, params), state_of(loop, standard));
  }
}

TEST(Device, ResumedIsUninterrupted) {
  const auto params = parameters(at::kFloat, device());
  IVON optimizer(params, options());
  iterate(optimizer, params, 3);
  torch::serialize::OutputArchive out;
  optimizer.save(out);
  std::stringstream file;
  out.save_to(file);
  std::vector<at::Tensor> copies;
  for (const at::Tensor& p : params) copies.push_back(p.detach().clone().requires_grad_());
  IVON resumed(copies, IVONOptions().ess(1));
  torch::serialize::InputArchive in;
  in.load_from(file);
  resumed.load(in);
  iterate(optimizer, params, 3);
  iterate(resumed, copies, 3);
  expect_same_bits(state_of(resumed, copies), state_of(optimizer, params));
}

TEST(Device, ArchivesMoveToTheProcessor) {
  const auto params = parameters(at::kBFloat16, device());
  IVON optimizer(params, options());
  iterate(optimizer, params, 2);
  torch::serialize::OutputArchive out;
  optimizer.save(out);
  std::stringstream file;
  out.save_to(file);
  std::vector<at::Tensor> copies;
  for (const at::Tensor& p : params) copies.push_back(p.detach().cpu().clone().requires_grad_());
  IVON moved(copies, IVONOptions().ess(1));
  torch::serialize::InputArchive in;
  in.load_from(file, torch::kCPU);
  moved.load(in);
  expect_same_bits(state_of(moved, copies), state_of(optimizer, params));
  iterate(moved, copies);
}

TEST(Device, CapturableChangesNothing) {
  if (!fused()) GTEST_SKIP() << "capturable needs compiled kernels";
  std::vector<std::vector<at::Tensor>> results;
  for (const bool capturable : {false, true}) {
    const auto params = parameters(at::kFloat, device());
    IVON optimizer(params, options().capturable(capturable));
    optimizer.manual_seed(3);
    iterate(optimizer, params, 5);
    EXPECT_EQ(optimizer.param_state(params[0]).step(), 5);
    results.push_back(state_of(optimizer, params));
  }
  // pow() of a device may differ from the host's in the last bit of a double.
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_LE(ivon_test::relative_error(results[1][i], results[0][i]), 1e-6) << "tensor " << i;
  }
}

TEST(Device, NotFiniteIsCounted) {
  const auto params = parameters(at::kFloat, device());
  IVON optimizer(params, options());
  {
    auto sample = optimizer.sampled_params();
    set_gradients(params);
    params[1].mutable_grad()[7].fill_(NAN);
  }
  const at::Tensor before = params[1].detach()[7].clone();
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_elements(), 1);
  EXPECT_TRUE(same_bits(params[1].detach()[7], before));
}

}  // namespace
