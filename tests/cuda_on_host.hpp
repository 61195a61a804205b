// SPDX-License-Identifier: Apache-2.0
// The CUDA kernels on the host: the text that NVRTC compiles, run as loops over thread blocks and
// threads. No LibTorch.
//
// Programs that link cuda_on_host.cpp compute tensors on the CPU this way where the environment has
// IVON_TEST_CUDA_ON_HOST=1: everything but the device itself is then what a GPU's user runs.
#pragma once

#include <cstdint>
#include <functional>
#include <ivon/kernels/cuda/runtime.hpp>
#include <map>
#include <string>
#include <vector>

namespace ivon_test {

class HostRuntime final : public ivon::detail::cuda::Runtime {
 public:
  using Kernel = ivon::detail::cuda::Kernel;
  using Place = ivon::detail::cuda::Place;

  void load(const Kernel& kernel, int device) override;
  void launch(const Kernel& kernel, const Place& place, int64_t blocks,
              const void* arguments) override;
  bool is_capturing(const Place& /*place*/) override { return capturing_; }

  // As a CUDA graph: what is queued between begin and end is not run, replay() runs it.
  void begin_capture();
  void end_capture() { capturing_ = false; }
  void replay() const;
  /// Work of the test's own, in order with the kernels.
  void enqueue(std::function<void()> work);

  /// Launches so far of each kernel, by its name.
  std::map<std::string, int> launches;
  /// The next load or launch of this kernel fails so many times.
  std::map<std::string, int> failing_loads, failing_launches;

 private:
  bool capturing_ = false;
  std::vector<std::function<void()>> captured_;
};

}  // namespace ivon_test
