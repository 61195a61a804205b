// SPDX-License-Identifier: Apache-2.0
// Passes over parameters on CUDA devices: one launch for all tensors of an element type, over
// tables in device memory that are written when something in them changes.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <ivon/kernels/cuda/convert.hpp>
#include <ivon/kernels/cuda/runtime.hpp>
#include <ivon/version.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

// --- devices and streams ------------------------------------------------------------------------

/// Whether a stream tells its handle (cudaStream_t), as it does from LibTorch 2.11 on.
template <class Stream, class = void>
inline constexpr bool kTellsHandle = false;
template <class Stream>
inline constexpr bool
    kTellsHandle<Stream, std::void_t<decltype(std::declval<const Stream&>().native_handle())>> =
        true;

/// Where LibTorch's libraries are, with a final slash.
inline std::string torch_folder() { return cuda::folder_of(&at::globalContext()); }

/// For LibTorch before 2.11; with the reason where there is no way to its streams.
inline const std::pair<cuda::TorchStreams, std::string>& torch_streams() {
  static const std::pair<cuda::TorchStreams, std::string> streams = [] {
    std::pair<cuda::TorchStreams, std::string> found;
    if (!found.first.load(torch_folder(), found.second)) {
      found.second =
          "this LibTorch does not tell its streams, as 2.11 and later do: " + found.second;
    }
    return found;
  }();
  return streams;
}

/// The handle of `stream`, which is its device's current one.
template <class Stream>
void* handle_of_current(const Stream& stream) {
  if constexpr (kTellsHandle<Stream>) {
    return stream.native_handle();
  } else {
    void* handle = nullptr;
    const auto& streams = torch_streams().first;
    TORCH_CHECK(streams.aoti_torch_get_current_cuda_stream(stream.device_index(), &handle) == 0,
                "ivon: LibTorch does not tell the current stream of ", stream.device(),
                "; set IVON_CUDA_BACKEND=aten to go without compiled kernels");
    return handle;
  }
}

/// The process's way to compute on CUDA devices. Its NVRTC may lie beside LibTorch.
inline const cuda::Backend& cuda_backend() {
  try {
    return cuda::backend(torch_folder(),
                         kTellsHandle<c10::Stream> ? std::string() : torch_streams().second);
  } catch (const std::runtime_error& error) {
    TORCH_CHECK(false, error.what());
  }
}

/// Launches kernels for tensors of this device; nullptr where tensor expressions serve them.
inline cuda::Runtime* cuda_runtime(const at::Device& device) {
  if (cuda::host_runtime() != nullptr) return device.is_cpu() ? cuda::host_runtime() : nullptr;
  if (!device.is_cuda()) return nullptr;
  const cuda::Backend& backend = cuda_backend();
  if (backend.runtime == nullptr && !backend.by_choice) {
    TORCH_WARN_ONCE(
        "ivon: CUDA parameters are computed by tensor expressions, several times slower "
        "than by compiled kernels: ",
        backend.reason,
        "; install the NVRTC of your LibTorch's CUDA version, or set "
        "IVON_CUDA_BACKEND=aten to silence this");
  }
  return backend.runtime;
}

/// The stream that LibTorch queues a device's work on now; the host's memory has one that is not.
inline c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}
inline cuda::Place current_place(const at::Device& device) {
  if (!device.is_cuda()) return {};
  return {static_cast<int>(device.index()), handle_of_current(current_stream(device))};
}

/// Whether what is queued for this device now goes into a CUDA graph.
inline bool is_capturing(const at::Device& device) {
  cuda::Runtime* runtime = cuda_runtime(device);
  return runtime != nullptr && runtime->is_capturing(current_place(device));
}

/// Keeps a tensor's memory from being used again before the work that is queued on the current
/// stream is done, where that is not the stream that it was allocated on.
class StreamMark {
 public:
  /// `tensors`: everything that the mark is for; allocated on the stream of the first call.
  void use(const at::Device& device, std::initializer_list<at::Tensor> tensors) {
    if (!device.is_cuda()) return;
    const c10::Stream stream = current_stream(device);
    if (known_ && stream.id() == id_) return;
    if (known_) {
      for (const at::Tensor& tensor : tensors) {
        if (tensor.defined() && tensor.is_cuda()) tensor.record_stream(stream);
      }
    }
    known_ = true;
    id_ = stream.id();
  }

 private:
  bool known_ = false;
  c10::StreamId id_ = 0;
};

// --- tables -------------------------------------------------------------------------------------

inline int64_t blocks_for(int64_t threads) {
  return (threads + cuda::kThreads - 1) / cuda::kThreads;
}

