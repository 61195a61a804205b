// SPDX-License-Identifier: Apache-2.0
// A group's learning rate in device memory, where captured CUDA graphs read it (capturable).
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/options.hpp>
#include <ivon/values/learning_rate_link.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

class LearningRateOnDevice : public LearningRateListener {
 public:
  /// Queues the write of a new learning rate on every device that has a copy.
  void set(double learning_rate) override {
    const PlainTensors plain;
    for (Copy& copy : copies_) {
      copy.tensor.fill_(learning_rate);
      copy.value = learning_rate;
    }
  }

  /// Returns the address of the learning rate in the memory of `device`. If `captured`, a CUDA
  /// graph is being captured, and the learning rate must not be written now.
  const double* on(const at::Device& device, double learning_rate, bool captured) {
    for (Copy& copy : copies_) {
      if (copy.tensor.device() != device) continue;
      if (copy.value != learning_rate) {  // the user wrote through the reference accessor
        TORCH_CHECK(!captured,
                    "ivon: the learning rate was changed through lr()'s reference since the last "
                    "step; call lr(value) or set_lr(value) before capturing a CUDA graph");
        copy.tensor.fill_(learning_rate);
        copy.value = learning_rate;
      }
      return copy.tensor.const_data_ptr<double>();
    }
    const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
    copies_.push_back({at::empty({}, options).fill_(learning_rate), learning_rate});
    return copies_.back().tensor.const_data_ptr<double>();
  }

 private:
  struct Copy {
    at::Tensor tensor;  // one number in the memory of a device
    double value;       // the tensor's value after all queued writes
  };
  std::vector<Copy> copies_;  // one for each device
};

/// The learning rates of an optimizer's groups in device memory. They live as long as the
/// optimizer, because graphs may be replayed that long.
class LearningRatesOnDevice {
 public:
  LearningRateOnDevice& of(const IVONOptions& options) {
    if (const auto known = options.learning_rate_link().listener()) {
      return static_cast<LearningRateOnDevice&>(*known);
    }
    owned_.push_back(std::make_shared<LearningRateOnDevice>());
    options.learning_rate_link().connect(owned_.back());
    return *owned_.back();
  }

 private:
  std::vector<std::shared_ptr<LearningRateOnDevice>> owned_;
};

}  // namespace detail
IVON_NAMESPACE_END
