// SPDX-License-Identifier: Apache-2.0
// Compiles the kernels' text to machine code for one kind of device, with an optional cache on
// disk. This file does not use LibTorch and needs no device.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ivon/kernels/cuda/library.hpp>
#include <ivon/kernels/cuda/records.hpp>
#include <ivon/kernels/cuda/source.hpp>
#include <ivon/version.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

/// Names what is compiled as one module: the passes for one dtype and one estimator, or the kernels
/// that serve all passes. `estimator` is a name in estimators.inl, so different modules have
/// different names.
struct ModuleName {
  bool passes = false;
  Dtype dtype = Dtype::kFloat32;
  std::string estimator;

  friend bool operator<(const ModuleName& a, const ModuleName& b) {
    return std::tie(a.passes, a.dtype, a.estimator) < std::tie(b.passes, b.dtype, b.estimator);
  }
  std::vector<std::string> options() const {
    if (!passes) return {};
    return {"-DIVON_DTYPE=" + std::to_string(static_cast<int>(dtype)),
            "-DIVON_ESTIMATOR=" + estimator};
  }
};

/// Returns NVRTC's name of the architecture for a device of compute capability `capability` (80
/// means 8.0). If NVRTC knows the device, NVRTC compiles to machine code for it. If NVRTC is older
/// than the device, it compiles to PTX, which the driver translates.
inline std::string architecture(const Nvrtc& nvrtc, int capability) {
  int count = 0;
  std::vector<int> known;
  if (nvrtc.nvrtcGetNumSupportedArchs(&count) == 0 && count > 0) {
    known.resize(static_cast<size_t>(count));
    if (nvrtc.nvrtcGetSupportedArchs(known.data()) != 0) known.clear();
  }
  int best = 0;
  for (const int each : known) {
    if (each == capability) return "sm_" + std::to_string(each);
    if (each < capability && each > best) best = each;
  }
  if (best == 0) {
    throw std::runtime_error(
        "ivon: NVRTC " + nvrtc.version() + " knows no device of compute capability " +
        std::to_string(capability / 10) + "." + std::to_string(capability % 10) +
        "; set IVON_CUDA_BACKEND=aten to go without compiled kernels");
  }
  return "compute_" + std::to_string(best);
}

/// Compiles a module and returns the machine code or PTX. `log` gets the messages of the compiler.
/// Throws std::runtime_error with these messages if the module does not compile.
inline std::string compile(const Nvrtc& nvrtc, const ModuleName& name,
                           const std::string& architecture, std::string& log,
                           std::vector<std::string> options = {}) {
  options.insert(options.end(), {"--gpu-architecture=" + architecture, "--std=c++17",
                                 "--device-as-default-execution-space"});
  for (const std::string& option : name.options()) options.push_back(option);
  std::vector<const char*> arguments;
  arguments.reserve(options.size());
  for (const std::string& option : options) arguments.push_back(option.c_str());

  const auto check = [&](int result, const char* what) {
    if (result == 0) return;
    throw std::runtime_error(
        "ivon: the CUDA kernels could not be compiled for " + architecture + " by NVRTC " +
        nvrtc.version() + " (" + what + ": " + nvrtc.nvrtcGetErrorString(result) + ")" +
        (log.empty() ? "" : ":\n" + log) + "\nset IVON_CUDA_BACKEND=aten to go without them");
  };
  struct Program {
    const Nvrtc& nvrtc;
    void* handle = nullptr;
    ~Program() {
      if (handle != nullptr) nvrtc.nvrtcDestroyProgram(&handle);
    }
  } program{nvrtc};
  check(nvrtc.nvrtcCreateProgram(&program.handle, kSource, "ivon.cu", 0, nullptr, nullptr),
        "nvrtcCreateProgram");
  const int result = nvrtc.nvrtcCompileProgram(program.handle, static_cast<int>(arguments.size()),
                                               arguments.data());
  size_t size = 0;
  if (nvrtc.nvrtcGetProgramLogSize(program.handle, &size) == 0 && size > 1) {
    log.resize(size);
    nvrtc.nvrtcGetProgramLog(program.handle, &log[0]);
    log.resize(size - 1);  // without the final zero
  }
  check(result, "nvrtcCompileProgram");
  const bool machine_code = architecture.compare(0, 3, "sm_") == 0;
  check(machine_code ? nvrtc.nvrtcGetCUBINSize(program.handle, &size)
                     : nvrtc.nvrtcGetPTXSize(program.handle, &size),
        "size");
  std::string image(size, '\0');
  check(machine_code ? nvrtc.nvrtcGetCUBIN(program.handle, &image[0])
                     : nvrtc.nvrtcGetPTX(program.handle, &image[0]),
        "image");
  return image;
}

/// Keeps compiled kernels in the folder that the environment variable IVON_CUDA_CACHE names.
/// Without the variable nothing is read or written. A file that is damaged or cannot be read counts
/// as missing, and an error of writing is ignored, because the cache saves only a second and must
/// never make a run fail.
class DiskCache {
 public:
  DiskCache() {
    const char* folder = std::getenv("IVON_CUDA_CACHE");
    if (folder != nullptr && *folder != '\0') folder_ = folder;
  }
  explicit DiskCache(std::string folder) : folder_(std::move(folder)) {}

  /// Returns the module `name`, compiled by `nvrtc` for `architecture`. Reads it from the disk if
  /// it is there.
  std::string get(const Nvrtc& nvrtc, const ModuleName& name,
                  const std::string& architecture) const {
    if (folder_.empty()) return compile_now(nvrtc, name, architecture);
    uint64_t key = hash(kSource);
    for (const std::string& option : name.options()) key = hash(option, key);
    key = hash(architecture, hash(nvrtc.version(), key));
    const std::filesystem::path path = folder_ / ("ivon_" + hex(key) + ".image");
    std::string image = read(path);
    if (image.empty()) {
      image = compile_now(nvrtc, name, architecture);
      write(path, image);
    }
    return image;
  }

 private:
  static std::string compile_now(const Nvrtc& nvrtc, const ModuleName& name,
                                 const std::string& architecture) {
    std::string log;
    return compile(nvrtc, name, architecture, log);
  }

  // Returns the FNV-1a hash of a text, continued from `value`.
  static uint64_t hash(const std::string& text, uint64_t value = 0xCBF29CE484222325u) {
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return value;
  }
  static std::string hex(uint64_t value) {
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(value));
    return digits;
  }

  // A file contains the compiled image and the sixteen digits of its hash.
  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (all.size() <= 16) return {};
    const std::string mark = all.substr(all.size() - 16);
    all.resize(all.size() - 16);
    return mark == hex(hash(all)) ? all : std::string();
  }
  void write(const std::filesystem::path& path, const std::string& image) const {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    // Writes to a file with a unique name and renames it, so that other processes find the whole
    // file or none.
    std::filesystem::path own = path;
    own += "." + hex(std::random_device{}()) + ".tmp";
    {
      std::ofstream file(own, std::ios::binary);
      file << image << hex(hash(image));
      if (!file.flush()) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) std::filesystem::rename(own, path, error);
    if (error) std::filesystem::remove(own, error);
  }

  std::filesystem::path folder_;
};

}  // namespace detail::cuda
IVON_NAMESPACE_END
