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
#include <utility>
#include <vector>

namespace ivon::detail {

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

/// Whether `tensor` is a float32 CPU tensor that lies in memory as `like` does.
inline bool fuses_with(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided &&
         tensor.strides() == like.strides();
}

/// Whether the fused kernels take this parameter.
inline bool is_fusible(const at::Tensor& parameter) {
  return fuses_with(parameter, parameter) && parameter.is_non_overlapping_and_dense();
}

/// Tasks over many tensors as one job, split by blocks of elements whatever the tensors' sizes.
template <class Task>
class TaskList {
 public:
  void add(Task task) {
    const int64_t blocks = block_count(task.count);
    if (blocks == 0) return;
    tasks_.push_back(std::move(task));
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + blocks);
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

/// Draws every sample of the list.
inline void run_samples(const TaskList<SampleTask>& tasks) {
  const Isa isa = current_isa();
  tasks.run([isa](const SampleTask& task, int64_t block) {
    sample_block(isa, task, block);
    return int64_t{0};
  });
}

/// Runs every update of the list; returns the elements that were left alone.
template <FusedEstimate estimate>
int64_t run_updates(const TaskList<UpdateTask>& tasks) {
  const Isa isa = current_isa();
  return tasks.run([isa](const UpdateTask& task, int64_t block) {
    return update_block<estimate>(isa, task, block);
  });
}

}  // namespace ivon::detail
