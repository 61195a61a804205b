// SPDX-License-Identifier: Apache-2.0
// Runs many tasks as one parallel job on LibTorch's own threads.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/FunctionRef.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Calls work(begin, end) for ranges that together cover [0, items), on LibTorch's own threads. Up
/// to `grain` items are done by the calling thread alone. It does not use at::parallel_for, which
/// in a header runs serially unless the user compiles with -fopenmp. The loop of a TensorIterator
/// is compiled inside LibTorch.
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

/// Tasks over many tensors that run as one job. It is split into blocks of elements, so that all
/// threads are busy whatever the sizes of the tensors.
template <class Task>
class TaskList {
 public:
  /// Adds a task over `count` > 0 elements, which the caller must fill in.
  Task& add(int64_t count) {
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + block_count(count));
    return tasks_.emplace_back();
  }
  /// Adds a task over `count` elements.
  void add(const Task& task, int64_t count) {
    if (count > 0) add(count) = task;
  }

  /// Allocates room for `tasks` tasks at once, because growing step by step costs more than a small
  /// task.
  void reserve(size_t tasks) {
    tasks_.reserve(tasks);
    ends_.reserve(tasks);
  }

  /// Calls run_block(task, block) for every block of every task; returns the sum of the results.
  template <class RunBlock>
  int64_t run(const RunBlock& run_block) const {
    // Sixteen blocks: for fewer than 65536 elements it does not pay to wake a thread.
    constexpr int64_t kGrain = 16;
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
  std::vector<int64_t> ends_;  // number of blocks up to and including each task
};

}  // namespace detail
IVON_NAMESPACE_END
