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
#include <string>

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
// seen. Measured: 102 and 56 for float32, 128 for float64, 124 for halves.
int register_bound(Entry entry, Element element) {
  const bool updates = entry == Entry::kUpdate || entry == Entry::kStep;
  if (element == Element::kFloat64) return 144;
  if (element != Element::kFloat32) return 128;
  return updates ? 108 : 64;
}

TEST_F(CudaCompile, EveryModuleForEveryGeneration) {
  for (const char* architecture : {"sm_75", "sm_80", "sm_90", "sm_100"}) {
    for (const Element element :
         {Element::kFloat32, Element::kFloat64, Element::kBFloat16, Element::kFloat16}) {
      for (const FusedEstimate estimate : {FusedEstimate::kPrice, FusedEstimate::kGradSquared}) {
        std::string log;
        compile(nvrtc, {true, element, estimate}, architecture, log, {"--ptxas-options=-v"});
        for (const Entry entry :
             {Entry::kSample, Entry::kAccumulate, Entry::kUpdate, Entry::kStep}) {
          const Usage usage = usage_of(log, entry_name(entry));
          EXPECT_EQ(usage.spilled_bytes, 0) << entry_name(entry) << " for " << architecture;
          EXPECT_GT(usage.registers, 0) << entry_name(entry) << " for " << architecture;
          EXPECT_LE(usage.registers, register_bound(entry, element))
              << entry_name(entry) << ", element " << static_cast<int>(element) << ", estimate "
              << static_cast<int>(estimate) << ", " << architecture;
        }
      }
    }
    std::string log;
    compile(nvrtc, {}, architecture, log, {"--ptxas-options=-v"});
    for (const Entry entry :
         {Entry::kWritePage, Entry::kListChunks, Entry::kCountUpdates, Entry::kFill}) {
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
  for (const char* architecture : {"sm_60", "sm_70", "sm_90"}) {
    std::string log;
    compile(nvrtc, {}, architecture, log);
    for (const Element element :
         {Element::kFloat32, Element::kFloat64, Element::kBFloat16, Element::kFloat16}) {
      for (const FusedEstimate estimate : {FusedEstimate::kPrice, FusedEstimate::kGradSquared}) {
        compile(nvrtc, {true, element, estimate}, architecture, log, {"--ptxas-options=-v"});
        EXPECT_EQ(usage_of(log, "ivon_step").spilled_bytes, 0) << architecture;
      }
    }
  }
}

// Printed, not judged: the time is the machine's.
TEST_F(CudaCompile, TimeOfTheFirstUse) {
  const auto begin = std::chrono::steady_clock::now();
  std::string log;
  EXPECT_FALSE(compile(nvrtc, {}, "sm_90", log).empty());
  EXPECT_FALSE(
      compile(nvrtc, {true, Element::kFloat32, FusedEstimate::kPrice}, "sm_90", log).empty());
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
    compile(nvrtc, {}, "sm_90", log, {"-DIVON_ELEMENT=none"});
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
