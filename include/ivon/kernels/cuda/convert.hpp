// SPDX-License-Identifier: Apache-2.0
// Tasks as the passes of every device are given them, to what the CUDA kernels read. No LibTorch.
#pragma once

#include <cstdint>
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
  Set shared{};
  Element element = Element::kFloat32;
};

inline bool same(const PosteriorScale& a, const PosteriorScale& b) {
  return a.ess == b.ess && a.weight_decay == b.weight_decay && a.hess_floor == b.hess_floor;
}
inline bool same(const Drawing& a, const Drawing& b) {
  return a.noise.seed == b.noise.seed && a.noise.domain == b.noise.domain &&
         a.noise.draw == b.noise.draw && same(a.scale, b.scale);
}
/// Whether two parameters can share a set; the noise's parameter index is the task's.
inline bool same(const Set& a, const Set& b) {
  const UpdateCoefficients& x = a.update;
  const UpdateCoefficients& y = b.update;
  return same(a.drawn, b.drawn) && same(a.next, b.next) && same(x.scale, y.scale) &&
         x.beta1 == y.beta1 && x.rho == y.rho && x.hess_clip == y.hess_clip &&
         x.debias == y.debias && x.step_size == y.step_size && x.clip_radius == y.clip_radius &&
         a.samples == b.samples && a.rate == b.rate && a.debiased == b.debiased;
}

inline void put(Work& work, const PosteriorArrays& posterior) {
  work.element = posterior.element;
  work.task.mean = posterior.mean;
  work.task.wide_mean = posterior.wide_mean;
  work.task.hess = posterior.hess;
  work.task.count = posterior.count;
}
inline void put(Work& work, const SampleTask& task) {
  put(work, task.posterior);
  work.task.sampled = task.theta;
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.next = task.drawing;
}
inline void put(Work& work, const AccumulateTask& task) {
  put(work, task.posterior);
  work.task.theta = task.theta;
  work.gradient = task.gradient;
  work.task.gradient_sum = task.gradient_sum;
  work.task.statistic_sum = task.statistic_sum;
  work.task.first = task.first ? 1 : 0;
  work.task.from = static_cast<uint32_t>(task.from);
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.drawn = task.drawing;
}
inline void put(Work& work, const UpdateTask& task, int64_t* skipped) {
  put(work, task.posterior);
  work.task.momentum = task.momentum;
  work.task.theta = task.theta;
  work.gradient = task.gradient;
  work.task.gradient_sum = const_cast<void*>(task.gradient_sum);  // only read by kUpdate and kStep
  work.task.statistic_sum = const_cast<void*>(task.statistic_sum);
  work.task.skipped = skipped;
  work.task.from = static_cast<uint32_t>(task.from);
  work.task.parameter = task.drawing.noise.parameter;
  work.shared.drawn = task.drawing;
  work.shared.update = task.coefficients;
  work.shared.samples = task.samples;
}

/// Whether 16-byte accesses may begin at every array.
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
