// SPDX-License-Identifier: Apache-2.0
// Tensors to pointers: which tensors the fused kernels take, and one parallel job for all of them.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/FunctionRef.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ivon/kernels/cpu.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Calls work(begin, end) for ranges that cover [0, items), on LibTorch's own threads, from `grain`
/// items a thread on. at::parallel_for in a header runs serially unless the user compiles with
/// -fopenmp; a TensorIterator's loop is compiled inside LibTorch.
inline void run_in_parallel(int64_t items, int64_t grain,
                            c10::function_ref<void(int64_t, int64_t)> work) {
  if (items <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) {
    if (items > 0) work(int64_t{0}, items);
    return;
  }
  at::Tensor tokens = at::empty({items}, at::TensorOptions().dtype(at::kByte).device(at::kCPU));
  const char* base = static_cast<const char*>(tokens.const_data_ptr());
  auto iterator = at::TensorIteratorConfig()
                      .check_all_same_dtype(false)
                      .resize_outputs(false)
                      .declare_static_shape({items})
                      .add_output(tokens)
                      .build();
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t inner, int64_t outer) {
        for (int64_t row = 0; row < outer; ++row) {
          const int64_t begin = data[0] - base + row * strides[1];
          work(begin, begin + inner);
        }
      },
      grain);
}

inline bool is_half(at::ScalarType dtype) { return dtype == at::kBFloat16 || dtype == at::kHalf; }

/// Precision of mean, Hessian and momentum of a parameter.
inline at::ScalarType state_dtype(const at::Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Whether element i in memory is the same element of both; the tensors have one shape.
inline bool same_memory_order(const at::Tensor& a, const at::Tensor& b) {
  for (int64_t dim = 0; dim < a.dim(); ++dim) {
    if (a.stride(dim) != b.stride(dim) && a.size(dim) != 1) return false;
  }
  return true;
}

/// The tensors of one parameter's posterior, all of the parameter's shape and device.
struct PosteriorTensors {
  const at::Tensor& mean;       // as the module shows it outside samples, in the parameter's dtype
  const at::Tensor& wide_mean;  // m in float32 for bfloat16 and float16 parameters, else undefined
  const at::Tensor& hess;
};

/// Whether a kernel can walk `tensor` together with `mean`.
inline bool fuses_with(const at::Tensor& tensor, const at::Tensor& mean, at::ScalarType dtype) {
  return tensor.device() == mean.device() && tensor.scalar_type() == dtype &&
         tensor.layout() == at::kStrided && same_memory_order(tensor, mean);
}

/// Whether a kernel can walk the tensors of this posterior.
inline bool is_fusible(const PosteriorTensors& posterior) {
  const at::Tensor& mean = posterior.mean;
  const at::ScalarType state = state_dtype(mean);
  return mean.is_non_overlapping_and_dense() && fuses_with(posterior.hess, mean, state) &&
         (!is_half(mean.scalar_type()) || fuses_with(posterior.wide_mean, mean, state));
}

/// Address of a tensor that is read only; unlike data_ptr() leaves a copy-on-write one unmade.
inline void* reading(const at::Tensor& tensor) {
  return const_cast<void*>(tensor.const_data_ptr());
}
inline void* writing(const at::Tensor& tensor) { return tensor.mutable_data_ptr(); }

inline Element element_of(at::ScalarType dtype) {
  return dtype == at::kDouble     ? Element::kFloat64
         : dtype == at::kBFloat16 ? Element::kBFloat16
         : dtype == at::kHalf     ? Element::kFloat16
                                  : Element::kFloat32;
}

/// The arrays of a fusible posterior; `address` is `reading` or `writing`.
inline PosteriorArrays arrays_of(const PosteriorTensors& posterior,
                                 void* (*address)(const at::Tensor&)) {
  const at::ScalarType dtype = posterior.mean.scalar_type();
  return {element_of(dtype), address(posterior.mean),
          is_half(dtype) ? static_cast<float*>(address(posterior.wide_mean)) : nullptr,
          address(posterior.hess), posterior.mean.numel()};
}

/// Tasks over many tensors as one job, split by blocks of elements whatever the tensors' sizes.
template <class Task>
class TaskList {
 public:
  /// A task over `count` elements.
  void add(Task task, int64_t count) {
    const int64_t blocks = block_count(count);
    if (blocks == 0) return;
    tasks_.push_back(std::move(task));
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + blocks);
  }

  /// Room for so many tasks at once: growing costs more than many a task.
  void reserve(size_t tasks) {
    tasks_.reserve(tasks);
    ends_.reserve(tasks);
  }

  /// Calls run_block(task, block) for every block of every task; returns the sum of the results.
  template <class RunBlock>
  int64_t run(const RunBlock& run_block) const {
    constexpr int64_t kGrain = 16;  // blocks: 65536 elements pay for waking a thread
    std::atomic<int64_t> total{0};
    run_in_parallel(ends_.empty() ? 0 : ends_.back(), kGrain, [&](int64_t begin, int64_t end) {
      auto task =
          static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin());
      int64_t sum = 0;
      for (int64_t position = begin; position < end; ++position) {
        while (position >= ends_[task]) ++task;
        const int64_t first = task == 0 ? 0 : ends_[task - 1];
        sum += run_block(tasks_[task], position - first);
      }
      total += sum;
    });
    return total;
  }

 private:
  std::vector<Task> tasks_;
  std::vector<int64_t> ends_;  // blocks up to and including each task
};

}  // namespace detail
IVON_NAMESPACE_END
