// SPDX-License-Identifier: Apache-2.0
// Reads the gradient of a parameter and notices whether it changed.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/sampling/parameter_checks.hpp>
#include <ivon/version.hpp>
#include <optional>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Returns the version counter of a tensor, which every in-place write increments. Inference
/// tensors have no counter; for them it returns 0.
inline int64_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0
                               : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

/// Remembers a gradient tensor and the version of its contents, without keeping its memory alive.
class GradientMark {
 public:
  GradientMark() = default;
  explicit GradientMark(const at::Tensor& gradient) {
    if (!gradient.defined()) return;
    tensor_.emplace(gradient.getIntrusivePtr());
    version_ = version_of(gradient);
  }

  /// Whether `gradient` is the marked tensor, whatever values it holds now. As long as the mark
  /// lives, no other tensor can get the address of the marked one.
  bool same_tensor(const at::Tensor& gradient) const {
    return gradient.defined() && tensor_ &&
           tensor_->_unsafe_get_target() == gradient.unsafeGetTensorImpl();
  }
  /// Whether `gradient` is the marked tensor and was not written since. Also true if both are
  /// undefined.
  bool unchanged(const at::Tensor& gradient) const {
    if (!gradient.defined()) return !tensor_;
    return same_tensor(gradient) && version_ == version_of(gradient);
  }

  bool same_version(const GradientMark& other) const { return version_ == other.version_; }
  /// Whether `gradient` is the marked tensor and was written exactly once since.
  bool written_once(const at::Tensor& gradient) const {
    return same_tensor(gradient) && version_of(gradient) == version_ + 1;
  }

 private:
  std::optional<c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>> tensor_;
  int64_t version_ = 0;
};

/// Returns the same as tensor.grad(), without the check whether the tensor is a leaf.
inline const at::Tensor& gradient_of(const at::Tensor& tensor) {
  return const_cast<const at::TensorImpl*>(tensor.unsafeGetTensorImpl())->grad();
}

/// Returns the gradient of a parameter, in the parameter's memory order. Throws if the update
/// cannot use the gradient. Autograd may deliver a negated view or a zero tensor without memory;
/// these two are converted to ordinary tensors.
inline at::Tensor checked_gradient(const ParameterRef& ref) {
  const at::Tensor& gradient = gradient_of(ref.tensor);
  TORCH_CHECK(gradient.defined(), "ivon: the gradient of ", ref.describe(),
              " was there when its sample ended and is gone now; call the optimizer's own "
              "zero_grad(), which reads it first, or step() before clearing gradients");
  TORCH_CHECK(gradient.layout() == at::kStrided, "ivon: the gradient of ", ref.describe(),
              " must be dense, got layout ", gradient.layout(),
              "; switch sparse gradients off (EmbeddingOptions::sparse(false))");
  TORCH_CHECK(gradient.sizes() == ref.tensor.sizes() && gradient.device() == ref.tensor.device() &&
                  gradient.scalar_type() == ref.tensor.scalar_type(),
              "ivon: the gradient of ", ref.describe(), " must have the parameter's shape, device ",
              "and dtype, got shape ", gradient.sizes(), " on ", gradient.device(), " in ",
              gradient.scalar_type(), "; assign a matching one");
  if (gradient._is_zerotensor()) return at::zeros_like(ref.tensor);
  return in_memory_order_of(ref.tensor, gradient.is_neg() ? gradient.resolve_neg() : gradient);
}

}  // namespace detail
IVON_NAMESPACE_END
