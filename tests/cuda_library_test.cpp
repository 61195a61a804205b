// SPDX-License-Identifier: Apache-2.0
// Which NVRTC is loaded, how LibTorch is asked for its streams, and what is chosen where something
// is missing: with stand-ins for a CUDA LibTorch's libraries. Without LibTorch.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ivon/kernels/cuda/runtime.hpp>
#include <string>

namespace {

using namespace ivon::detail::cuda;

const std::string kWhole = IVON_TEST_FAKE_LIBTORCH "/whole/";
const std::string kHollow = IVON_TEST_FAKE_LIBTORCH "/hollow/";

// Its driver takes what that one compiles; another CUDA's on the loader's path may be too new.
TEST(CudaLibrary, LibTorchsOwnNvrtcComesFirst) {
  Nvrtc nvrtc;
  std::string why;
  ASSERT_TRUE(nvrtc.load(kWhole, why)) << why;
  EXPECT_EQ(nvrtc.version(), "99.7");
}

TEST(CudaLibrary, ALibraryWithoutTheFunctionsIsPassedOver) {
  Nvrtc nvrtc;
  std::string why;
  EXPECT_FALSE(nvrtc.load_file(kHollow + "libcaffe2_nvrtc.so", why));
  EXPECT_EQ(why, "it has no function nvrtcVersion");
  const char* path = std::getenv("IVON_NVRTC");  // its folder is on the loader's path then
  if (path == nullptr || *path == '\0') GTEST_SKIP() << "IVON_NVRTC names no libnvrtc";
  ASSERT_TRUE(nvrtc.load(kHollow, why)) << why;
  EXPECT_NE(nvrtc.version(), "99.7");
}

TEST(CudaLibrary, StreamsOfLibTorchBefore211) {
  TorchStreams streams;
  std::string why;
  ASSERT_TRUE(streams.load(kWhole, why)) << why;
  void* handle = nullptr;
  EXPECT_EQ(streams.aoti_torch_get_current_cuda_stream(3, &handle), 0);
  EXPECT_EQ(handle, reinterpret_cast<void*>(3));
  EXPECT_NE(streams.aoti_torch_get_current_cuda_stream(9, &handle), 0);

  EXPECT_FALSE(streams.load(kHollow, why));
  EXPECT_EQ(why, "it has no function aoti_torch_get_current_cuda_stream");
  EXPECT_FALSE(streams.load(kWhole + "nowhere/", why));
  EXPECT_NE(why.find("libtorch_cuda.so"), std::string::npos) << why;
}

std::string error_of_choice(const char* wanted) {
  try {
    choose_backend(wanted, "", "");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

TEST(CudaBackend, ChosenByName) {
  const Backend aten = choose_backend("aten", "", "");
  EXPECT_EQ(aten.runtime, nullptr);
  EXPECT_TRUE(aten.by_choice);
  EXPECT_EQ(
      error_of_choice("cuda"),
      "ivon: IVON_CUDA_BACKEND must be nvrtc or aten, got 'cuda'; unset it to take nvrtc where "
      "there is one");
}

TEST(CudaBackend, WithoutADriver) {
  Driver driver;
  std::string why;
  if (driver.load(why)) GTEST_SKIP() << "this machine has a CUDA driver";
  const Backend backend = choose_backend(nullptr, "", "");
  EXPECT_EQ(backend.runtime, nullptr);
  EXPECT_FALSE(backend.by_choice);
  EXPECT_NE(backend.reason.find("libcuda.so.1"), std::string::npos) << backend.reason;
  EXPECT_NE(error_of_choice("nvrtc").find("IVON_CUDA_BACKEND=nvrtc, but the CUDA driver"),
            std::string::npos);
}

TEST(CudaBackend, WithoutStreams) {
  const Backend backend = choose_backend(nullptr, "", "no streams");
  EXPECT_EQ(backend.runtime, nullptr);
  EXPECT_FALSE(backend.by_choice);
  EXPECT_EQ(backend.reason, "no streams");
}

}  // namespace
