// SPDX-License-Identifier: Apache-2.0
// See cuda_on_host.hpp.
#include "cuda_on_host.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ivon/kernels/cpu/isa.hpp>
#include <stdexcept>
#include <utility>

#define IVON_ROLLED

IVON_BEGIN_PRECISE
namespace ivon::detail::cuda {
// clang-format off
#include <ivon/kernels/scalar.inl>
#include <ivon/kernels/cuda/pack_single.inl>
#include <ivon/kernels/half.inl>
#include <ivon/kernels/math.inl>
#include <ivon/kernels/estimators.inl>
#include <ivon/kernels/box_muller.inl>
#include <ivon/kernels/quad_noise.inl>
#include <ivon/kernels/cuda/passes.inl>
#include <ivon/kernels/cuda/service.inl>
// clang-format on
}  // namespace ivon::detail::cuda
IVON_END_PRECISE

namespace ivon_test {
namespace {

using namespace ivon::detail;
using namespace ivon::detail::cuda;

// Calls work(block, thread) for every thread of a launch.
template <class Work>
void for_threads(int64_t blocks, const Work& work) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
      work(static_cast<uint32_t>(block), thread);
    }
  }
}
template <class Work>
void for_numbers(int64_t blocks, const Work& work) {
  for_threads(blocks,
              [&](uint32_t block, uint32_t thread) { work(int64_t{block} * kThreads + thread); });
}

// With the estimator of the name, as NVRTC finds it.
template <EntryPoint pass, Dtype dtype>
void run_pass(const std::string& estimator, int64_t blocks, const Launch& launch) {
#define IVON_RUN_IF_NAMED(name)                                       \
  if (estimator == #name) {                                           \
    return for_threads(blocks, [&](uint32_t block, uint32_t thread) { \
      run_chunk<pass, dtype, cuda::name>(launch, block, thread);      \
    });                                                               \
  }
  IVON_DETAIL_ESTIMATORS(IVON_RUN_IF_NAMED)
#undef IVON_RUN_IF_NAMED
  throw std::logic_error("the CUDA kernels have no estimator " + estimator);
}
template <EntryPoint pass>
void run_pass(const Kernel& kernel, int64_t blocks, const Launch& launch) {
  switch (kernel.dtype) {
    case Dtype::kFloat32:
      return run_pass<pass, Dtype::kFloat32>(kernel.estimator, blocks, launch);
    case Dtype::kFloat64:
      return run_pass<pass, Dtype::kFloat64>(kernel.estimator, blocks, launch);
    case Dtype::kBFloat16:
      return run_pass<pass, Dtype::kBFloat16>(kernel.estimator, blocks, launch);
    case Dtype::kFloat16:
      return run_pass<pass, Dtype::kFloat16>(kernel.estimator, blocks, launch);
  }
}

template <class Arguments>
std::function<void()> call(const void* given, std::function<void(const Arguments&)> work) {
  Arguments arguments;
  std::memcpy(static_cast<void*>(&arguments), given, sizeof(arguments));
  return [arguments, work = std::move(work)] { work(arguments); };
}

std::function<void()> work_of(const Kernel& kernel, int64_t blocks, const void* arguments) {
  const auto pass = [&](auto run) {
    return call<Launch>(arguments, [=](const Launch& launch) { run(kernel, blocks, launch); });
  };
  switch (kernel.entry) {
    case EntryPoint::kSample:
      return pass([](auto&... a) { run_pass<EntryPoint::kSample>(a...); });
    case EntryPoint::kAccumulate:
      return pass([](auto&... a) { run_pass<EntryPoint::kAccumulate>(a...); });
    case EntryPoint::kUpdate:
      return pass([](auto&... a) { run_pass<EntryPoint::kUpdate>(a...); });
    case EntryPoint::kStep:
      return pass([](auto&... a) { run_pass<EntryPoint::kStep>(a...); });
    case EntryPoint::kWritePage:
      return call<Page>(arguments, [=](const Page& page) {
        for_numbers(blocks, [&](int64_t i) { write_page(page, static_cast<uint64_t>(i)); });
      });
    case EntryPoint::kListChunks:
      return call<Listing>(arguments, [=](const Listing& listing) {
        for_numbers(blocks, [&](int64_t i) { list_chunk(listing, i); });
      });
    case EntryPoint::kCountUpdates:
      return call<Counting>(arguments, [=](const Counting& counting) {
        for_numbers(blocks, [&](int64_t i) { count_updates(counting, i); });
      });
    case EntryPoint::kFill:
      return call<Filling>(arguments, [=](const Filling& filling) {
        for_numbers(blocks, [&](int64_t i) { fill_quad(filling, static_cast<uint64_t>(i)); });
      });
  }
  throw std::logic_error("unknown kernel");
}

void fail_if_wanted(std::map<std::string, int>& failing, const char* name) {
  const auto found = failing.find(name);
  if (found == failing.end() || found->second == 0) return;
  --found->second;
  throw std::runtime_error(std::string("ivon: a failure that the test wants, of ") + name);
}

// For programs whose every tensor goes this way.
[[maybe_unused]] const bool installed = [] {
  const char* wanted = std::getenv("IVON_TEST_CUDA_ON_HOST");
  if (wanted != nullptr && std::string(wanted) == "1") host_runtime() = new HostRuntime;
  return true;
}();

}  // namespace

void HostRuntime::load(const Kernel& kernel, int /*device*/) {
  fail_if_wanted(failing_loads, entry_name(kernel.entry));
}

void HostRuntime::launch(const Kernel& kernel, const Place& /*place*/, int64_t blocks,
                         const void* arguments) {
  if (blocks == 0) return;
  fail_if_wanted(failing_launches, entry_name(kernel.entry));
  ++launches[entry_name(kernel.entry)];
  enqueue(work_of(kernel, blocks, arguments));
}

void HostRuntime::begin_capture() {
  capturing_ = true;
  captured_.clear();
}
void HostRuntime::replay() const {
  for (const auto& work : captured_) work();
}
void HostRuntime::enqueue(std::function<void()> work) {
  if (capturing_) {
    captured_.push_back(std::move(work));
  } else {
    work();
  }
}

}  // namespace ivon_test
