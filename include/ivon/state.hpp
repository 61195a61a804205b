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
  /// The mean m0 of a prior of the parameter's own, and undefined for 0. IVON::set_prior() sets it.
  TORCH_ARG(at::Tensor, prior_mean);
  /// The precision s0 > 0 of that prior, in the parameter's shape or 0-dimensional. Undefined means
  /// that the parameter has the prior of its group's weight_decay.
  TORCH_ARG(at::Tensor, prior_precision);
  /// t: number of updates of this parameter so far.
  TORCH_ARG(int64_t, step) = 0;

 public:
  // The declarations say inline, not only the definitions. Otherwise these functions would be the
  // key functions of the class, and every file that includes this header would compile the table of
  // virtual functions and all that it refers to, which takes 2 s.
  /// Reads what the other overload wrote. Throws c10::Error if an entry is missing or has another
  /// type.
  inline void serialize(torch::serialize::InputArchive& archive) override;
  /// Writes `hess`, `momentum`, `step` and the tensors that are defined to the archive.
  inline void serialize(torch::serialize::OutputArchive& archive) const override;
};

inline void IVONParamState::serialize(torch::serialize::OutputArchive& archive) const {
  archive.write("hess", hess(), /*is_buffer=*/true);
  archive.write("momentum", momentum(), /*is_buffer=*/true);
  const auto write_defined = [&archive](const char* key, const at::Tensor& tensor) {
    if (tensor.defined()) archive.write(key, tensor, /*is_buffer=*/true);
  };
  write_defined("mean", mean());
  write_defined("prior_mean", prior_mean());
  write_defined("prior_precision", prior_precision());
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
  if (archive.try_read("prior_mean", stored)) {
    prior_mean(detail::value_of<at::Tensor>(stored, "prior_mean"));
  }
  if (archive.try_read("prior_precision", stored)) {
    prior_precision(detail::value_of<at::Tensor>(stored, "prior_precision"));
  }
}

IVON_NAMESPACE_END
