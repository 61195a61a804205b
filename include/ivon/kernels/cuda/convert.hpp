// SPDX-License-Identifier: Apache-2.0
// Converts tasks, which the passes of every device take, to the records that the CUDA kernels read.
// This file does not use LibTorch.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <ivon/kernels/cuda/records.hpp>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

/// One parameter of a launch: its own part, its gradient, and what it shares with others.
struct Work {
  Task task{};
  const void* gradient = nullptr;
  SharedValues shared{};
  Dtype dtype = Dtype::kFloat32;
};

/// Whether two parameters can share their values. SharedValues has no padding, so this compares
/// every field.
inline bool same(const SharedValues& a, const SharedValues& b) {
  // 0 and -0 count as different values, which costs a row of the table and nothing else.
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison)
  return std::memcmp(&a, &b, sizeof(SharedValues)) == 0;
}

/// Returns a drawing without the parameter's number, so that parameters can share it. Each
/// parameter has its number in its task.
inline Drawing without_parameter(Drawing drawing) {
  drawing.noise.parameter = 0;
  return drawing;
}

inline void put(Work& work, const PosteriorArrays& posterior) {
  work.dtype = posterior.dtype;
  work.task.mean = posterior.mean;
  work.task.wide_mean = posterior.wide_mean;
  work.task.hess = posterior.hess;
  work.task.count = posterior.count;
}
inline void put(Work& work, const SampleTask& task) {
  put(work, task.posterior);
  work.task.sampled = task.theta;
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.next = without_parameter(task.drawing);
}
inline void put(Work& work, const AccumulateTask& task) {
  put(work, task.posterior);
  work.task.theta = task.theta;
  work.gradient = task.gradient;
  work.task.gradient_sum = task.gradient_sum;
  work.task.statistic_sum = task.statistic_sum;
  work.task.overwrite = task.overwrite ? 1 : 0;
  work.task.from = static_cast<uint32_t>(task.from);
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.drawn = without_parameter(task.drawing);
}
inline void put(Work& work, const UpdateTask& task, int64_t* skipped) {
  put(work, task.posterior);
  work.task.momentum = task.momentum;
  work.task.theta = task.theta;
  work.gradient = task.gradient;
  work.task.gradient_sum = const_cast<void*>(task.gradient_sum);  // kUpdate and kStep only read it
  work.task.statistic_sum = const_cast<void*>(task.statistic_sum);
  work.task.skipped = skipped;
  work.task.from = static_cast<uint32_t>(task.from);
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.drawn = without_parameter(task.drawing);
  work.shared.update = task.coefficients;
  work.shared.samples = task.samples;
}

/// Whether every array begins at a multiple of 16 bytes, so that 16-byte accesses are allowed.
inline bool aligned(const Work& work) {
  uintptr_t all = 0;
  for (const void* array : std::initializer_list<const void*>{
           work.task.mean, work.task.wide_mean, work.task.hess, work.task.momentum,
           work.task.sampled, work.task.theta, work.task.gradient_sum, work.task.statistic_sum,
           work.gradient}) {
    all |= reinterpret_cast<uintptr_t>(array);
  }
  return all % 16 == 0;
}

}  // namespace detail::cuda
IVON_NAMESPACE_END
