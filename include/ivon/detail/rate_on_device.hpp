// SPDX-License-Identifier: Apache-2.0
// A group's learning rate in device memory, where captured CUDA graphs read it (capturable).
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <ivon/detail/plain_tensors.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Belongs to one object: a copy of its owner gets none, an assignment to its owner changes
/// nothing.
class RateOnDevice {
 public:
  RateOnDevice() = default;
  RateOnDevice(const RateOnDevice&) {}
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment)
  RateOnDevice& operator=(const RateOnDevice&) { return *this; }
  ~RateOnDevice() = default;

  /// Queues the write of a new rate on every device that has one.
  void set(double rate) {
    const PlainTensors plain;
    for (auto& [tensor, value] : rates_) {
      tensor.fill_(rate);
      value = rate;
    }
  }

  /// The rate in the memory of a device. `captured`: a graph that is captured now will read it, so
  /// nothing may be written.
  const double* on(const at::Device& device, double rate, bool captured) {
    for (auto& [tensor, value] : rates_) {
      if (tensor.device() != device) continue;
      if (value != rate) {  // set through the reference accessor
        TORCH_CHECK(!captured,
                    "ivon: the learning rate was changed through lr()'s reference since the last "
                    "step; call lr(value) or set_lr(value) before capturing a CUDA graph");
        tensor.fill_(rate);
        value = rate;
      }
      return tensor.const_data_ptr<double>();
    }
    const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
    rates_.emplace_back(at::empty({}, options).fill_(rate), rate);
    return rates_.back().first.const_data_ptr<double>();
  }

 private:
  std::vector<std::pair<at::Tensor, double>> rates_;  // one a device, and what it holds
};

}  // namespace detail
IVON_NAMESPACE_END
