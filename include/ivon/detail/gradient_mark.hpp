// SPDX-License-Identifier: Apache-2.0
// Remembers a gradient tensor and its contents' version, without keeping its memory alive.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <ivon/version.hpp>
#include <optional>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Version counter of a tensor: moves with every in-place write. Inference tensors have none.
inline int64_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0
                               : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

class GradientMark {
 public:
  GradientMark() = default;
  explicit GradientMark(const at::Tensor& gradient) {
    if (!gradient.defined()) return;
    tensor_.emplace(gradient.getIntrusivePtr());
    version_ = version_of(gradient);
  }

  /// The same tensor as the marked one, whatever it holds now. As long as the mark lives, no other
  /// tensor can take its address.
  bool same_tensor(const at::Tensor& gradient) const {
    return gradient.defined() && tensor_ &&
           tensor_->_unsafe_get_target() == gradient.unsafeGetTensorImpl();
  }
  /// The same tensor, not written since (both undefined counts).
  bool unchanged(const at::Tensor& gradient) const {
    if (!gradient.defined()) return !tensor_;
    return same_tensor(gradient) && version_ == version_of(gradient);
  }

  bool same_version(const GradientMark& other) const { return version_ == other.version_; }
  /// The same tensor, written exactly once since.
  bool written_once(const at::Tensor& gradient) const {
    return same_tensor(gradient) && version_of(gradient) == version_ + 1;
  }

 private:
  std::optional<c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>> tensor_;
  int64_t version_ = 0;
};

}  // namespace detail
IVON_NAMESPACE_END
