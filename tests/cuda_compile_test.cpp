// SPDX-License-Identifier: Apache-2.0
// The CUDA kernels compiled by NVRTC, which needs no GPU: for every generation of devices, with
// bounds on registers; and what happens where it cannot be done. Without LibTorch.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ivon/kernels/cuda/runtime.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace ivon::detail;
using namespace ivon::detail::cuda;

// From the environment variable IVON_NVRTC, the path of libnvrtc.
class CudaCompile : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("IVON_NVRTC");
    if (path == nullptr || *path == '\0') GTEST_SKIP() << "IVON_NVRTC names no libnvrtc";
    std::string why;
    ASSERT_TRUE(nvrtc.load_file(path, why)) << why;
  }
  Nvrtc nvrtc;
};

#define IVON_QUOTED(name) #name,
constexpr const char* kEstimators[] = {IVON_DETAIL_ESTIMATORS(IVON_QUOTED)};
#undef IVON_QUOTED

struct Usage {
  int registers = -1, spilled_bytes = -1;
};
// What the assembler says of a kernel.
Usage usage_of(const std::string& log, const std::string& kernel) {
  const std::regex pattern("Compiling entry function '" + kernel +
                           "'[^]*?(\\d+) bytes spill stores, (\\d+) bytes spill "
                           "loads[^]*?Used (\\d+) registers");
  std::smatch found;
  if (!std::regex_search(log, found, pattern)) return {};
  return {std::stoi(found[3]), std::stoi(found[1]) + std::stoi(found[2])};
}

// Registers that a kernel may take. The launch bounds ask for room for two blocks of 256 threads on
// a multiprocessor: 128 registers, one block for float64. Sampling and accumulating float32 stay at
// four blocks (64), and float32 updates well below 128, so that a change that costs registers is
// seen. Measured: 102 and 56 for float32, 148 for float64, 124 for halves.
int register_bound(EntryPoint entry, Dtype dtype) {
  const bool updates = entry == EntryPoint::kUpdate || entry == EntryPoint::kStep;
  if (dtype == Dtype::kFloat64) return 156;
  if (dtype != Dtype::kFloat32) return 128;
  return updates ? 108 : 64;
}

// Every module for the oldest generation and for the H100's; for two others the module that most
// programs use, which saves 20 s.
TEST_F(CudaCompile, EveryModuleForEveryGeneration) {
  for (const std::string architecture : {"sm_75", "sm_80", "sm_90", "sm_100"}) {
    const bool all = architecture == "sm_75" || architecture == "sm_90";
    for (const Dtype dtype :
         {Dtype::kFloat32, Dtype::kFloat64, Dtype::kBFloat16, Dtype::kFloat16}) {
      for (const std::string estimator : kEstimators) {
        if (!all && (dtype != Dtype::kFloat32 || estimator != "PriceEstimator")) continue;
        std::string log;
        compile(nvrtc, {true, dtype, estimator}, architecture, log, {"--ptxas-options=-v"});
        for (const EntryPoint entry : {EntryPoint::kSample, EntryPoint::kAccumulate,
                                       EntryPoint::kUpdate, EntryPoint::kStep}) {
          const Usage usage = usage_of(log, entry_name(entry));
          EXPECT_EQ(usage.spilled_bytes, 0) << entry_name(entry) << " for " << architecture;
          EXPECT_GT(usage.registers, 0) << entry_name(entry) << " for " << architecture;
          EXPECT_LE(usage.registers, register_bound(entry, dtype))
              << entry_name(entry) << ", dtype " << static_cast<int>(dtype) << ", " << estimator
              << ", " << architecture;
        }
      }
    }
    std::string log;
    compile(nvrtc, {}, architecture, log, {"--ptxas-options=-v"});
    for (const EntryPoint entry : {EntryPoint::kWritePage, EntryPoint::kListChunks,
                                   EntryPoint::kCountUpdates, EntryPoint::kFill}) {
      const Usage usage = usage_of(log, entry_name(entry));
      EXPECT_EQ(usage.spilled_bytes, 0) << entry_name(entry) << " for " << architecture;
      EXPECT_GT(usage.registers, 0) << entry_name(entry) << " for " << architecture;
      EXPECT_LE(usage.registers, 64) << entry_name(entry) << " for " << architecture;
    }
  }
}

