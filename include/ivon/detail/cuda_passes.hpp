// SPDX-License-Identifier: Apache-2.0
// The launches of an optimizer's passes on CUDA devices, and what they keep there from call to
// call.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <ivon/kernels/dispatch_cuda.hpp>
#include <ivon/version.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// What the CUDA passes of one optimizer keep in device memory.
class CudaMemory {
 public:
  /// A table for a launch of this kind: the one of the last time, for what it holds is probably
  /// right; a new one, kept for good, for a graph that is captured, whose replays read it.
  /// `number`: of the launch among its kind in one job.
  CudaTable& table(cuda::Entry pass, const at::Device& device, Element element, size_t number,
                   bool captured) {
    if (captured) return captured_.emplace_back();
    for (Entry& entry : tables_) {
      if (entry.pass == pass && entry.device == device && entry.element == element &&
          entry.number == number) {
        return entry.table;
      }
    }
    return tables_.emplace_back(Entry{pass, device, element, number, {}}).table;
  }

  // --- capturable: positions of the noise in device memory ---

  bool capturable() const { return capturable_; }
  void make_capturable() { capturable_ = true; }

  /// The optimizer's position is `now`; on the devices it moves by `draws` (training, prediction).
  void move(const cuda::Position& now, const std::array<uint64_t, 2>& draws) {
    position_ = now;
    if (!capturable_) return;
    for (OnDevice& each : positions_) {
      cuda::Counting counting{};
      counting.position = each.address();
      std::copy(draws.begin(), draws.end(), counting.draws);
      launch(each.device, {cuda::Entry::kCountUpdates}, 1, &counting);
    }
  }
  /// The optimizer's position is `now`, here and on the devices.
  void set(const cuda::Position& now) {
    position_ = now;
    for (OnDevice& each : positions_) write(each);
  }
  /// Waits for the devices and returns where they are; the optimizer's own position if none knows.
  cuda::Position read() const {
    if (positions_.empty()) return position_;
    cuda::Position position{};
    const at::Tensor words = positions_.front().words.cpu();
    std::memcpy(&position, words.const_data_ptr(), sizeof(position));
    return position;
  }

  /// Makes the draw of a key count from the position in device memory.
  void make_relative(NoiseKey& key) const {
    key.draw -= position_.draws[static_cast<uint32_t>(key.domain)];
  }
  /// The position in the memory of a device; null unless capturable.
  const cuda::Position* position_on(const at::Device& device) {
    if (!capturable_) return nullptr;
    for (OnDevice& each : positions_) {
      if (each.device == device) return each.address();
    }
    const auto options = at::TensorOptions().dtype(at::kLong).device(device);
    positions_.push_back({device, at::empty({sizeof(cuda::Position) / sizeof(int64_t)}, options)});
    write(positions_.back());
    return positions_.back().address();
  }

 private:
  struct Entry {
    cuda::Entry pass;
    at::Device device;
    Element element;
    size_t number;
    CudaTable table;
  };
  struct OnDevice {
    at::Device device;
    at::Tensor words;
    cuda::Position* address() const {
      return static_cast<cuda::Position*>(words.mutable_data_ptr());
    }
  };

  static void launch(const at::Device& device, const cuda::Kernel& kernel, int64_t blocks,
                     const void* arguments) {
    const c10::DeviceGuard guard(device);
    cuda_runtime(device)->launch(kernel, current_place(device), blocks, arguments);
  }
  void write(const OnDevice& each) const {
    const c10::DeviceGuard guard(each.device);
    write_to_device(*cuda_runtime(each.device), each.device, each.address(), &position_,
                    sizeof(position_));
  }

  std::deque<Entry> tables_;
  std::deque<CudaTable> captured_;
  bool capturable_ = false;
  cuda::Position position_{};
  std::deque<OnDevice> positions_;
};

/// capturable: where a parameter's step count lies, and the learning rate of its group.
struct StepOnDevice {
  int64_t* step = nullptr;  // and cuda::Rates behind it
  const double* lr = nullptr;
  double rate = 0;  // step_size / lr
  bool debiased = false;
};

/// One pass over any number of parameters on CUDA devices.
class CudaJob {
 public:
  CudaJob(CudaMemory& memory, cuda::Entry pass, FusedEstimate estimate)
      : memory_(memory), pass_(pass), estimate_(estimate) {}

  void add(const at::Device& device, cuda::Work work) {
    if (work.task.count == 0) return;
    if (memory_.capturable()) {
      memory_.make_relative(work.shared.drawn.noise);
      memory_.make_relative(work.shared.next.noise);
    }
    size_t number = 0;
    for (Part& part : parts_) {
      if (part.device != device || part.element != work.element) continue;
      if (part.table->add(work)) return;
      ++number;
    }
    cuda::Runtime* runtime = cuda_runtime(device);
    const bool captured = is_capturing(device);
    TORCH_CHECK(!captured || memory_.capturable(),
                "ivon: a CUDA graph is being captured, but the optimizer keeps its step count and "
                "noise position on the host; build it with IVONOptions::capturable(true)");
    CudaTable& table = memory_.table(pass_, device, work.element, number, captured);
    table.clear();
    table.add(work);
    parts_.push_back({device, work.element, runtime, &table});
  }

  /// Compiles, allocates and writes what the launches need: everything that can fail while nothing
  /// has been changed yet.
  void prepare() {
    guarded([&](Part& part) {
      part.runtime->load(kernel(part), part.device.is_cuda() ? part.device.index() : 0);
      part.table->prepare(*part.runtime, part.device);
      memory_.position_on(part.device);
    });
  }
  void launch() {
    const bool updates = pass_ == cuda::Entry::kUpdate || pass_ == cuda::Entry::kStep;
    guarded([&](Part& part) {
      if (updates && memory_.capturable()) part.table->count_updates(*part.runtime, part.device);
      part.table->launch(*part.runtime, kernel(part), part.device,
                         memory_.position_on(part.device));
    });
  }

 private:
  struct Part {
    at::Device device;
    Element element;
    cuda::Runtime* runtime;
    CudaTable* table;
  };

  cuda::Kernel kernel(const Part& part) const { return {pass_, part.element, estimate_}; }

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
  cuda::Entry pass_;
  FusedEstimate estimate_;
  std::vector<Part> parts_;
};

}  // namespace detail
IVON_NAMESPACE_END
