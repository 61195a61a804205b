// SPDX-License-Identifier: Apache-2.0
// Converts tensors to pointers for the fused kernels. Tells the order of a tensor's elements in
// memory and whether the kernels can take the tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include <cstdint>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Converts LibTorch's dtype of a parameter to that of the kernels. It must be one that
/// check_parameter() accepts.
inline Dtype dtype_of(at::ScalarType dtype) {
  return dtype == at::kDouble     ? Dtype::kFloat64
         : dtype == at::kBFloat16 ? Dtype::kBFloat16
         : dtype == at::kHalf     ? Dtype::kFloat16
                                  : Dtype::kFloat32;
}

inline bool is_half(at::ScalarType dtype) { return is_half(dtype_of(dtype)); }

/// Returns the dtype in which the mean, the Hessian and the momentum of a parameter are computed.
inline at::ScalarType state_dtype(const at::Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Whether, for every i, the i-th element in memory has the same index in both tensors. The tensors
/// must have the same shape.
inline bool same_memory_order(const at::Tensor& a, const at::Tensor& b) {
  for (int64_t dim = 0; dim < a.dim(); ++dim) {
    if (a.stride(dim) != b.stride(dim) && a.size(dim) != 1) return false;
  }
  return true;
}

/// Whether the elements of `tensor` fill one piece of memory without gaps, in any order. If so,
/// element i of the noise belongs to the i-th element in memory, otherwise to the i-th element in
/// row-major order.
inline bool has_memory_order(const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense();
}

/// Returns an uninitialised tensor with the shape of `like`. It also has the strides of `like` if
/// `like` is dense.
inline at::Tensor empty_in_memory_order(const at::Tensor& like, const at::TensorOptions& options) {
  return has_memory_order(like) ? at::empty_strided(like.sizes(), like.strides(), options)
                                : at::empty(like.sizes(), options);
}

/// Returns `tensor` with its elements in the memory order of `parameter`. Makes a copy only if they
/// have another order.
inline at::Tensor in_memory_order_of(const at::Tensor& parameter, const at::Tensor& tensor) {
  if (same_memory_order(tensor, parameter)) return tensor;
  return empty_in_memory_order(parameter, tensor.options()).copy_(tensor);
}

inline const at::Tensor& undefined_tensor() {
  static const at::Tensor tensor;
  return tensor;
}

/// The tensors of one parameter's posterior, all of the parameter's shape and device.
struct PosteriorTensors {
  const at::Tensor& mean;  // m as the module holds it outside samples, in the parameter's dtype
  const at::Tensor& wide_mean;  // m in float32 for bfloat16 and float16 parameters, else undefined
  const at::Tensor& hess;
  // A prior of the parameter's own (IVON::set_prior()), else undefined. The precision may be
  // 0-dimensional. The kernels know the prior of weight_decay only.
  const at::Tensor& prior_mean = undefined_tensor();
  const at::Tensor& prior_precision = undefined_tensor();
};

/// Whether a kernel can pass over `tensor` and `mean` together.
inline bool fuses_with(const at::Tensor& tensor, const at::Tensor& mean, at::ScalarType dtype) {
  return tensor.device() == mean.device() && tensor.scalar_type() == dtype &&
         tensor.layout() == at::kStrided && same_memory_order(tensor, mean);
}

/// Whether a kernel can pass over the tensors of this posterior together.
inline bool is_fusible(const PosteriorTensors& posterior) {
  const at::Tensor& mean = posterior.mean;
  const at::ScalarType state = state_dtype(mean);
  if (posterior.prior_precision.defined()) return false;
  return mean.is_non_overlapping_and_dense() && fuses_with(posterior.hess, mean, state) &&
         (!is_half(mean.scalar_type()) || fuses_with(posterior.wide_mean, mean, state));
}

/// Returns the address of a tensor that is only read. Unlike data_ptr(), it does not make a copy of
/// a copy-on-write tensor.
inline void* reading(const at::Tensor& tensor) {
  return const_cast<void*>(tensor.const_data_ptr());
}
inline void* writing(const at::Tensor& tensor) { return tensor.mutable_data_ptr(); }

/// Returns the arrays of a posterior for which is_fusible() is true. `address` is the function
/// `reading` or `writing`.
inline PosteriorArrays arrays_of(const PosteriorTensors& posterior,
                                 void* (*address)(const at::Tensor&)) {
  const at::ScalarType dtype = posterior.mean.scalar_type();
  return {dtype_of(dtype), address(posterior.mean),
          is_half(dtype) ? static_cast<float*>(address(posterior.wide_mean)) : nullptr,
          address(posterior.hess), posterior.mean.numel()};
}

}  // namespace detail
IVON_NAMESPACE_END
