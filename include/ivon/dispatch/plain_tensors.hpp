// SPDX-License-Identifier: Apache-2.0
// A guard that sets the mode of LibTorch in which the library computes.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// While it lives, operations make ordinary tensors and record no gradients, whatever mode the
/// caller has set.
struct PlainTensors {
  c10::InferenceMode no_inference{false};
  at::NoGradGuard no_grad;
};

}  // namespace detail
IVON_NAMESPACE_END
