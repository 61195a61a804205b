// SPDX-License-Identifier: Apache-2.0
// What one parameter carries from step to step.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <ivon/detail/archive_values.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// State of one parameter. Its tensors have the parameter's shape and memory order and are float32,
/// float64 for a float64 parameter, whatever precision the parameter itself has.
class IVONParamState : public torch::optim::OptimizerCloneableParamState<IVONParamState> {
 public:
  /// h: running diagonal Hessian of the mean loss. hess + weight_decay > 0; hess itself may be < 0.
  TORCH_ARG(at::Tensor, hess);
  /// g: running average of the gradient, not debiased.
  TORCH_ARG(at::Tensor, momentum);
  /// m in full precision; defined for bfloat16 and float16 parameters only, which hold its
  /// rounding.
  TORCH_ARG(at::Tensor, mean);
  /// t: updates this parameter has had.
  TORCH_ARG(int64_t, step) = 0;

 public:
  // inline already here: otherwise it is the key function, and every file that includes this header
  // compiles the vtable and all it refers to (2 s).
  inline void serialize(torch::serialize::InputArchive& archive) override;
  inline void serialize(torch::serialize::OutputArchive& archive) const override;
};

inline void IVONParamState::serialize(torch::serialize::OutputArchive& archive) const {
  archive.write("hess", hess(), /*is_buffer=*/true);
  archive.write("momentum", momentum(), /*is_buffer=*/true);
  if (mean().defined()) archive.write("mean", mean(), /*is_buffer=*/true);
  archive.write("step", c10::IValue(step()));
}

inline void IVONParamState::serialize(torch::serialize::InputArchive& archive) {
  const auto read = [&archive](const char* key, c10::IValue& stored) {
    TORCH_CHECK(archive.try_read(key, stored),
                "ivon: the archive holds an incomplete parameter state; it is damaged");
  };
  c10::IValue stored;
  read("hess", stored);
  hess(detail::value_of<at::Tensor>(stored, "hess"));
  read("momentum", stored);
  momentum(detail::value_of<at::Tensor>(stored, "momentum"));
  read("step", stored);
  step(detail::value_of<int64_t>(stored, "step"));
  if (archive.try_read("mean", stored)) mean(detail::value_of<at::Tensor>(stored, "mean"));
}

IVON_NAMESPACE_END