/// Queues a write of `size` bytes, a multiple of 4, to device memory: ordered with all else on the
/// stream, part of a graph that is captured, and nobody waits for it.
inline void write_to_device(cuda::Runtime& runtime, const at::Device& device, void* destination,
                            const void* content, size_t size) {
  for (size_t begin = 0; begin < size; begin += cuda::kPageBytes) {
    const size_t piece = std::min<size_t>(cuda::kPageBytes, size - begin);
    cuda::Page page{};
    page.destination = reinterpret_cast<uint32_t*>(static_cast<char*>(destination) + begin);
    page.words = piece / sizeof(uint32_t);
    std::memcpy(page.data, static_cast<const char*>(content) + begin, piece);
    runtime.launch({cuda::Entry::kWritePage}, current_place(device),
                   blocks_for(static_cast<int64_t>(page.words)), &page);
  }
}

/// Fills a dense float32 tensor with the normals of a key, in memory order.
inline void fill_on_device(const at::Tensor& normals, const NoiseKey& key) {
  if (normals.numel() == 0) return;
  const at::Device device = normals.device();
  const c10::DeviceGuard guard(device);
  const cuda::Filling filling{key, normals.mutable_data_ptr<float>(), normals.numel()};
  try {
    cuda_runtime(device)->launch({cuda::Entry::kFill}, current_place(device),
                                 blocks_for((normals.numel() + 3) / 4), &filling);
  } catch (const std::runtime_error& error) {
    TORCH_CHECK(false, error.what());
  }
}

/// A table in device memory with its copy on the host; pages that differ are written.
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
      copy_.resize(std::min(copy_.size(), begin));  // a launch that fails leaves the rest unknown
      write_to_device(runtime, device, static_cast<char*>(rows_.mutable_data_ptr()) + begin,
                      from + begin, piece);
    }
    copy_.assign(from, from + size);
  }

 private:
  at::Tensor rows_;
  std::vector<unsigned char> copy_;  // what the device holds once it has done what is queued
  StreamMark mark_;
};

/// One launch: parameters of one element type on one device.
class CudaTable {
 public:
  int64_t tasks() const { return static_cast<int64_t>(tasks_.size()); }

  /// Empties the list; what the device holds stays known.
  void clear() {
    tasks_.clear();
    gradients_.clear();
    sets_.clear();
    chunks_ = 0;
  }

  /// False where the launch has no room for what this parameter shares with others.
  bool add(cuda::Work work) {
    size_t set = sets_.size();
    while (set > 0 && !cuda::same(sets_[set - 1], work.shared)) --set;
    if (set == 0) {
      if (sets_.size() == cuda::kMaxSets) return false;
      sets_.push_back(work.shared);
      set = sets_.size();
    }
    work.task.set = static_cast<uint32_t>(set - 1);
    work.task.aligned = cuda::aligned(work) ? 1 : 0;
    work.task.first_chunk = chunks_;
    chunks_ += cuda::chunks_of(work.task.count);
    tasks_.push_back(work.task);
    gradients_.push_back(work.gradient);
    return true;
  }

  /// Brings the list to the device. What can fail for lack of memory fails here.
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
    runtime.launch({cuda::Entry::kListChunks}, current_place(device), blocks_for(chunks_),
                   &listing);
    listed_ = std::move(counts);
  }

  /// Counts an update of every parameter (capturable).
  void count_updates(cuda::Runtime& runtime, const at::Device& device) const {
    cuda::Counting counting{};
    counting.tasks = device_tasks_.data();
    counting.tasks_count = tasks();
    std::copy(sets_.begin(), sets_.end(), counting.sets);
    runtime.launch({cuda::Entry::kCountUpdates}, current_place(device), blocks_for(tasks()),
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
    std::copy(sets_.begin(), sets_.end(), launch.sets);
    runtime.launch(kernel, current_place(device), chunks_, &launch);
  }

 private:
  cuda::Chunk* chunks() const {
    return static_cast<cuda::Chunk*>(device_chunks_.mutable_data_ptr());
  }

  std::vector<cuda::Task> tasks_;
  std::vector<const void*> gradients_;
  std::vector<cuda::Set> sets_;
  int64_t chunks_ = 0;
  DeviceTable<cuda::Task> device_tasks_;
  DeviceTable<const void*> device_gradients_;
  at::Tensor device_chunks_;
  std::vector<int64_t> listed_;  // the counts whose chunks the device has
  StreamMark mark_;              // of device_chunks_
};

}  // namespace detail
IVON_NAMESPACE_END
