// SPDX-License-Identifier: Apache-2.0
// What users may do to tensors between two calls, legally, that would lose weights or falsify an
// update: tying, re-pointing, negated gradients, a second optimizer, partial writes.
#include <ivon/ivon.hpp>

#include "pch.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::OneThread;
using ivon_test::same_bits;

IVONOptions options(bool on_step = false) {
  return IVONOptions(0.1).ess(100).beta2(0.9).sample_on_step(on_step);
}

torch::Tensor ramp(int64_t size, double from = -1, double to = 1) {
  return torch::linspace(from, to, size).requires_grad_();
}

void predict_once(IVON<>& optimizer) {
  torch::NoGradGuard no_grad;
  const auto sample = optimizer.sampled_params();
}

void backward(const torch::Tensor& weight) { weight.pow(3).sum().backward(); }

void train_once(IVON<>& optimizer, const torch::Tensor& weight) {
  optimizer.zero_grad();
  {
    const auto sample = optimizer.sampled_params();
    backward(weight);
  }
  optimizer.step();
}

// --- parameters that share memory ---------------------------------------------------------------

constexpr const char* kOverlap =
    "ivon: parameter 0 (group 0, shape [6]) and parameter 1 (group 0, shape [6]) are distinct "
    "tensors that overlap in memory; pass the one that holds both";

TEST(SharedMemory, TiedBySetDataAfterConstructionIsRefused) {
  for (const bool used_before : {false, true}) {
    auto a = ramp(6), b = ramp(6, 2, 3);
    const auto before = a.detach().clone();
    IVON optimizer({a, b}, options());
    if (used_before) predict_once(optimizer);
    b.set_data(a);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(message_of([&] { predict_once(optimizer); }), kOverlap);
      EXPECT_EQ(message_of([&] { const auto sample = optimizer.sampled_params(); }), kOverlap);
    }
    EXPECT_TRUE(same_bits(a, before)) << "no weight moved";
    b.set_data(b.detach().clone());  // untied again
    train_once(optimizer, a);
  }
}

TEST(SharedMemory, TiedByOneBlockOfUserMemoryIsRefused) {
  std::vector<float> memory(12, 0.5F);
  auto a = ramp(6), b = ramp(6);
  IVON optimizer({a, b}, options());
  predict_once(optimizer);
  a.set_data(torch::from_blob(memory.data(), {6}));
  b.set_data(torch::from_blob(memory.data() + 5, {6}));  // one element in common
  EXPECT_EQ(message_of([&] { predict_once(optimizer); }), kOverlap);
  b.set_data(torch::from_blob(memory.data() + 6, {6}));
  predict_once(optimizer);
}

TEST(SharedMemory, UnderSampleOnStepIsUndone) {
  const OneThread one_thread;
  auto a = ramp(6), b = ramp(6, 2, 3);
  IVON optimizer({a, b}, options(true));
  optimizer.eval();
  b.set_data(a);
  EXPECT_EQ(message_of([&] { optimizer.train(); }), kOverlap);
  EXPECT_TRUE(same_bits(a, torch::linspace(-1, 1, 6)));
  b.set_data(b.detach().clone());
  optimizer.train();
  backward(a);
  optimizer.step();
}

TEST(SharedMemory, ColumnsOfOneMatrixAreLegal) {
  auto matrix = torch::zeros({5, 3});
  auto a = matrix.select(1, 0).requires_grad_(), b = matrix.select(1, 2).requires_grad_();
  IVON optimizer({a, b}, options());
  train_once(optimizer, a);
  b.set_data(matrix.select(1, 1));
  train_once(optimizer, b);
  EXPECT_TRUE(same_bits(matrix.select(1, 2), torch::zeros({5})));
}

