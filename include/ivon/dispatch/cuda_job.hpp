// SPDX-License-Identifier: Apache-2.0
// One pass over any number of parameters on CUDA devices. Parameters of one device and dtype share
// a launch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <ivon/dispatch/cuda_device.hpp>
#include <ivon/dispatch/cuda_memory.hpp>
#include <ivon/version.hpp>
#include <stdexcept>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// capturable: where a parameter's step count and its group's learning rate lie in device memory.
struct StepOnDevice {
  int64_t* step = nullptr;  // cuda::StepScalars follow it in memory
  const double* lr = nullptr;
  double step_size_per_lr = 0;
  double decay_per_lr = 0;
  bool debiased = false;
};

/// One pass over parameters on CUDA devices: add() each parameter, then prepare(), then launch().
class CudaJob {
 public:
  /// `estimator` is a name in estimators.inl.
  CudaJob(CudaMemory& memory, cuda::EntryPoint pass, const char* estimator)
      : memory_(memory), pass_(pass), estimator_(estimator) {}

  void add(const at::Device& device, cuda::Work work) {
    if (work.task.count == 0) return;
    if (memory_.capturable()) {
      memory_.make_relative(work.shared.drawn.noise);
      memory_.make_relative(work.shared.next.noise);
    }
    size_t number = 0;
    for (Part& part : parts_) {
      if (part.device != device || part.dtype != work.dtype) continue;
      if (part.table->add(work)) return;
      ++number;
    }
    cuda::Runtime* runtime = cuda_runtime(device);
    const bool captured = is_capturing(device);
    TORCH_CHECK(!captured || memory_.capturable(),
                "ivon: a CUDA graph is being captured, but the optimizer keeps its step count and "
                "noise position on the host; build it with IVONOptions::capturable(true)");
    CudaTable& table = memory_.table(pass_, device, work.dtype, number, captured);
    table.clear();
    table.add(work);
    parts_.push_back({device, work.dtype, runtime, &table});
  }

  /// Compiles, allocates and writes what the launches need, so that errors occur before any
  /// parameter is changed.
  void prepare() {
    guarded([&](Part& part) {
      part.runtime->load(kernel(part), part.device.is_cuda() ? part.device.index() : 0);
      part.table->prepare(*part.runtime, part.device);
      memory_.position_on(part.device);
    });
  }
  void launch() {
    const bool updates = pass_ == cuda::EntryPoint::kUpdate || pass_ == cuda::EntryPoint::kStep;
    guarded([&](Part& part) {
      if (updates && memory_.capturable()) part.table->count_updates(*part.runtime, part.device);
      part.table->launch(*part.runtime, kernel(part), part.device,
                         memory_.position_on(part.device));
    });
  }

 private:
  struct Part {
    at::Device device;
    Dtype dtype;
    cuda::Runtime* runtime;
    CudaTable* table;
  };

  cuda::Kernel kernel(const Part& part) const { return {pass_, part.dtype, estimator_}; }

  template <class Work>
  void guarded(const Work& work) {
    for (Part& part : parts_) {
      const c10::DeviceGuard guard(part.device);
      try {
        work(part);
      } catch (const std::runtime_error& error) {
        TORCH_CHECK(false, error.what());
      }
    }
  }

  CudaMemory& memory_;
  cuda::EntryPoint pass_;
  const char* estimator_;
  std::vector<Part> parts_;
};

}  // namespace detail
IVON_NAMESPACE_END
