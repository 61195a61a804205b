// SPDX-License-Identifier: Apache-2.0
// Tells how parameters on CUDA devices are computed in this process, and why.
#pragma once

#include <ATen/Context.h>

#include <ivon/dispatch/cuda_device.hpp>
#include <ivon/version.hpp>
#include <string>

IVON_NAMESPACE_BEGIN

/// The way in which this process computes parameters on CUDA devices, see cuda_backend_info().
struct CudaBackendInfo {
  /// One of three words. "nvrtc" means kernels that are compiled at run time. "aten" means
  /// LibTorch's tensor expressions, which are several times slower. "none" means that this process
  /// sees no CUDA device.
  std::string backend;
  /// The reason for that choice, for a log. With "nvrtc" it names the versions, for instance
  /// "NVRTC 13.0, driver for CUDA 13.0". With "aten" it is the setting that asked for it, or what
  /// was missing.
  std::string reason;
};

/// Returns how this process computes parameters on CUDA devices.
///
/// The choice is made once, by the first call that needs it, and holds for the whole process. The
/// environment variable IVON_CUDA_BACKEND decides where it is set to nvrtc or aten. Where it is not
/// set, the choice is nvrtc if the CUDA driver and NVRTC can be loaded, and aten otherwise.
///
/// Throws c10::Error if a CUDA device is seen and the variable has another value, or if it asks for
/// nvrtc and the driver or NVRTC cannot be loaded. See docs/cuda.md.
inline CudaBackendInfo cuda_backend_info() {
  if (!at::hasCUDA()) return {"none", "LibTorch sees no CUDA device"};
  const detail::cuda::Backend& backend = detail::cuda_backend();
  return {backend.runtime != nullptr ? "nvrtc" : "aten", backend.reason};
}

IVON_NAMESPACE_END