TEST(SharedMemory, SlicesOfOneStorageMayComeInSeveralGroups) {
  using torch::optim::OptimizerParamGroup;
  auto storage = torch::zeros({24});
  const auto slice = [&](int64_t from) { return storage.narrow(0, from, 6).requires_grad_(); };
  for (const bool on_step : {false, true}) {
    auto a = slice(0), b = slice(6), c = slice(12);
    IVON optimizer({a}, options(on_step));
    optimizer.add_param_group(OptimizerParamGroup({b, c}));
    IVON_EXPECT_ERROR(optimizer.add_param_group(OptimizerParamGroup({slice(17)})),
                      "are distinct tensors that overlap in memory");
    EXPECT_EQ(optimizer.param_groups().size(), 2U) << "refused before anything changed";
    optimizer.param_groups()[1].params() = {b};
    optimizer.add_param_group(OptimizerParamGroup({slice(14)}));  // in the place of one that left
    optimizer.eval();
  }
}

TEST(SharedMemory, NegatedParametersAreRefused) {
  auto z = torch::complex(ramp(4), ramp(4)).detach();
  auto negated = torch::imag(z.conj()).requires_grad_();
  ASSERT_TRUE(negated.is_neg());
  const std::string message =
      "ivon: parameter 0 (group 0, shape [4]) must hold its own values, but it is a negated view "
      "(is_neg()); pass resolve_neg() of it";
  EXPECT_EQ(message_of([&] { IVON optimizer({negated}, options()); }), message);
  auto weight = ramp(4);
  IVON optimizer({weight}, options());
  weight.set_data(negated.detach());
  EXPECT_EQ(message_of([&] { predict_once(optimizer); }), message);
}

// --- gradients with the negative bit, or without memory -----------------------------------------

torch::Tensor negated_view(const torch::Tensor& of) {
  return torch::imag(torch::complex(torch::zeros_like(of), -of).conj());
}

// The state after one step with that gradient.
ivon::IVONParamState state_after(torch::Tensor (*gradient)(), int samples, bool on_step) {
  auto weight = ramp(gradient().numel());
  IVON optimizer({weight}, options(on_step));
  optimizer.manual_seed(3);
  for (int s = 0; s < samples; ++s) {
    if (on_step) {
      weight.mutable_grad() = gradient();
    } else {
      const auto sample = optimizer.sampled_params();
      weight.mutable_grad() = gradient();
    }
  }
  optimizer.step();
  ivon::IVONParamState state = optimizer.param_state(weight);
  return state.mean(optimizer.mean(weight));
}

void expect_same_state(const ivon::IVONParamState& a, const ivon::IVONParamState& b) {
  EXPECT_TRUE(same_bits(a.hess(), b.hess()));
  EXPECT_TRUE(same_bits(a.momentum(), b.momentum()));
  EXPECT_TRUE(same_bits(a.mean(), b.mean()));
}

TEST(Gradients, WithTheNegativeBitAreReadWithTheirSign) {
  const OneThread one_thread;
  const auto gradient = [] { return torch::linspace(0.5, 1, 8); };
  const auto negated = [] { return negated_view(torch::linspace(0.5, 1, 8)); };
  ASSERT_TRUE(negated().is_neg());
  ASSERT_TRUE(same_bits(negated().resolve_neg(), gradient()));
  for (const bool on_step : {false, true}) {
    expect_same_state(state_after(negated, 1, on_step), state_after(gradient, 1, on_step));
  }
  expect_same_state(state_after(negated, 2, false), state_after(gradient, 2, false));
}

TEST(Gradients, OfAComplexLossAreReadWithTheirSign) {
  auto weight = torch::ones({1}).requires_grad_(), same = torch::ones({1}).requires_grad_();
  IVON optimizer({weight}, options());
  {
    const auto sample = optimizer.sampled_params();
    // d/dw of Im(conj(i w)) = -w
    torch::imag(torch::complex(torch::zeros({1}), weight).conj()).sum().backward();
  }
  EXPECT_EQ(weight.grad().item<float>(), -1);
  optimizer.step();
  EXPECT_LT(optimizer.param_state(weight).momentum().item<float>(), 0);
}

TEST(Gradients, ZeroTensorsAreZeros) {
  const OneThread one_thread;
  for (const bool on_step : {false, true}) {
    expect_same_state(state_after([] { return torch::_efficientzerotensor({8}); }, 1, on_step),
                      state_after([] { return torch::zeros({8}); }, 1, on_step));
  }
}

// --- two optimizers on the same parameters ------------------------------------------------------

constexpr const char* kShownByScope =
    "ivon: parameter 0 (group 0, shape [8]) must hold its own value, but it shows a sample of "
    "another optimizer; end the scope of that one's sampled_params() first";

