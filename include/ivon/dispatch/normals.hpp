// SPDX-License-Identifier: Apache-2.0
// Makes the noise of a parameter as a tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <ivon/dispatch/cuda_tables.hpp>
#include <ivon/dispatch/parallel.hpp>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/kernels/normal.hpp>
#include <ivon/version.hpp>
#include <stdexcept>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Fills a dense float32 tensor on a device with CUDA kernels with the normals of a key, in memory
/// order.
inline void fill_on_device(const at::Tensor& normals, const NoiseKey& key) {
  if (normals.numel() == 0) return;
  const at::Device device = normals.device();
  const c10::DeviceGuard guard(device);
  const cuda::Filling filling{key, normals.mutable_data_ptr<float>(), normals.numel()};
  try {
    cuda_runtime(device)->launch({cuda::EntryPoint::kFill}, current_place(device),
                                 blocks_for((normals.numel() + 3) / 4), &filling);
  } catch (const std::runtime_error& error) {
    TORCH_CHECK(false, error.what());
  }
}

/// Returns standard normals for one parameter, with the shape, memory order and device of
/// `parameter`. `dtype` is float32 or float64; the float64 normals are the float32 ones, converted.
/// The values depend only on `key` and the kind of device, never on the number of threads.
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
