// SPDX-License-Identifier: Apache-2.0
// Loads the CUDA driver and NVRTC at run time and declares their functions without CUDA's headers,
// so that a user needs no CUDA toolkit and no compiler flag. This file does not use LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ivon/version.hpp>
#include <string>
#include <vector>

#if defined(_WIN32)
#define IVON_HAS_DLOPEN 0
#else
#include <dlfcn.h>
#define IVON_HAS_DLOPEN 1
#endif

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

/// A shared library, which is never unloaded.
class Library {
 public:
  Library() = default;

  /// Loads the library with that name or path. If this fails, `why` gets the message of the loader.
  Library(const std::string& name, std::string& why) {
#if IVON_HAS_DLOPEN
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    const char* said = handle_ == nullptr ? dlerror() : nullptr;
    if (said != nullptr) why = said;
#else
    why = "ivon loads " + name + " on POSIX systems only";
#endif
  }

  bool loaded() const { return handle_ != nullptr; }

  /// Sets `function` to the library's function `name`. If there is none, returns false and tells
  /// the reason in `why`.
  template <class Function>
  bool bind(Function*& function, const char* name, std::string& why) const {
#if IVON_HAS_DLOPEN
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
#endif
    if (function == nullptr) why = std::string("it has no function ") + name;
    return function != nullptr;
  }

 private:
  void* handle_ = nullptr;
};

/// Returns the folder of the shared library or program that contains `address`, with a final slash,
/// or an empty string if the folder is unknown.
inline std::string folder_of(const void* address) {
#if IVON_HAS_DLOPEN
  Dl_info info{};
  if (dladdr(address, &info) != 0 && info.dli_fname != nullptr) {
    const std::string path = info.dli_fname;
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) return path.substr(0, slash + 1);
  }
#else
  (void)address;
#endif
  return {};
}

/// The functions of the CUDA driver that a launch needs (CUDA driver API, cuda.h). They return a
/// CUresult, which is 0 for success.
struct Driver {
  int (*cuInit)(unsigned) = nullptr;
  int (*cuDriverGetVersion)(int*) = nullptr;
  int (*cuGetErrorString)(int, const char**) = nullptr;
  int (*cuDeviceGet)(int*, int) = nullptr;
  int (*cuDeviceGetAttribute)(int*, int, int) = nullptr;
  int (*cuDevicePrimaryCtxRetain)(void**, int) = nullptr;
  int (*cuCtxGetCurrent)(void**) = nullptr;
  int (*cuCtxSetCurrent)(void*) = nullptr;
  int (*cuModuleLoadData)(void**, const void*) = nullptr;
  int (*cuModuleGetFunction)(void**, void*, const char*) = nullptr;
  int (*cuLaunchKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        void*, void**, void**) = nullptr;
  int (*cuStreamIsCapturing)(void*, int*) = nullptr;

  /// Loads the functions. If the driver is missing or too old, returns false and tells the reason
  /// in `why`.
  bool load(std::string& why) {
    const Library library("libcuda.so.1", why);
    return library.loaded() && library.bind(cuInit, "cuInit", why) &&
           library.bind(cuDriverGetVersion, "cuDriverGetVersion", why) &&
           library.bind(cuGetErrorString, "cuGetErrorString", why) &&
           library.bind(cuDeviceGet, "cuDeviceGet", why) &&
           library.bind(cuDeviceGetAttribute, "cuDeviceGetAttribute", why) &&
           library.bind(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", why) &&
           library.bind(cuCtxGetCurrent, "cuCtxGetCurrent", why) &&
           library.bind(cuCtxSetCurrent, "cuCtxSetCurrent", why) &&
           library.bind(cuModuleLoadData, "cuModuleLoadData", why) &&
           library.bind(cuModuleGetFunction, "cuModuleGetFunction", why) &&
           library.bind(cuLaunchKernel, "cuLaunchKernel", why) &&
           library.bind(cuStreamIsCapturing, "cuStreamIsCapturing", why);
  }

  std::string describe(int result) const {
    const char* text = nullptr;
    if (cuGetErrorString(result, &text) != 0 || text == nullptr) text = "unknown error";
    return std::string(text) + " (CUDA error " + std::to_string(result) + ")";
  }
};

/// The functions of NVRTC that compile a text (nvrtc.h). They return an nvrtcResult, which is 0 for
/// success.
struct Nvrtc {
  int (*nvrtcVersion)(int*, int*) = nullptr;
  int (*nvrtcGetNumSupportedArchs)(int*) = nullptr;
  int (*nvrtcGetSupportedArchs)(int*) = nullptr;
  int (*nvrtcCreateProgram)(void**, const char*, const char*, int, const char* const*,
                            const char* const*) = nullptr;
  int (*nvrtcCompileProgram)(void*, int, const char* const*) = nullptr;
  int (*nvrtcGetProgramLogSize)(void*, size_t*) = nullptr;
  int (*nvrtcGetProgramLog)(void*, char*) = nullptr;
  int (*nvrtcGetCUBINSize)(void*, size_t*) = nullptr;
  int (*nvrtcGetCUBIN)(void*, char*) = nullptr;
  int (*nvrtcGetPTXSize)(void*, size_t*) = nullptr;
  int (*nvrtcGetPTX)(void*, char*) = nullptr;
  int (*nvrtcDestroyProgram)(void**) = nullptr;
  const char* (*nvrtcGetErrorString)(int) = nullptr;