TEST(TwoOptimizers, WhileOneShowsASampleTheOtherIsRefused) {
  auto weight = ramp(8);
  const auto before = weight.detach().clone();
  IVON first({weight}, options()), second({weight}, options());
  train_once(second, weight);
  const auto trained = weight.detach().clone();
  ASSERT_FALSE(same_bits(trained, before));
  second.zero_grad();
  {
    const auto sample = second.sampled_params();  // a sample that is pending afterwards
    backward(weight);
  }
  {
    const auto sample = first.sampled_params();
    EXPECT_EQ(message_of([&] { predict_once(second); }), kShownByScope);
    EXPECT_EQ(message_of([&] { second.step(); }), kShownByScope);
    EXPECT_EQ(message_of([&] { (void)second.mean(weight); }), kShownByScope);
    EXPECT_EQ(message_of([&] { IVON third({weight}, options()); }), kShownByScope);
    std::stringstream file;
    torch::save(IVON({ramp(8)}, options()), file);
    EXPECT_EQ(message_of([&] { torch::load(second, file); }), kShownByScope);
  }
  EXPECT_TRUE(same_bits(weight, trained)) << "the mean came back";
  second.step();  // the pending sample is still there
  EXPECT_FALSE(same_bits(weight, trained));
}

TEST(TwoOptimizers, AliasesOfOneStorageAreNoticed) {
  auto weight = ramp(8);
  auto alias = weight.detach().requires_grad_();
  auto half = weight.detach().narrow(0, 0, 4).requires_grad_();
  IVON first({weight}, options()), second({alias}, options()), third({half}, options());
  const auto sample = first.sampled_params();
  EXPECT_EQ(message_of([&] { predict_once(second); }), kShownByScope);
  IVON_EXPECT_ERROR(predict_once(third), "it shows a sample of another optimizer");
}

TEST(TwoOptimizers, OnDifferentParametersMayShowAtOnce) {
  auto storage = torch::zeros({16});
  auto a = storage.narrow(0, 0, 8).requires_grad_(), b = storage.narrow(0, 8, 8).requires_grad_();
  IVON first({a}, options()), second({b}, options()), third({ramp(3)}, options(true));
  {
    const auto outer = first.sampled_params();
    {
      const auto inner = second.sampled_params();
      backward(a + b);
    }
    second.step();
  }
  first.step();
  EXPECT_EQ(first.param_state(a).step(), 1);
  EXPECT_EQ(second.param_state(b).step(), 1);
}

TEST(TwoOptimizers, WithSampleOnStepGetAdviceThatCanBeFollowed) {
  auto weight = ramp(8);
  IVON first({weight}, options(true));
  EXPECT_EQ(message_of([&] { IVON second({weight}, options(true)); }),
            "ivon: parameter 0 (group 0, shape [8]) must hold its own value, but it shows a sample "
            "of another optimizer (sample_on_step); call that one's eval() or destroy it first. "
            "Two optimizers with sample_on_step cannot train one parameter: list it in one");
  first.eval();
  IVON second({weight}, options());
  train_once(second, weight);
  first.train();
}

// --- memory given to a parameter between the scope's end and step() -----------------------------

// h after one step in which the mean was replaced between scope and step() by `replace`.
torch::Tensor hess_after(void (*replace)(torch::Tensor&), int samples = 1) {
  auto weight = torch::linspace(-1, 1, 12).view({3, 4}).requires_grad_();
  IVON optimizer({weight}, options());
  optimizer.manual_seed(3);
  for (int s = 0; s < samples; ++s) {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      backward(weight);
    }
    replace(weight);
  }
  optimizer.step();
  EXPECT_LT((optimizer.mean(weight) - 7).abs().max().item<double>(), 5) << "the new mean counts";
  return optimizer.param_state(weight).hess().clone();
}

