// SPDX-License-Identifier: Apache-2.0
// Writes and reads the files of torch.save(): an archive of a pickle and one record for each
// tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <ivon/posterior/internal/checked_archive.hpp>
#include <ivon/version.hpp>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Returns the tensor on the CPU, in a storage of its own.
inline at::Tensor for_file(const at::Tensor& tensor) {
  const at::Tensor cpu = tensor.detach().to(at::kCPU);
  const bool fills = cpu.is_non_overlapping_and_dense() &&
                     cpu.storage().nbytes() == static_cast<size_t>(cpu.nbytes());
  return fills ? cpu : cpu.clone();
}

/// Returns whether every element of a strided tensor lies in the first `bytes` bytes of its
/// storage. Its offset, sizes and strides may be any numbers; negative ones and more elements than
/// an int64_t counts give false.
inline bool lies_within(const at::Tensor& tensor, uint64_t bytes) {
  const uint64_t item = tensor.dtype().itemsize();
  if (item == 0 || tensor.storage_offset() < 0) return false;
  bool is_empty = false;
  uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / item;
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    const int64_t size = tensor.sizes()[static_cast<size_t>(i)];
    if (size < 0 || tensor.strides()[static_cast<size_t>(i)] < 0) return false;
    is_empty = is_empty || size == 0;
    most /= static_cast<uint64_t>(std::max<int64_t>(size, 1));
  }
  if (most == 0) return false;
  if (is_empty) return true;
  const auto offset = static_cast<uint64_t>(tensor.storage_offset());
  if (offset >= bytes / item) return false;
  uint64_t left = bytes / item - offset - 1;  // elements behind the last one reached so far
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    const auto steps = static_cast<uint64_t>(tensor.sizes()[static_cast<size_t>(i)] - 1);
    const auto stride = static_cast<uint64_t>(tensor.strides()[static_cast<size_t>(i)]);
    if (stride > 0 && steps > left / stride) return false;
    left -= steps * stride;
  }
  return true;
}

/// Reads a file of torch.save(). The tensors may outlive the reader; tensors of one record share
/// their memory.
class PickledFile {
 public:
  /// Throws c10::Error without the file's name as CheckedArchive does, or if there is no pickle.
  explicit PickledFile(const std::string& file) : archive_(file) {
    const CheckedArchive::Entry* entry = archive_.find("data.pkl");
    TORCH_CHECK(entry != nullptr, "it is no file of PyTorch");
    if (entry->size > 0) {
      pickle_.assign(static_cast<const char*>(entry->data.get()), entry->size);
    }
  }

  /// Returns the stored pickle.
  const std::string& pickle() const { return pickle_; }

  /// Returns what a pickle holds, the stored one or one made from it. Throws c10::Error that begins
  /// with `refusal` if LibTorch cannot interpret it. Call check_tensor() for each tensor before its
  /// elements are read.
  c10::IValue content_of(const std::string& pickle, const char* refusal) {
    // LibTorch reads the scales of such a tensor while it interprets the pickle, where they could
    // not be checked before.
    TORCH_CHECK(pickle.find("_rebuild_qtensor") == std::string::npos, refusal,
                ": it holds a quantized tensor");
    size_t place = 0;
    const auto read = [&](char* out, size_t count) {
      count = std::min(count, pickle.size() - place);
      if (count > 0) std::memcpy(out, pickle.data() + place, count);
      place += count;
      return count;
    };
    const auto read_record = [this](const std::string& name) { return record(name); };
    torch::jit::Unpickler unpickler(read, nullptr, nullptr, read_record, at::kCPU);
    std::string reason;
    try {
      return unpickler.parse_ivalue();
    } catch (const c10::Error& error) {
      reason = error.what_without_backtrace();
    } catch (const std::exception& error) {
      reason = error.what();
    }
    C10_THROW_ERROR(Error, c10::str(refusal, ": ", reason));
  }

  /// Throws c10::Error that calls the tensor `name` unless it is a dense tensor of the CPU all of
  /// whose elements lie in its record. LibTorch's unpickler takes offset, sizes, strides and the
  /// storage's size from the pickle as they are.
  void check_tensor(const at::Tensor& tensor, const std::string& name) const {
    TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided && tensor.is_cpu() &&
                    !tensor.is_quantized() && tensor.has_storage(),
                "'", name, "' is no dense tensor of the CPU");
    const uint64_t bytes = tensor.storage().nbytes();
    const auto record = sizes_.find(tensor.storage().data());
    TORCH_CHECK((bytes == 0 || (record != sizes_.end() && bytes <= record->second)) &&
                    lies_within(tensor, bytes),
                "'", name, "' is larger than its data");
  }

 private:
  // A record of a tensor. Tied tensors name it more than once, so they own it together.
  at::DataPtr record(const std::string& name) {
    using Owner = std::shared_ptr<at::DataPtr>;
    CheckedArchive::Entry* entry = archive_.find("data/" + name);
    TORCH_CHECK(entry != nullptr, "it lacks the data of a tensor");
    Owner& owner = owners_[name];
    if (owner == nullptr) {
      owner = std::make_shared<at::DataPtr>(std::move(entry->data));
      sizes_[owner->get()] = entry->size;
    }
    return {owner->get(), new Owner(owner),
            [](void* shared) { delete static_cast<Owner*>(shared); }, at::kCPU};
  }

  CheckedArchive archive_;
  std::string pickle_;
  std::map<std::string, std::shared_ptr<at::DataPtr>> owners_;  // of the records used, by name
  std::map<const void*, uint64_t> sizes_;                       // of these records, by address
};

/// Writes plain dictionaries, lists, numbers, strings and tensors that for_file() returned. What
/// goes wrong is reported by `out.commit()`.
inline void write_pickled(const c10::IValue& content, AtomicFile& out) {
  std::string pickle;
  // Without type tags, which Python does not accept with weights_only.
  torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                              nullptr, nullptr, nullptr, nullptr, /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(content);
  pickler.stop();

  // The writer must not see a failure, because its destructor would write again.
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    out.write(data, size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  size_t number = 0;
  for (const at::Tensor& tensor : pickler.tensorData()) {
    const torch::jit::WriteableTensorData data = torch::jit::getWriteableTensorData(tensor);
    writer.writeRecord("data/" + std::to_string(number++), data.data(), data.sizeInBytes());
  }
  writer.writeEndOfFile();
}

}  // namespace detail
IVON_NAMESPACE_END
