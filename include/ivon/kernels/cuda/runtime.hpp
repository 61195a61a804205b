// SPDX-License-Identifier: Apache-2.0
// Launches the kernels on CUDA devices. Their modules are compiled for each device at first use.
// This file does not use LibTorch.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ivon/kernels/cuda/compiler.hpp>
#include <ivon/kernels/cuda/library.hpp>
#include <ivon/kernels/cuda/records.hpp>
#include <ivon/kernels/estimators.hpp>
#include <ivon/version.hpp>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

/// Where a kernel runs: the number of a device and one of its streams, a cudaStream_t. A null
/// stream is the default stream.
struct Place {
  int device = 0;
  void* stream = nullptr;
};

struct Kernel {
  EntryPoint entry;
  Dtype dtype = Dtype::kFloat32;                                   // the passes only
  const char* estimator = detail::kCudaEstimator<PriceEstimator>;  // the passes only

  ModuleName module() const {
    if (static_cast<uint32_t>(entry) >= kPasses) return {};
    return {true, dtype, estimator};
  }
};

inline const char* entry_name(EntryPoint entry) {
  constexpr const char* kNames[kEntryPoints] = {
      "ivon_sample",     "ivon_accumulate",  "ivon_update",        "ivon_step",
      "ivon_write_page", "ivon_list_chunks", "ivon_count_updates", "ivon_fill"};
  return kNames[static_cast<uint32_t>(entry)];
}

/// What the passes need to run kernels on a device. NvrtcRuntime does it on CUDA devices; tests
/// have a class that runs the kernels on the host. Functions throw std::runtime_error.
class Runtime {
 public:
  Runtime() = default;
  virtual ~Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Compiles a kernel and loads it onto a device, so that the first launch need not.
  virtual void load(const Kernel& kernel, int device) = 0;
  /// Queues `blocks` thread blocks of kThreads threads each. `arguments` points to the kernel's
  /// struct of records.hpp.
  virtual void launch(const Kernel& kernel, const Place& place, int64_t blocks,
                      const void* arguments) = 0;
  /// Whether work that is queued on the stream now is captured into a CUDA graph.
  virtual bool is_capturing(const Place& place) = 0;
};

class NvrtcRuntime final : public Runtime {
 public:
  /// Throws if the CUDA driver or NVRTC is missing. `torch_folder` is as in Nvrtc::load.
  explicit NvrtcRuntime(const std::string& torch_folder) {
    std::string why;
    if (!driver_.load(why)) throw std::runtime_error("the CUDA driver could not be used: " + why);
    if (!nvrtc_.load(torch_folder, why)) {
      throw std::runtime_error("NVRTC could not be loaded: " + why);
    }
    check(driver_.cuInit(0), "the CUDA driver could not be started");
  }

  /// Returns the number of kernels launched so far, for benchmarks.
  int64_t launches() const { return launches_; }

  /// Returns the versions, for instance "NVRTC 13.0, driver for CUDA 13.0".
  std::string describe() const {
    int version = 0;
    driver_.cuDriverGetVersion(&version);
    return "NVRTC " + nvrtc_.version() + ", driver for CUDA " + std::to_string(version / 1000) +
           "." + std::to_string(version % 1000 / 10);
  }

  void load(const Kernel& kernel, int device) override { (void)function(kernel, device); }

  void launch(const Kernel& kernel, const Place& place, int64_t blocks,
              const void* arguments) override {
    if (blocks == 0) return;
    if (blocks > 0x7FFFFFFF) {
      throw std::runtime_error("ivon: a launch takes at most 2^31 - 1 blocks of " +
                               std::to_string(kChunk) + " elements, got " + std::to_string(blocks));
    }
    ++launches_;
    void* const of = function(kernel, place.device);
    void* each[] = {const_cast<void*>(arguments)};
    check(driver_.cuLaunchKernel(of, static_cast<unsigned>(blocks), 1, 1, kThreads, 1, 1, 0,
                                 place.stream, each, nullptr),
          std::string("a CUDA kernel could not be launched (") + entry_name(kernel.entry) + ")");
  }

  bool is_capturing(const Place& place) override {
    int status = 0;
    return driver_.cuStreamIsCapturing(place.stream, &status) == 0 && status != 0;
  }

 private:
  struct Device {
    void* context = nullptr;
    std::string architecture;
    std::map<ModuleName, std::array<void*, kEntryPoints>> functions;
  };