TEST(MemoryReplacedBeforeStep, IsTheNewMeanAndDoesNotFalsifyTheNoise) {
  const OneThread one_thread;
  const auto copy = [](torch::Tensor& weight) {
    torch::NoGradGuard no_grad;
    weight.copy_(torch::full({3, 4}, 7.0F));
  };
  const auto set_data = [](torch::Tensor& weight) { weight.set_data(torch::full({3, 4}, 7.0F)); };
  const auto other_strides = [](torch::Tensor& weight) {
    weight.set_data(torch::full({4, 3}, 7.0F).t());
  };
  const auto storage = [](torch::Tensor& weight) {
    auto replacement = torch::full({3, 4}, 7.0F);
    weight.storage().set_data_ptr(
        replacement.storage().set_data_ptr(at::DataPtr(nullptr, weight.device())));
  };
  for (const int samples : {1, 2}) {
    const auto expected = hess_after(copy, samples);
    EXPECT_TRUE(same_bits(hess_after(set_data, samples), expected)) << samples;
    EXPECT_TRUE(same_bits(hess_after(storage, samples), expected)) << samples;
  }
  // By tensor expressions, which round differently from the kernels.
  EXPECT_LT(ivon_test::relative_error(hess_after(other_strides), hess_after(copy)),
            ivon_test::tolerance::kFusedFloat32Hess);
}

// --- masked writes under sample_on_step ---------------------------------------------------------

TEST(MaskedWrites, PruningMostOfAWeightKeepsTheMeanOfTheRest) {
  const OneThread one_thread;
  auto weight = ramp(10);
  IVON optimizer({weight}, options(true));
  backward(weight);
  optimizer.step();
  const auto mean = optimizer.mean(weight);
  const auto pruned = torch::arange(10) < 6;
  {
    torch::NoGradGuard no_grad;
    weight.masked_fill_(pruned, 0);
  }
  IVON_EXPECT_ERROR(optimizer.zero_grad(), "was written while it showed a sample");
  EXPECT_TRUE(same_bits(optimizer.mean(weight), mean.masked_fill(pruned, 0)));
}

// --- tensors that left the groups ---------------------------------------------------------------

TEST(TensorsThatLeft, WithASampleThatWaitsLoseNothing) {
  auto kept = ramp(4), removed = ramp(5);
  IVON optimizer({kept, removed}, options()), straight({ramp(4), ramp(5)}, options());
  for (IVON<>* each : {&optimizer, &straight}) {
    each->manual_seed(2);
    const auto tensors = each->param_groups()[0].params();
    const auto sample = each->sampled_params();
    backward(tensors[0]);
    backward(tensors[1]);
  }
  auto& params = optimizer.param_groups()[0].params();
  params.pop_back();
  predict_once(optimizer);  // reads the list and the gradients of the sample
  predict_once(straight);
  params.push_back(removed);
  optimizer.step();
  straight.step();
  const auto& expected = straight.param_groups()[0].params();
  EXPECT_TRUE(same_bits(kept, expected[0]));
  EXPECT_TRUE(same_bits(removed, expected[1]));
}

TEST(TensorsThatLeft, AreFreedAndThoseThatComeBackKeepTheirState) {
  for (const bool on_step : {false, true}) {
    auto kept = ramp(4), removed = ramp(5);
    IVON optimizer({kept, removed}, options(on_step));
    const auto iterate = [&](const torch::Tensor& weight) {
      optimizer.zero_grad();
      if (on_step) {
        optimizer.train();
        backward(weight);
      } else {
        const auto sample = optimizer.sampled_params();
        backward(weight);
      }
      optimizer.step();
    };
    iterate(removed);
    auto& params = optimizer.param_groups()[0].params();
    params[1] = ramp(6);
    iterate(kept);
    EXPECT_TRUE(same_bits(removed, removed.detach().clone()));
    params[1] = removed;
    iterate(removed);
    EXPECT_EQ(optimizer.param_state(removed).step(), 2) << "came back";

    std::vector<c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>> replaced;
    for (int i = 0; i < 20; ++i) {
      params[1] = ramp(7);
      replaced.emplace_back(params[1].getIntrusivePtr());
      iterate(params[1]);
      EXPECT_EQ(optimizer.param_state(params[1]).step(), 1) << "no state of an earlier tensor";
    }
    size_t alive = 0;
    for (const auto& each : replaced) alive += each.expired() ? 0 : 1;
    EXPECT_LE(alive, 2U);
  }
}

}  // namespace