  /// Loads NVRTC: first the one that belongs to the LibTorch in `torch_folder` (with a final slash,
  /// or empty), because the driver that runs this LibTorch accepts what its NVRTC compiles, and
  /// then the one of the system. If there is none, returns false and tells the reason in `why`.
  bool load(const std::string& torch_folder, std::string& why) {
    std::vector<std::string> names;
    if (!torch_folder.empty()) {
      const std::string pip = torch_folder + "../../nvidia/";
      names = {
          torch_folder + "libcaffe2_nvrtc.so",  // links to the NVRTC that LibTorch was built with
          torch_folder + "libnvrtc.so.13", torch_folder + "libnvrtc.so.12",
          pip + "cu13/lib/libnvrtc.so.13", pip + "cuda_nvrtc/lib/libnvrtc.so.12"};
    }
    for (const char* name :
         {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"}) {
      names.emplace_back(name);
    }
    for (const std::string& name : names) {
      if (load_file(name, why)) return true;
    }
    return false;
  }
  /// Loads the NVRTC at `path`.
  bool load_file(const std::string& path, std::string& why) {
    const Library library(path, why);
    return library.loaded() && bind(library, why);
  }

  std::string version() const {
    int major = 0, minor = 0;
    nvrtcVersion(&major, &minor);
    return std::to_string(major) + "." + std::to_string(minor);
  }

 private:
  bool bind(const Library& library, std::string& why) {
    return library.bind(nvrtcVersion, "nvrtcVersion", why) &&
           library.bind(nvrtcGetNumSupportedArchs, "nvrtcGetNumSupportedArchs", why) &&
           library.bind(nvrtcGetSupportedArchs, "nvrtcGetSupportedArchs", why) &&
           library.bind(nvrtcCreateProgram, "nvrtcCreateProgram", why) &&
           library.bind(nvrtcCompileProgram, "nvrtcCompileProgram", why) &&
           library.bind(nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize", why) &&
           library.bind(nvrtcGetProgramLog, "nvrtcGetProgramLog", why) &&
           library.bind(nvrtcGetCUBINSize, "nvrtcGetCUBINSize", why) &&
           library.bind(nvrtcGetCUBIN, "nvrtcGetCUBIN", why) &&
           library.bind(nvrtcGetPTXSize, "nvrtcGetPTXSize", why) &&
           library.bind(nvrtcGetPTX, "nvrtcGetPTX", why) &&
           library.bind(nvrtcDestroyProgram, "nvrtcDestroyProgram", why) &&
           library.bind(nvrtcGetErrorString, "nvrtcGetErrorString", why);
  }
};

/// A function of LibTorch's C interface (torch/csrc/inductor/aoti_torch/c/shim.h). In LibTorch
/// before 2.11 it is the only way to a device's stream without CUDA's headers. It returns 0 for
/// success.
struct TorchStreams {
  int32_t (*aoti_torch_get_current_cuda_stream)(int32_t device, void** stream) = nullptr;

  /// Loads the function from the LibTorch in `torch_folder` (with a final slash, or empty), which
  /// the process has loaded already. If this fails, returns false and tells the reason in `why`.
  bool load(const std::string& torch_folder, std::string& why) {
    const Library library(torch_folder + "libtorch_cuda.so", why);
    return library.loaded() && library.bind(aoti_torch_get_current_cuda_stream,
                                            "aoti_torch_get_current_cuda_stream", why);
  }
};

}  // namespace detail::cuda
IVON_NAMESPACE_END
