// SPDX-License-Identifier: Apache-2.0
// The state that the optimizer keeps for one parameter from step to step.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <ivon/values/archive_values.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// State of one parameter. Its tensors have the parameter's shape and memory order. They are
/// float64 for a float64 parameter and float32 for every other one.
class IVONParamState : public torch::optim::OptimizerCloneableParamState<IVONParamState> {
 public:
  /// h: running diagonal Hessian of the mean loss. hess + weight_decay > 0; hess itself may be < 0.
  TORCH_ARG(at::Tensor, hess);
  /// g: running average of the gradient, not debiased.
  TORCH_ARG(at::Tensor, momentum);
  /// m in float32; defined for bfloat16 and float16 parameters only. Such a parameter holds m
  /// rounded to its own dtype.
  TORCH_ARG(at::Tensor, mean);
  /// t: number of updates of this parameter so far.
  TORCH_ARG(int64_t, step) = 0;

 public:
  // The declarations say inline, not only the definitions. Otherwise these functions would be the
  // key functions of the class, and every file that includes this header would compile the table of
  // virtual functions and all that it refers to, which takes 2 s.
  /// Reads what the other overload wrote. Throws c10::Error if an entry is missing or has another
  /// type.
  inline void serialize(torch::serialize::InputArchive& archive) override;
  /// Writes `hess`, `momentum`, `step` and, where it is defined, `mean` to the archive.
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
