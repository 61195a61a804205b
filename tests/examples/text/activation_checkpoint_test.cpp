// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing: gradients are those without it bit for bit, and memory is lower.
#include "common/activation_checkpoint.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/autocast.hpp"
#include "common/compiled_ivon.hpp"
#include "small.hpp"

namespace {

using examples::checkpointed;
using examples_test::error_of;
using torch::Tensor;
using Function = std::function<Tensor(const Tensor&)>;
// Applies a block, directly or by checkpointed().
using Call = std::function<Tensor(const Function&, const Tensor&)>;

const Call kDirectly = [](const Function& f, const Tensor& x) { return f(x); };

// Four blocks of linear layer, dropout and GELU.
struct Blocks : torch::nn::Module {
  explicit Blocks(int64_t size = 6, double dropout = 0) : p(dropout) {
    torch::manual_seed(4);
    for (int64_t i = 0; i < 4; ++i) {
      linears.push_back(register_module(std::to_string(i), torch::nn::Linear(size, size)));
    }
  }

  Tensor block(size_t i, const Tensor& x) {
    return x + torch::gelu(torch::dropout(linears[i]->forward(x), p, p > 0)).tanh();
  }

  // x [n, size] -> the same shape
  Tensor forward(const Call& call, const Tensor& x) {
    Tensor y = x;
    for (size_t i = 0; i < 4; ++i) {
      y = call([this, i](const Tensor& in) { return block(i, in); }, y);
    }
    return y;
  }

  double p;
  std::vector<torch::nn::Linear> linears;
};

// The gradients of all parameters, undefined where there are none, and that of x.
std::vector<Tensor> gradients_of(Blocks& blocks, const Call& call, bool input_gradient = true,
                                 bool bf16 = false) {
  blocks.zero_grad();
  torch::manual_seed(9);
  const Tensor x = torch::randn({5, blocks.linears[0]->options.in_features()});
  x.requires_grad_(input_gradient);
  Tensor loss;
  {
    const examples::Autocast autocast(torch::kCPU, bf16);
    loss = blocks.forward(call, x).square().sum();
  }
  torch::rand({3});  // the second run must not continue here
  loss.backward();
  std::vector<Tensor> all = {loss.detach(), x.grad()};
  for (const Tensor& p : blocks.parameters()) all.push_back(p.grad());
  all.push_back(torch::rand({2}));  // the second run must not move the generator
  return all;
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].defined(), b[i].defined()) << i;
    if (a[i].defined() && b[i].defined()) {
      EXPECT_TRUE(a[i].equal(b[i])) << i;
    }
  }
}

TEST(ActivationCheckpoint, GradientsAreEqual) {
  for (const double dropout : {0.0, 0.4}) {
    for (const bool bf16 : {false, true}) {
      for (const bool input_gradient : {false, true}) {
        Blocks blocks(6, dropout);
        expect_same(gradients_of(blocks, checkpointed, input_gradient, bf16),
                    gradients_of(blocks, kDirectly, input_gradient, bf16));
      }
    }
  }
}

TEST(ActivationCheckpoint, FrozenParametersGetNoGradient) {
  Blocks blocks;
  blocks.linears[0]->weight.requires_grad_(false);
  for (Tensor& p : blocks.linears[2]->parameters()) p.requires_grad_(false);
  expect_same(gradients_of(blocks, checkpointed, false), gradients_of(blocks, kDirectly, false));
  for (Tensor& p : blocks.parameters()) p.requires_grad_(false);
  EXPECT_FALSE(blocks.forward(checkpointed, torch::ones({2, 6})).requires_grad());
}

TEST(ActivationCheckpoint, NestedCallsWork) {
  Blocks blocks(6, 0.4);
  const Call nested = [](const Function& f, const Tensor& x) {
    return checkpointed([f](const Tensor& in) { return checkpointed(f, in); }, x);
  };
  expect_same(gradients_of(blocks, nested), gradients_of(blocks, kDirectly));
  const auto all_of = [&](const Call& outer) {
    blocks.zero_grad();
    torch::manual_seed(9);
    const auto inner = [&](const Tensor& in) { return blocks.forward(checkpointed, in); };
    outer(inner, torch::ones({2, 6})).sum().backward();
    std::vector<Tensor> all;
    for (const Tensor& p : blocks.parameters()) all.push_back(p.grad());
    return all;
  };
  expect_same(all_of(checkpointed), all_of(kDirectly));
}

