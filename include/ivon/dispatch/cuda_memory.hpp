// SPDX-License-Identifier: Apache-2.0
// Keeps the data in device memory that the CUDA passes of one optimizer use from call to call.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <ivon/dispatch/cuda_tables.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The data in device memory of one optimizer's CUDA passes: tables and, if capturable, noise
/// positions.
class CudaMemory {
 public:
  /// Returns the table for a launch of this kind. Usually it is the table of the last call, most of
  /// which is still right. For a launch that is captured into a graph it is a new table, which is
  /// kept as long as this object, because replays of the graph read it. `number` counts the
  /// launches of this kind in one job.
  CudaTable& table(cuda::EntryPoint pass, const at::Device& device, Dtype dtype, size_t number,
                   bool captured) {
    if (captured) return captured_.emplace_back();
    for (KeptTable& kept : tables_) {
      if (kept.pass == pass && kept.device == device && kept.dtype == dtype &&
          kept.number == number) {
        return kept.table;
      }
    }
    return tables_.emplace_back(KeptTable{pass, device, dtype, number, {}}).table;
  }

  // --- capturable: the position of the noise in the memory of each device ---

  bool capturable() const { return capturable_; }
  void make_capturable() { capturable_ = true; }

  /// Sets the optimizer's own position to `now`, and adds `draws` (training, prediction) to the
  /// positions in device memory.
  void move(const cuda::Position& now, const std::array<uint64_t, 2>& draws) {
    position_ = now;
    if (!capturable_) return;
    for (OnDevice& each : positions_) {
      cuda::Counting counting{};
      counting.position = each.address();
      std::copy(draws.begin(), draws.end(), counting.draws);
      launch(each.device, {cuda::EntryPoint::kCountUpdates}, 1, &counting);
    }
  }
  /// Sets the position to `now`, here and in device memory.
  void set(const cuda::Position& now) {
    position_ = now;
    for (OnDevice& each : positions_) write(each);
  }
  /// Waits for a device and returns the position in its memory; without devices returns the
  /// optimizer's own position.
  cuda::Position read() const {
    if (positions_.empty()) return position_;
    cuda::Position position{};
    const at::Tensor words = positions_.front().words.cpu();
    std::memcpy(&position, words.const_data_ptr(), sizeof(position));
    return position;
  }

  /// Replaces the draw of a key by its distance from the optimizer's position. The kernels add the
  /// position in device memory again.
  void make_relative(NoiseKey& key) const {
    key.draw -= position_.draws[static_cast<uint32_t>(key.domain)];
  }
  /// Returns the address of the position in the memory of a device; null unless capturable.
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
  struct KeptTable {
    cuda::EntryPoint pass;
    at::Device device;
    Dtype dtype;
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

  std::deque<KeptTable> tables_;
  std::deque<CudaTable> captured_;
  bool capturable_ = false;
  cuda::Position position_{};
  std::deque<OnDevice> positions_;
};

}  // namespace detail
IVON_NAMESPACE_END
