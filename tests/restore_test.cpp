// SPDX-License-Identifier: Apache-2.0
// The mean comes back bit for bit: every way out of a scope, every dtype and layout, every trap of
// switched storages.
#include <ATen/autocast_mode.h>
#include <ATen/ops/_lazy_clone.h>

#include <functional>
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;

IVONOptions options() { return IVONOptions(0.1).ess(100); }

struct Layout {
  std::string name;
  std::function<torch::Tensor(at::ScalarType)> make;
  bool switches;  // by pointer; otherwise by copy
};

torch::Tensor values(at::IntArrayRef shape, at::ScalarType dtype) {
  return torch::randn(shape, torch::dtype(torch::kDouble)).to(dtype);
}

std::vector<Layout> layouts() {
  return {
      {"contiguous",
       [](auto t) {
         return values({7, 5}, t);
       },
       true},
      {"large", [](auto t) { return values({100'003}, t); }, true},
      {"zero_dim", [](auto t) { return values({}, t); }, true},
      {"empty",
       [](auto t) {
         return values({0, 3}, t);
       },
       true},
      {"channels_last",
       [](auto t) {
         return values({4, 3, 2, 2}, t).contiguous(at::MemoryFormat::ChannelsLast);
       },
       true},
      {"transposed",
       [](auto t) {
         return values({5, 7}, t).t();
       },
       true},
      {"slice_of_storage",
       [](auto t) {
         return values({64}, t).narrow(0, 16, 20).view({4, 5});
       },
       false},
      {"columns",
       [](auto t) {
         return values({6, 8}, t).narrow(1, 2, 3);
       },
       false},
      {"strided", [](auto t) { return values({40}, t).slice(0, 1, 40, 3); }, false},
  };
}

class Restore : public testing::TestWithParam<std::tuple<Layout, at::ScalarType>> {
 protected:
  void SetUp() override {
    torch::manual_seed(ivon_test::kSeed);
    parameter_ = std::get<0>(GetParam()).make(std::get<1>(GetParam())).detach().requires_grad_();
    alias_ = parameter_.detach();  // a tied weight, a view, an exporter's handle
    mean_ = parameter_.detach().clone();
    strides_ = parameter_.strides().vec();
    address_ = parameter_.const_data_ptr();
    optimizer_ = std::make_unique<IVON<>>(std::vector<torch::Tensor>{parameter_}, options());
  }
  void expect_mean() {
    EXPECT_TRUE(same_bits(parameter_, mean_));
    EXPECT_TRUE(same_bits(alias_, mean_));
    EXPECT_EQ(parameter_.strides().vec(), strides_);
    EXPECT_EQ(parameter_.const_data_ptr(), address_);
  }
  void expect_sample() {
    if (parameter_.numel() == 0) return;
    EXPECT_FALSE(same_bits(parameter_, mean_));
    EXPECT_TRUE(same_bits(alias_, parameter_)) << "aliases follow";
  }

  torch::Tensor parameter_, alias_, mean_;
  std::vector<int64_t> strides_;
  const void* address_ = nullptr;
  std::unique_ptr<IVON<>> optimizer_;
};

TEST_P(Restore, AfterEveryWayOut) {
  {
    auto sample = optimizer_->sampled_params();
    expect_sample();
  }
  expect_mean();
  try {
    auto sample = optimizer_->sampled_params();
    expect_sample();
    throw std::runtime_error("");
  } catch (const std::runtime_error&) {
  }
  expect_mean();
  const auto returns_early = [&](bool early) {
    auto sample = optimizer_->sampled_params();
    if (early) return 1;
    return 2;
  };
  EXPECT_EQ(returns_early(true), 1);
  expect_mean();
  {
    torch::NoGradGuard no_grad;
    auto sample = optimizer_->sampled_params();
    expect_sample();
  }
  expect_mean();
  {
    c10::InferenceMode inference;
    auto sample = optimizer_->sampled_params();
    expect_sample();
  }
  expect_mean();
}

TEST_P(Restore, AfterWritesInsideTheScope) {
  {
    auto sample = optimizer_->sampled_params();
    torch::NoGradGuard no_grad;
    parameter_.fill_(3.0);
  }
  expect_mean();
}

TEST_P(Restore, AfterReplacementInsideTheScope) {
  {
    auto sample = optimizer_->sampled_params();
    parameter_.set_data(torch::zeros({2, 2}));
  }
  expect_mean();
  EXPECT_NE(message_of([&] { optimizer_->zero_grad(); }).find("resized or re-pointed"),
            std::string::npos);
}

TEST_P(Restore, AliasesFollowTheUpdate) {
  {
    auto sample = optimizer_->sampled_params();
    parameter_.mutable_grad() = torch::ones_like(parameter_);
  }
  optimizer_->step();
  EXPECT_TRUE(same_bits(alias_, parameter_));
  if (parameter_.numel() > 0) {
    EXPECT_FALSE(same_bits(parameter_, mean_));
  }
}

std::string case_name(const testing::TestParamInfo<Restore::ParamType>& info) {
  return std::get<0>(info.param).name + "_" + c10::toString(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(LayoutsAndDtypes, Restore,
                         testing::Combine(testing::ValuesIn(layouts()),
                                          testing::Values(at::kFloat, at::kDouble, at::kBFloat16,
                                                          at::kHalf)),
                         case_name);

// All layouts draw the same values in row-major order where memory order is row-major, so the
// copying route can be compared with the switching one.
TEST(RestoreRoutes, CopyingAndSwitchingGiveTheSame) {
  auto own = torch::linspace(-1, 1, 20).view({4, 5}).requires_grad_();
  auto storage = torch::zeros({64});
  auto slice = storage.narrow(0, 16, 20).view({4, 5}).detach();
  slice.copy_(own.detach());
  slice.requires_grad_();
  const auto train = [](torch::Tensor weight) {
    IVON optimizer({weight}, options().beta2(0.9));
    optimizer.manual_seed(1);
    for (int i = 0; i < 5; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        weight.pow(3).sum().backward();
      }
      optimizer.step();
    }
    return optimizer.param_state(weight).hess().clone();
  };
  EXPECT_TRUE(same_bits(train(own), train(slice)));
  EXPECT_TRUE(same_bits(own, slice));
  EXPECT_EQ(storage.narrow(0, 0, 16).abs().sum().item<float>(), 0) << "neighbours untouched";
  EXPECT_EQ(storage.narrow(0, 36, 28).abs().sum().item<float>(), 0);
}

// cuDNN's flattened RNN weights: all parameters are views of one storage.
TEST(RestoreRoutes, FlattenedRnnWeights) {
  torch::manual_seed(1);
  torch::nn::LSTM plain(3, 4);
  torch::nn::LSTM flat(3, 4);
  int64_t total = 0;
  for (const auto& parameter : plain->parameters()) total += parameter.numel();
  auto storage = torch::empty({total});
  int64_t offset = 0;
  auto targets = flat->parameters();
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto source = plain->parameters()[i];
    auto view = storage.narrow(0, offset, source.numel()).view(source.sizes());
    view.copy_(source.detach());
    targets[i].set_data(view);
    offset += source.numel();
  }
  const auto train = [](torch::nn::LSTM& model) {
    IVON optimizer(model->parameters(), options());
    optimizer.manual_seed(2);
    for (int i = 0; i < 3; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        std::get<0>(model->forward(torch::ones({5, 2, 3}))).pow(2).mean().backward();
      }
      optimizer.step();
    }
  };
  train(plain);
  train(flat);
  for (size_t i = 0; i < targets.size(); ++i) {
    EXPECT_TRUE(same_bits(plain->parameters()[i], targets[i])) << i;
    EXPECT_EQ(targets[i].storage().unsafeGetStorageImpl(),
              storage.storage().unsafeGetStorageImpl());
  }
}

TEST(RestoreRoutes, TiedModules) {
  torch::nn::Linear embedding(4, 4), head(4, 4);
  head->weight = embedding->weight;
  auto parameters = embedding->parameters();
  for (const auto& parameter : head->parameters()) parameters.push_back(parameter);
  IVON optimizer(parameters, options());
  const auto mean = embedding->weight.detach().clone();
  {
    auto sample = optimizer.sampled_params();
    EXPECT_TRUE(same_bits(head->weight, embedding->weight));
    EXPECT_FALSE(same_bits(head->weight, mean));
    head->forward(embedding->forward(torch::ones({2, 4}))).sum().backward();
  }
  EXPECT_TRUE(same_bits(head->weight, mean));
  EXPECT_TRUE(same_bits(embedding->weight, mean));
}

// --- the traps of switched storages -------------------------------------------------------------

TEST(RestoreTraps, CopyOnWriteCloneOfTheMean) {
  auto weight = torch::randn({32}).requires_grad_();
  IVON optimizer({weight}, options());
  const auto clone = at::_lazy_clone(weight.detach());
  const auto mean = weight.detach().clone();
  {
    auto sample = optimizer.sampled_params();
    EXPECT_TRUE(same_bits(clone, mean));
    EXPECT_FALSE(same_bits(weight, mean));
  }
  EXPECT_TRUE(same_bits(weight, mean));
  EXPECT_TRUE(same_bits(clone, mean));
}

TEST(RestoreTraps, CopyOnWriteCloneOfTheSample) {
  auto weight = torch::randn({32}).requires_grad_();
  IVON optimizer({weight}, options());
  const auto mean = weight.detach().clone();
  at::Tensor clone, theta;
  {
    auto sample = optimizer.sampled_params();
    clone = at::_lazy_clone(weight.detach());
    theta = weight.detach().clone();
  }
  EXPECT_TRUE(same_bits(weight, mean));
  EXPECT_TRUE(same_bits(clone, theta));
  { auto sample = optimizer.sampled_params(); }  // writes the second buffer anew
  EXPECT_TRUE(same_bits(clone, theta));
  EXPECT_TRUE(same_bits(weight, mean));
}

TEST(RestoreTraps, ResizeInsideTheScope) {
  for (const int64_t size : {int64_t{1000}, int64_t{1}}) {
    auto weight = torch::randn({4}).requires_grad_();
    IVON optimizer({weight}, options());
    const auto mean = weight.detach().clone();
    {
      auto sample = optimizer.sampled_params();
      auto data = weight.variable_data();
      data.resize_({size});  // the storage grows under the parameter
      weight.set_data(data);
    }
    EXPECT_TRUE(same_bits(weight, mean)) << size;
    EXPECT_EQ(weight.storage().nbytes(), 16u);
    EXPECT_NE(message_of([&] { optimizer.step(); }).find("resized or re-pointed"),
              std::string::npos);
    for (int i = 0; i < 2; ++i) {  // goes on
      auto sample = optimizer.sampled_params();
      EXPECT_FALSE(same_bits(weight, mean));
    }
    EXPECT_TRUE(same_bits(weight, mean));
  }
}

TEST(RestoreTraps, ModuleMovedToAnotherDtypeInsideTheScope) {
  torch::nn::Linear model(3, 2);
  IVON optimizer(model->parameters(), options());
  const auto mean = model->weight.detach().clone();
  {
    auto sample = optimizer.sampled_params();
    model->to(torch::kDouble);
  }
  EXPECT_TRUE(same_bits(model->weight, mean));
  EXPECT_NE(message_of([&] { optimizer.step(); }).find("resized or re-pointed"), std::string::npos);
}

// Autocast caches a weight's bfloat16 copy by tensor and would go on using the last one.
TEST(RestoreTraps, AutocastUsesTheWeightsThatAreShown) {
  auto weight = torch::randn({8, 8}).requires_grad_();
  const auto input = torch::randn({4, 8});
  IVON optimizer({weight}, options());
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::increment_nesting();  // as the scope of autocast does: the cache lives on between
                                      // forwards
  const auto expected = [&] {
    return at::mm(input.to(at::kBFloat16), weight.detach().to(at::kBFloat16));
  };
  const auto forward = [&] { return at::mm(input, weight).detach(); };
  EXPECT_TRUE(same_bits(forward(), expected()));
  {
    auto sample = optimizer.sampled_params();
    EXPECT_TRUE(same_bits(forward(), expected()));
  }
  EXPECT_TRUE(same_bits(forward(), expected()));
  at::autocast::decrement_nesting();
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

TEST(RestoreTraps, StorageOwnedByTheUser) {
  std::vector<float> memory(16, 1.0f);
  bool deleted = false;
  {
    auto weight =
        torch::from_blob(memory.data(), {16}, [&](void*) { deleted = true; }).requires_grad_();
    IVON optimizer({weight}, options());
    {
      auto sample = optimizer.sampled_params();
      weight.pow(2).sum().backward();
      EXPECT_EQ(memory[0], 1.0f) << "the mean stays where the user put it";
    }
    EXPECT_EQ(weight.const_data_ptr(), memory.data());
    optimizer.step();
    EXPECT_NE(memory[0], 1.0f);
  }
  EXPECT_TRUE(deleted);
}

}  // namespace
