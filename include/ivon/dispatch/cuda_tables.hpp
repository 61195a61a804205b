// SPDX-License-Identifier: Apache-2.0
// The tables in device memory that CUDA launches read: one row for each parameter of a dtype. A
// table is kept from call to call, and only the pages that changed are written.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <ivon/dispatch/cuda_device.hpp>
#include <ivon/kernels/cuda/convert.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

inline int64_t blocks_for(int64_t threads) {
  return (threads + cuda::kThreads - 1) / cuda::kThreads;
}

/// Queues a write of `size` bytes, a multiple of 4, to device memory. The write keeps its place
/// among the other work on the stream, becomes part of a graph that is being captured, and nothing
/// waits for it.
inline void write_to_device(cuda::Runtime& runtime, const at::Device& device, void* destination,
                            const void* content, size_t size) {
  for (size_t begin = 0; begin < size; begin += cuda::kPageBytes) {
    const size_t piece = std::min<size_t>(cuda::kPageBytes, size - begin);
    cuda::Page page{};
    page.destination = reinterpret_cast<uint32_t*>(static_cast<char*>(destination) + begin);
    page.words = piece / sizeof(uint32_t);
    std::memcpy(page.data, static_cast<const char*>(content) + begin, piece);
    runtime.launch({cuda::EntryPoint::kWritePage}, current_place(device),
                   blocks_for(static_cast<int64_t>(page.words)), &page);
  }
}

/// A table in device memory and a copy of it on the host. Only the pages that differ from the copy
/// are written.
template <class Row>
class DeviceTable {
 public:
  const Row* data() const { return static_cast<const Row*>(rows_.const_data_ptr()); }

  void assign(cuda::Runtime& runtime, const at::Device& device, const std::vector<Row>& rows) {
    const size_t size = rows.size() * sizeof(Row);
    const size_t capacity = rows_.defined() ? static_cast<size_t>(rows_.numel()) : 0;
    if (size > capacity) {
      const auto options = at::TensorOptions().dtype(at::kByte).device(device);
      copy_.clear();
      rows_ = at::empty({static_cast<int64_t>(std::max(size, 2 * capacity))}, options);
      mark_ = StreamMark();
    }
    mark_.use(device, {rows_});
    const auto* from = reinterpret_cast<const unsigned char*>(rows.data());
    for (size_t begin = 0; begin < size; begin += cuda::kPageBytes) {
      const size_t piece = std::min<size_t>(cuda::kPageBytes, size - begin);
      const bool known = begin + piece <= copy_.size();
      if (known && std::memcmp(copy_.data() + begin, from + begin, piece) == 0) continue;
      copy_.resize(std::min(copy_.size(), begin));  // if a launch fails, the rest counts as unknown
      write_to_device(runtime, device, static_cast<char*>(rows_.mutable_data_ptr()) + begin,
                      from + begin, piece);
    }
    copy_.assign(from, from + size);
  }

 private:
  at::Tensor rows_;
  std::vector<unsigned char> copy_;  // what the device holds after all queued writes
  StreamMark mark_;
};

/// The parameters of one launch, which have one dtype and lie on one device.
class CudaTable {
 public:
  int64_t tasks() const { return static_cast<int64_t>(tasks_.size()); }

  /// Empties the list, but keeps the copy of what the device holds.
  void clear() {
    tasks_.clear();
    gradients_.clear();
    shared_.clear();
    chunks_ = 0;
  }

  /// Adds a parameter. Returns false if the launch has no room for another set of shared values.
  bool add(cuda::Work work) {
    size_t place = shared_.size();
    while (place > 0 && !cuda::same(shared_[place - 1], work.shared)) --place;
    if (place == 0) {
      if (shared_.size() == cuda::kMaxShared) return false;
      shared_.push_back(work.shared);
      place = shared_.size();
    }
    work.task.shared = static_cast<uint32_t>(place - 1);
    work.task.aligned = cuda::aligned(work) ? 1 : 0;
    work.task.first_chunk = chunks_;
    chunks_ += cuda::chunks_of(work.task.count);
    tasks_.push_back(work.task);
    gradients_.push_back(work.gradient);
    return true;
  }

  /// Writes the list to device memory. Everything that can fail for lack of memory happens here.
  void prepare(cuda::Runtime& runtime, const at::Device& device) {
    device_tasks_.assign(runtime, device, tasks_);
    device_gradients_.assign(runtime, device, gradients_);
    std::vector<int64_t> counts;
    counts.reserve(tasks_.size());
    for (const cuda::Task& task : tasks_) counts.push_back(task.count);
    if (counts == listed_) return;
    listed_.clear();
    const auto options = at::TensorOptions().dtype(at::kByte).device(device);
    device_chunks_ = at::empty({chunks_ * static_cast<int64_t>(sizeof(cuda::Chunk))}, options);
    mark_ = StreamMark();
    mark_.use(device, {});
    const cuda::Listing listing{device_tasks_.data(), tasks(), chunks(), chunks_};
    runtime.launch({cuda::EntryPoint::kListChunks}, current_place(device), blocks_for(chunks_),
                   &listing);
    listed_ = std::move(counts);
  }

  /// capturable: adds 1 to the step count of every parameter in device memory.
  void count_updates(cuda::Runtime& runtime, const at::Device& device) const {
    cuda::Counting counting{};
    counting.tasks = device_tasks_.data();
    counting.tasks_count = tasks();
    std::copy(shared_.begin(), shared_.end(), counting.shared);
    runtime.launch({cuda::EntryPoint::kCountUpdates}, current_place(device), blocks_for(tasks()),
                   &counting);
  }

  void launch(cuda::Runtime& runtime, const cuda::Kernel& kernel, const at::Device& device,
              const cuda::Position* position) {
    mark_.use(device, {device_chunks_});
    cuda::Launch launch{};
    launch.tasks = device_tasks_.data();
    launch.gradients = device_gradients_.data();
    launch.chunks = chunks();
    launch.position = position;
    std::copy(shared_.begin(), shared_.end(), launch.shared);
    runtime.launch(kernel, current_place(device), chunks_, &launch);
  }

 private:
  cuda::Chunk* chunks() const {
    return static_cast<cuda::Chunk*>(device_chunks_.mutable_data_ptr());
  }

  std::vector<cuda::Task> tasks_;
  std::vector<const void*> gradients_;
  std::vector<cuda::SharedValues> shared_;
  int64_t chunks_ = 0;
  DeviceTable<cuda::Task> device_tasks_;
  DeviceTable<const void*> device_gradients_;
  at::Tensor device_chunks_;
  std::vector<int64_t> listed_;  // the element counts from which device_chunks_ was made
  StreamMark mark_;              // of device_chunks_
};

}  // namespace detail
IVON_NAMESPACE_END
