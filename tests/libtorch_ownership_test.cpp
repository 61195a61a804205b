// SPDX-License-Identifier: Apache-2.0
// Who holds the optimizer must not matter: member, moved, on the heap, destroyed before its scope.

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "xor.hpp"

namespace {

using namespace ivon_test;  // NOLINT: the helpers of this file

class LibtorchOwnership : public ::testing::Test {
  OneThread one_thread_;
};

struct Trainer {  // an optimizer as a member
  torch::nn::Sequential model = xor_model();
  ivon::IVON<> optimizer{model->parameters(), xor_options()};
};

TEST_F(LibtorchOwnership, MemberMovedAndHeapAllocatedTrainTheSame) {
  Trainer member;
  member.optimizer.manual_seed(11);
  train_xor(member.optimizer, member.model, 6);

  Trainer source;
  source.optimizer.manual_seed(11);
  train_xor(source.optimizer, source.model, 3);
  ivon::IVON<> moved(std::move(source.optimizer));
  train_xor(moved, source.model, 3);
  expect_same(member.model->parameters(), source.model->parameters());

  auto heap_model = xor_model();
  const auto heap = std::make_unique<ivon::IVON<>>(heap_model->parameters(), xor_options());
  heap->manual_seed(11);
  train_xor(*heap, heap_model, 6);
  expect_same(member.model->parameters(), heap_model->parameters());
}

TEST_F(LibtorchOwnership, MovedWithAPendingSampleAndWithALivingScope) {
  auto plain_model = xor_model();
  ivon::IVON<> plain(plain_model->parameters(), xor_options());
  plain.manual_seed(5);
  train_xor(plain, plain_model, 2);

  auto model = xor_model();
  ivon::IVON<> first(model->parameters(), xor_options());
  first.manual_seed(5);
  const auto mean = copies(model->parameters());
  auto scope = std::make_unique<ivon::SampledParams>(first.sampled_params());
  ivon::IVON<> second(std::move(first));  // while the scope lives
  xor_loss(model).backward();
  scope.reset();
  expect_same(mean, model->parameters());
  ivon::IVON<> third(std::move(second));  // while the sample is pending
  third.step();
  train_xor(third, model, 1);
  expect_same(plain_model->parameters(), model->parameters());
}

TEST_F(LibtorchOwnership, TheScopeOutlivesTheOptimizer) {
  auto model = xor_model();
  const auto mean = copies(model->parameters());
  {
    auto optimizer = std::make_unique<ivon::IVON<>>(model->parameters(), xor_options());
    const auto scope = optimizer->sampled_params();
    optimizer.reset();
  }
  expect_same(mean, model->parameters());
}

TEST_F(LibtorchOwnership, IsNotCopied) {
  static_assert(!std::is_copy_constructible_v<ivon::IVON<>>);
  static_assert(!std::is_copy_assignable_v<ivon::IVON<>>);
  static_assert(std::is_move_constructible_v<ivon::IVON<>>);
  static_assert(!std::is_copy_constructible_v<ivon::SampledParams>);
  static_assert(std::is_move_constructible_v<ivon::SampledParams>);
  static_assert(std::is_nothrow_destructible_v<ivon::SampledParams>);
  static_assert(std::is_base_of_v<torch::optim::Optimizer, ivon::IVON<>>);
}

}  // namespace