  void check(int result, const std::string& what) const {
    if (result == 0) return;
    throw std::runtime_error("ivon: " + what + ": " + driver_.describe(result) +
                             "; set IVON_CUDA_BACKEND=aten to go without compiled kernels");
  }

  // Makes the device's primary context, which LibTorch uses too, the current context of this
  // thread.
  Device& current(int number) {
    Device& device = devices_[number];
    if (device.context == nullptr) {
      int handle = 0, major = 0, minor = 0;
      check(driver_.cuDeviceGet(&handle, number), "CUDA device " + std::to_string(number));
      constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
      check(driver_.cuDeviceGetAttribute(&major, kMajor, handle), "compute capability");
      check(driver_.cuDeviceGetAttribute(&minor, kMinor, handle), "compute capability");
      device.architecture = architecture(nvrtc_, major * 10 + minor);
      check(driver_.cuDevicePrimaryCtxRetain(&device.context, handle), "CUDA context");
    }
    void* now = nullptr;
    check(driver_.cuCtxGetCurrent(&now), "CUDA context");
    if (now != device.context) check(driver_.cuCtxSetCurrent(device.context), "CUDA context");
    return device;
  }

  void* function(const Kernel& kernel, int number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Device& device = current(number);
    const ModuleName name = kernel.module();
    auto found = device.functions.find(name);
    if (found == device.functions.end()) {
      const std::string image = cache_.get(nvrtc_, name, device.architecture);
      void* module = nullptr;
      check(driver_.cuModuleLoadData(&module, image.c_str()),
            "the driver does not take the kernels compiled by NVRTC " + nvrtc_.version() + " for " +
                device.architecture);
      std::array<void*, kEntryPoints> functions{};
      for (uint32_t entry = 0; entry < kEntryPoints; ++entry) {
        if ((entry < kPasses) != name.passes) continue;
        const char* entry_point = entry_name(static_cast<EntryPoint>(entry));
        check(driver_.cuModuleGetFunction(&functions[entry], module, entry_point), entry_point);
      }
      found = device.functions.emplace(name, functions).first;
    }
    return found->second[static_cast<uint32_t>(kernel.entry)];
  }

  std::atomic<int64_t> launches_{0};
  Driver driver_;
  Nvrtc nvrtc_;
  DiskCache cache_;
  std::mutex mutex_;
  std::map<int, Device> devices_;
};

/// How parameters on CUDA devices are computed, decided once per process.
struct Backend {
  Runtime* runtime = nullptr;  // null means tensor expressions
  std::string reason;
  // Whether no warning is needed: there is a runtime, or the user asked for tensor expressions.
  bool by_choice = false;
};

/// Chooses by the environment variable IVON_CUDA_BACKEND, which may be nvrtc or aten. If it is not
/// set, chooses nvrtc if that can be loaded. `obstacle` is the reason why this LibTorch cannot
/// launch kernels, or empty. Throws std::runtime_error if the variable has another value, or if it
/// is nvrtc and that cannot be loaded.
inline Backend choose_backend(const char* wanted, const std::string& torch_folder,
                              const std::string& obstacle) {
  const std::string name = wanted == nullptr ? "" : wanted;
  if (name == "aten") return {nullptr, "IVON_CUDA_BACKEND=aten", true};
  if (!name.empty() && name != "nvrtc") {
    throw std::runtime_error("ivon: IVON_CUDA_BACKEND must be nvrtc or aten, got '" + name +
                             "'; unset it to take nvrtc where there is one");
  }
  try {
    if (!obstacle.empty()) throw std::runtime_error(obstacle);
    auto* runtime = new NvrtcRuntime(torch_folder);  // lives as long as the process
    return {runtime, runtime->describe(), true};
  } catch (const std::runtime_error& error) {
    if (name == "nvrtc") {
      throw std::runtime_error(std::string("ivon: IVON_CUDA_BACKEND=nvrtc, but ") + error.what());
    }
    return {nullptr, error.what(), false};
  }
}

inline const Backend& backend(const std::string& torch_folder, const std::string& obstacle) {
  static const Backend chosen =
      choose_backend(std::getenv("IVON_CUDA_BACKEND"), torch_folder, obstacle);
  return chosen;
}

/// A runtime for tensors in the host's memory, which tests set. It is null in programs.
inline Runtime*& host_runtime() {
  static Runtime* runtime = nullptr;
  return runtime;
}

}  // namespace detail::cuda
IVON_NAMESPACE_END