// The oldest NVRTC that a LibTorch brings (2.4 for CUDA 11.8), named by IVON_OLDEST_NVRTC.
TEST(CudaCompileOldest, EveryModule) {
  const char* path = std::getenv("IVON_OLDEST_NVRTC");
  if (path == nullptr || *path == '\0') GTEST_SKIP() << "IVON_OLDEST_NVRTC names no libnvrtc";
  Nvrtc nvrtc;
  std::string why;
  ASSERT_TRUE(nvrtc.load_file(path, why)) << why;
  for (const std::string architecture : {"sm_60", "sm_70", "sm_90"}) {
    std::string log;
    compile(nvrtc, {}, architecture, log);
    for (const Dtype dtype :
         {Dtype::kFloat32, Dtype::kFloat64, Dtype::kBFloat16, Dtype::kFloat16}) {
      for (const std::string estimator : kEstimators) {
        if (architecture != "sm_60" && estimator != "PriceEstimator") continue;
        compile(nvrtc, {true, dtype, estimator}, architecture, log, {"--ptxas-options=-v"});
        EXPECT_EQ(usage_of(log, "ivon_step").spilled_bytes, 0) << architecture;
      }
    }
  }
}

// Every dtype and estimator is a module of its own; a name that two of them had would make one run
// the other's kernels.
TEST(CudaCompileNames, NoTwoModulesHaveOneName) {
  std::set<ModuleName> names = {ModuleName{}};
  std::set<std::vector<std::string>> options = {ModuleName{}.options()};
  size_t modules = 1;
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat64, Dtype::kBFloat16, Dtype::kFloat16}) {
    for (const char* estimator : kEstimators) {
      const ModuleName name = Kernel{EntryPoint::kStep, dtype, estimator}.module();
      names.insert(name);
      options.insert(name.options());
      ++modules;
    }
  }
  EXPECT_EQ(names.size(), modules);
  EXPECT_EQ(options.size(), modules);
}

// Printed, not judged: the time is the machine's.
TEST_F(CudaCompile, TimeOfTheFirstUse) {
  const auto begin = std::chrono::steady_clock::now();
  std::string log;
  EXPECT_FALSE(compile(nvrtc, {}, "sm_90", log).empty());
  EXPECT_FALSE(compile(nvrtc, {true, Dtype::kFloat32, "PriceEstimator"}, "sm_90", log).empty());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("first use of a float32 model on sm_90: %.2f s to compile\n", seconds.count());
}

TEST_F(CudaCompile, ArchitectureOfADevice) {
  EXPECT_EQ(architecture(nvrtc, 90), "sm_90");
  const std::string newer = architecture(nvrtc, 999);
  EXPECT_EQ(newer.compare(0, 8, "compute_"), 0) << newer;
  std::string log;
  EXPECT_NE(compile(nvrtc, {}, newer, log).find(".version"), std::string::npos) << "no PTX";
  try {
    architecture(nvrtc, 20);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("knows no device of compute capability 2.0"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(CudaCompile, ErrorsSayWhatTheCompilerSays) {
  std::string log;
  try {
    compile(nvrtc, {}, "sm_90", log, {"-DIVON_DTYPE=none"});
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    const std::string said = error.what();
    EXPECT_NE(said.find("ivon: the CUDA kernels could not be compiled for sm_90"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("ivon/kernels/cuda/entries.inl"), std::string::npos) << said;
    EXPECT_NE(said.find("IVON_CUDA_BACKEND=aten"), std::string::npos) << said;
  }
}

class Folder {
 public:
  Folder() { std::filesystem::remove_all(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path = ::testing::TempDir() + "ivon_cuda_cache_test";
  std::filesystem::path only_file() const {
    return std::filesystem::directory_iterator(path)->path();
  }
};

TEST_F(CudaCompile, CompiledKernelsAreKept) {
  const Folder folder;
  const std::string image = DiskCache(folder.path).get(nvrtc, {}, "sm_90");
  const auto written = std::filesystem::last_write_time(folder.only_file());
  Nvrtc reader = nvrtc;  // one that cannot compile
  reader.nvrtcCreateProgram = [](void**, const char*, const char*, int, const char* const*,
                                 const char* const*) { return 1; };
  EXPECT_EQ(DiskCache(folder.path).get(reader, {}, "sm_90"), image);
  EXPECT_EQ(std::filesystem::last_write_time(folder.only_file()), written);
  EXPECT_THROW(DiskCache(folder.path).get(reader, {}, "sm_80"), std::runtime_error);
}

TEST_F(CudaCompile, DamagedFilesAreCompiledAgain) {
  const Folder folder;
  const std::string image = DiskCache(folder.path).get(nvrtc, {}, "sm_90");
  std::ofstream(folder.only_file(), std::ios::binary | std::ios::in | std::ios::out) << "damage";
  EXPECT_EQ(DiskCache(folder.path).get(nvrtc, {}, "sm_90"), image);
  std::filesystem::resize_file(folder.only_file(), 10);
  EXPECT_EQ(DiskCache(folder.path).get(nvrtc, {}, "sm_90"), image);
}

TEST_F(CudaCompile, AFolderThatCannotBeWrittenCostsNothing) {
  EXPECT_FALSE(DiskCache("/dev/null/cache").get(nvrtc, {}, "sm_90").empty());
}

}  // namespace
