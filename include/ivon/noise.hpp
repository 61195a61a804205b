// SPDX-License-Identifier: Apache-2.0
// The position of an optimizer in its random streams, and noise as tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include <algorithm>
#include <cstdint>
#include <ivon/kernels/dispatch.hpp>
#include <ivon/kernels/dispatch_cuda.hpp>
#include <ivon/kernels/normal.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Everything random about an optimizer: its seed and how many samples each stream has given.
struct NoiseStream {
  uint64_t seed = 0;
  uint64_t training_draws = 0;
  uint64_t prediction_draws = 0;

  /// The noise of the next sample; `parameter` is left at 0.
  NoiseKey next(NoiseDomain domain) {
    const NoiseKey key{seed, domain, drawn(domain), 0};
    ++(domain == NoiseDomain::kTraining ? training_draws : prediction_draws);
    return key;
  }
  /// The noise of the training sample that `next` has not given yet: sample_on_step counts a sample
  /// when its step uses it.
  NoiseKey training_sample() const {
    return NoiseKey{seed, NoiseDomain::kTraining, training_draws, 0};
  }
  /// As the CUDA kernels know it.
  static NoiseStream at(const cuda::Position& position) {
    return {position.seed, position.draws[0], position.draws[1]};
  }
  cuda::Position position() const { return {seed, {training_draws, prediction_draws}}; }

  uint64_t drawn(NoiseDomain domain) const {
    return domain == NoiseDomain::kTraining ? training_draws : prediction_draws;
  }
};

/// True where the elements of `tensor` fill one piece of memory, in whatever order: element i of
/// the noise then belongs to the i-th element in memory, otherwise to the i-th in row-major order.
inline bool has_memory_order(const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense();
}

/// An uninitialised tensor with the shape of `like` and its strides where these are dense.
inline at::Tensor empty_in_memory_order(const at::Tensor& like, const at::TensorOptions& options) {
  return has_memory_order(like) ? at::empty_strided(like.sizes(), like.strides(), options)
                                : at::empty(like.sizes(), options);
}

/// `tensor` with its elements in the parameter's memory order; itself where they are so already.
inline at::Tensor in_memory_order_of(const at::Tensor& parameter, const at::Tensor& tensor) {
  if (same_memory_order(tensor, parameter)) return tensor;
  return empty_in_memory_order(parameter, tensor.options()).copy_(tensor);
}

/// Standard normals for one parameter: shape, memory order and device of `parameter`, `dtype`
/// float32 or float64. A float64 parameter sees the float32 normals, widened. The values depend on
/// `key` and the kind of device alone, never on the number of threads.
inline at::Tensor standard_normal(const at::Tensor& parameter, const NoiseKey& key,
                                  at::ScalarType dtype) {
  const at::Device device = parameter.device();
  const auto floats = at::TensorOptions().dtype(at::kFloat);
  if (cuda_runtime(device) != nullptr) {
    const at::Tensor normals = empty_in_memory_order(parameter, floats.device(device));
    fill_on_device(normals, key);
    return normals.to(dtype);
  }
  const at::Tensor normals = empty_in_memory_order(parameter, floats.device(at::kCPU));
  float* out = normals.mutable_data_ptr<float>();
  const int64_t count = normals.numel();
  const auto fill = device.is_cuda() ? fill_normal_cuda : fill_normal;
  run_in_parallel(block_count(count), /*grain=*/16, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kNoiseBlock;
    const int64_t last = std::min(end * kNoiseBlock, count);
    fill(key, begin, out + first, last - first, current_isa());
  });
  return normals.to(device, dtype);
}

}  // namespace detail
IVON_NAMESPACE_END
