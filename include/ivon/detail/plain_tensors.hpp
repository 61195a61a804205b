// SPDX-License-Identifier: Apache-2.0
// The mode that the library computes in.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The library computes on ordinary tensors without gradients, wherever it is called from.
struct PlainTensors {
  c10::InferenceMode no_inference{false};
  at::NoGradGuard no_grad;
};

}  // namespace detail
IVON_NAMESPACE_END
