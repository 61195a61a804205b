// SPDX-License-Identifier: Apache-2.0
// The kernels' text to machine code for one kind of device, with an optional cache on disk. No
// LibTorch, no device needed.
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
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

/// What is compiled as one: the passes of an element type and an estimate, or what serves them all.
struct ModuleName {
  bool passes = false;
  Element element = Element::kFloat32;
  FusedEstimate estimate = FusedEstimate::kPrice;

  friend bool operator<(const ModuleName& a, const ModuleName& b) {
    return a.number() < b.number();
  }
  std::vector<std::string> options() const {
    if (!passes) return {};
    return {"-DIVON_ELEMENT=" + std::to_string(static_cast<int>(element)),
            "-DIVON_ESTIMATE=" + std::to_string(static_cast<int>(estimate))};
  }

 private:
  int number() const {
    return passes ? 1 + static_cast<int>(element) * 2 + static_cast<int>(estimate) : 0;
  }
};

/// NVRTC's name for a device of compute capability `capability` (80: 8.0), whether or not this
/// NVRTC is older than the device: machine code for what it knows, else PTX that the driver
/// translates.
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

/// Compiles; `log` gets what the compiler says. Throws std::runtime_error with its messages.
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
    log.resize(size - 1);  // the final zero
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

/// Compiled kernels in the folder that the environment variable IVON_CUDA_CACHE names; without it
/// nothing is read or written. A file that cannot be read or is damaged counts as missing, one that
/// cannot be written is left out: the cache saves a second, and must never cost a run.
class DiskCache {
 public:
  DiskCache() {
    const char* folder = std::getenv("IVON_CUDA_CACHE");
    if (folder != nullptr && *folder != '\0') folder_ = folder;
  }
  explicit DiskCache(std::string folder) : folder_(std::move(folder)) {}

  /// The image compiled of `name` for `architecture` by that NVRTC, from the disk if it is there.
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

  // FNV-1a.
  static uint64_t hash(const std::string& text, uint64_t value = 0xCBF29CE484222325u) {
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return value;
  }
  static std::string hex(uint64_t value) {
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(value));
    return digits;
  }

  // A file is the image and the sixteen digits of its hash.
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
    // Whole or not at all, also with several processes: a name of its own, then a rename.
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
