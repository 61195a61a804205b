// SPDX-License-Identifier: Apache-2.0
// Connects LibTorch's CUDA devices and streams with the CUDA runtime of kernels/cuda.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <initializer_list>
#include <ivon/kernels/cuda/runtime.hpp>
#include <ivon/version.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Whether the class Stream has native_handle(), which returns the cudaStream_t. LibTorch has it
/// from 2.11 on.
template <class Stream, class = void>
inline constexpr bool kTellsHandle = false;
template <class Stream>
inline constexpr bool
    kTellsHandle<Stream, std::void_t<decltype(std::declval<const Stream&>().native_handle())>> =
        true;

/// Returns the folder of LibTorch's libraries, with a final slash.
inline std::string torch_folder() { return cuda::folder_of(&at::globalContext()); }

/// Returns the function that finds streams in LibTorch before 2.11, and the reason if it cannot be
/// loaded.
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

/// Returns the cudaStream_t of `stream`, which must be the current stream of its device.
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

/// Returns how this process computes on CUDA devices. NVRTC is looked for beside LibTorch's
/// libraries first.
inline const cuda::Backend& cuda_backend() {
  try {
    return cuda::backend(torch_folder(),
                         kTellsHandle<c10::Stream> ? std::string() : torch_streams().second);
  } catch (const std::runtime_error& error) {
    TORCH_CHECK(false, error.what());
  }
}

/// Returns the runtime that launches CUDA kernels for tensors on this device, or nullptr if there
/// is none and other code computes them.
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

/// Returns the stream on which LibTorch queues a device's work now. For the CPU this stream does
/// nothing.
inline c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}
inline cuda::Place current_place(const at::Device& device) {
  if (!device.is_cuda()) return {};
  return {static_cast<int>(device.index()), handle_of_current(current_stream(device))};
}

/// Whether work that is queued for this device now is captured into a CUDA graph.
inline bool is_capturing(const at::Device& device) {
  cuda::Runtime* runtime = cuda_runtime(device);
  return runtime != nullptr && runtime->is_capturing(current_place(device));
}

/// Protects the memory of tensors that are used on several streams. LibTorch may reuse freed memory
/// as soon as the work on the stream where it was allocated is done. The mark tells LibTorch to
/// wait also for the work on the stream where the tensors are used now.
class StreamMark {
 public:
  /// Must be called before each use of the tensors, always with all of them. They must have been
  /// allocated on the stream of the first call.
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

}  // namespace detail
IVON_NAMESPACE_END
