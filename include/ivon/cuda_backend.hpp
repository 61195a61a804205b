// SPDX-License-Identifier: Apache-2.0
// How parameters on CUDA devices are computed in this process, and why.
#pragma once

#include <ATen/Context.h>

#include <ivon/kernels/dispatch_cuda.hpp>
#include <ivon/version.hpp>
#include <string>

IVON_NAMESPACE_BEGIN

struct CudaBackendInfo {
  /// "nvrtc": kernels compiled at run time. "aten": tensor expressions, several times slower.
  /// "none": this process sees no CUDA device.
  std::string backend;
  /// E.g. "NVRTC 13.0, driver for CUDA 13.0" or what was missing.
  std::string reason;
};

/// Decided once per process, by the environment variable IVON_CUDA_BACKEND (nvrtc or aten), else
/// nvrtc where driver and NVRTC can be loaded. Throws where the variable asks for what cannot be
/// had.
inline CudaBackendInfo cuda_backend_info() {
  if (!at::hasCUDA()) return {"none", "LibTorch sees no CUDA device"};
  const detail::cuda::Backend& backend = detail::cuda_backend();
  return {backend.runtime != nullptr ? "nvrtc" : "aten", backend.reason};
}

IVON_NAMESPACE_END