TEST(ActivationCheckpoint, WorksInsideGrad) {
  Blocks blocks;
  const Tensor x = torch::ones({2, 6}, torch::requires_grad());
  const std::vector<Tensor> wanted = {blocks.linears[1]->weight, x};
  const auto of = [&](const Call& call) {
    return torch::autograd::grad({blocks.forward(call, x).sum()}, wanted);
  };
  expect_same(of(checkpointed), of(kDirectly));
  for (const Tensor& p : blocks.parameters()) EXPECT_FALSE(p.grad().defined());
}

TEST(ActivationCheckpoint, KeptGraphCanBeUsedTwice) {
  Blocks blocks;
  const Tensor loss = blocks.forward(checkpointed, torch::ones({2, 6})).sum();
  loss.backward({}, /*retain_graph=*/true);
  const Tensor once = blocks.linears[0]->weight.grad().clone();
  loss.backward();
  EXPECT_TRUE(blocks.linears[0]->weight.grad().equal(2 * once));
  EXPECT_NE(error_of([&] { loss.backward(); }).find("second time"), std::string::npos);
}

TEST(ActivationCheckpoint, IvonStepsAreEqual) {
  std::vector<std::vector<Tensor>> results;
  for (const Call& call : {Call(checkpointed), kDirectly}) {
    Blocks blocks;
    ivon::IVON<> optimizer(blocks.parameters(), ivon::IVONOptions(0.1).ess(100));
    for (int step = 0; step < 3; ++step) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        blocks.forward(call, torch::ones({2, 6})).square().sum().backward();
      }
      optimizer.step();
    }
    results.push_back(blocks.parameters());
  }
  expect_same(results[0], results[1]);
}

TEST(ActivationCheckpoint, ExceptionOfTheSecondRunArrives) {
  int runs = 0;
  const Tensor x = torch::ones({2}, torch::requires_grad());
  const Tensor y = checkpointed(
      [&](const Tensor& in) {
        if (++runs == 2) throw std::out_of_range("the second run fails");
        return in * torch::rand({2});
      },
      x);
  torch::manual_seed(1);
  EXPECT_THROW(y.sum().backward(), std::out_of_range);
  const Tensor after = torch::rand({2});
  torch::manual_seed(1);
  EXPECT_TRUE(after.equal(torch::rand({2})));
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  EXPECT_TRUE(at::autocast::is_autocast_cache_enabled());
}

TEST(ActivationCheckpoint, GradientsOfGradientsAreAnError) {
  const Tensor x = torch::ones({2}, torch::requires_grad());
  const Tensor y = checkpointed([](const Tensor& in) { return in.square(); }, x);
  EXPECT_EQ(error_of([&] { torch::autograd::grad({y.sum()}, {x}, {}, true, true); }),
            "activation checkpointing: gradients of gradients are not supported, but the backward "
            "pass was started with create_graph; call the function without checkpointed()");
}

TEST(ActivationCheckpoint, WithoutGradientsItIsACall) {
  const torch::NoGradGuard no_grad;
  const Tensor x = torch::ones({2});
  EXPECT_TRUE(checkpointed([](const Tensor& in) { return in; }, x).is_same(x));
}

TEST(ActivationCheckpoint, OutputsWithoutGradientsAreReturned) {
  const Tensor x = torch::tensor({1.0, 3.0, 2.0}, torch::requires_grad());
  const Tensor index = checkpointed([](const Tensor& in) { return in.argmax(); }, x);
  EXPECT_EQ(index.item<int64_t>(), 1);
  const Tensor detached = checkpointed([](const Tensor& in) { return in.detach() * 2; }, x);
  EXPECT_FALSE(detached.requires_grad());
  EXPECT_TRUE(detached.equal(x.detach() * 2));
}

// Counts the bytes of tensors in the CPU's memory, as LibTorch's profiler does.
struct MemoryMeter : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    now += size;
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t now = 0, most = 0;
};

TEST(ActivationCheckpoint, KeepsTheInputsOnly) {
  Blocks blocks(64);
  const int64_t matrix = 1000 * 64 * 4;  // bytes of x and of each activation
  const auto measure = [&](const Call& call) {
    const auto meter = std::make_shared<MemoryMeter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    const Tensor y = blocks.forward(call, torch::ones({1000, 64}));
    const int64_t kept = meter->now;
    y.sum().backward();
    return std::pair(kept / matrix, meter->most / matrix);
  };
  const auto [kept, most] = measure(checkpointed);
  const auto [kept_directly, most_directly] = measure(kDirectly);
  EXPECT_EQ(kept, 5);            // x and four outputs, the inputs of the next blocks
  EXPECT_GE(kept_directly, 13);  // besides, what GELU and tanh keep
  EXPECT_LT(most, most_directly);
}

}  // namespace
