// SPDX-License-Identifier: Apache-2.0
// The passes over one parameter: draw, accumulate, update. By the fused kernels, all parameters as
// one job, where its tensors allow, and by tensor expressions elsewhere.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <ivon/kernels/aten.hpp>
#include <ivon/kernels/dispatch.hpp>
#include <ivon/noise.hpp>
#include <optional>
#include <utility>

namespace ivon::detail {

/// What the samples of a step say about one parameter.
struct Evidence {
  StatisticFrom from;
  Drawing drawing;
  at::Tensor theta;          // the one sample; not read with kSums
  at::Tensor gradient;       // at theta, in the parameter's dtype and memory order; not with kSums
  at::Tensor gradient_sum;   // kSums: over the samples, in the state's dtype
  at::Tensor statistic_sum;  // kSums: likewise, of Estimator::statistic
  double samples = 1;
};

namespace aten {

/// m in the state's precision; a new tensor for bfloat16 and float16.
inline at::Tensor full_mean(const PosteriorTensors& posterior) {
  return posterior.wide_mean.defined() ? adopted(posterior.mean, posterior.wide_mean)
                                       : posterior.mean;
}

inline void draw(const PosteriorTensors& posterior, const at::Tensor& theta,
                 const Drawing& drawing) {
  const at::Tensor normals =
      standard_normal(posterior.mean, drawing.noise, posterior.hess.scalar_type());
  sample(full_mean(posterior), posterior.hess, normals, drawing.scale, theta);
}

/// Estimator::statistic of one sample; `gradient` in the state's dtype.
template <class E>
at::Tensor statistic(const PosteriorTensors& posterior, const Evidence& evidence,
                     const at::Tensor& gradient) {
  if constexpr (!E::kUsesDeviation) {
    return E::statistic(at::Tensor(), gradient);
  } else {
    const auto dtype = posterior.hess.scalar_type();
    return E::statistic(
        evidence.from == StatisticFrom::kNoise
            ? deviation(posterior.hess,
                        standard_normal(posterior.mean, evidence.drawing.noise, dtype),
                        evidence.drawing.scale)
            : evidence.theta.to(dtype) - full_mean(posterior),
        gradient);
  }
}

template <class E>
void update_from(const PosteriorTensors& posterior, const at::Tensor& momentum,
                 const Evidence& evidence, const UpdateCoefficients& coefficients,
                 const at::Tensor& skipped) {
  const bool sums = evidence.from == StatisticFrom::kSums;
  const auto dtype = posterior.hess.scalar_type();
  const at::Tensor gradient =
      sums ? evidence.gradient_sum / evidence.samples : evidence.gradient.to(dtype);
  const at::Tensor average = sums ? evidence.statistic_sum / evidence.samples
                                  : statistic<E>(posterior, evidence, gradient);
  const at::Tensor mean = full_mean(posterior);
  update<E>(mean, posterior.hess, momentum, gradient, average, coefficients, skipped);
  if (posterior.wide_mean.defined()) {
    posterior.wide_mean.copy_(mean);
    posterior.mean.copy_(mean);
  }
}

}  // namespace aten

inline std::optional<SampleTask> sample_task(const PosteriorTensors& posterior,
                                             const at::Tensor& theta, const Drawing& drawing) {
  if (!is_fusible(posterior) || !fuses_with(theta, posterior.mean, posterior.mean.scalar_type())) {
    return std::nullopt;
  }
  return SampleTask{arrays_of(posterior, reading), writing(theta), drawing};
}

/// Draws the samples of any number of parameters.
class SampleJob {
 public:
  explicit SampleJob(size_t parameters) { fused_.reserve(parameters); }

  /// theta, of the parameter's dtype, holds the sample after run().
  void add(const PosteriorTensors& posterior, const at::Tensor& theta, const Drawing& drawing) {
    if (const auto task = sample_task(posterior, theta, drawing)) {
      fused_.add(*task, task->posterior.count);
    } else {
      aten::draw(posterior, theta, drawing);
    }
  }

  void run() const {
    const Isa isa = current_isa();
    fused_.run([isa](const SampleTask& task, int64_t block) {
      sample_block(isa, task, block);
      return int64_t{0};
    });
  }

 private:
  TaskList<SampleTask> fused_;
};

/// Adds one sample of any number of parameters to their sums.
template <class E>
class AccumulateJob {
 public:
  explicit AccumulateJob(size_t parameters) { fused_.reserve(parameters); }

  /// The sums are the evidence's, in the parameter's memory order; `first`: they hold nothing yet.
  void add(const PosteriorTensors& posterior, const Evidence& evidence, bool first) {
    const at::Tensor& gradient = evidence.gradient;
    const at::Tensor& mean = posterior.mean;
    if (is_fusible(posterior) && fuses_with(gradient, mean, mean.scalar_type()) &&
        fuses_with(evidence.theta, mean, mean.scalar_type())) {
      fused_.add({arrays_of(posterior, reading), reading(evidence.theta), reading(gradient),
                  writing(evidence.gradient_sum), writing(evidence.statistic_sum), first,
                  evidence.from, evidence.drawing},
                 mean.numel());
      return;
    }
    const at::Tensor wide = gradient.to(posterior.hess.scalar_type());
    const at::Tensor statistic = aten::statistic<E>(posterior, evidence, wide);
    if (first) {
      evidence.gradient_sum.copy_(wide);
      evidence.statistic_sum.copy_(statistic);
    } else {
      evidence.gradient_sum.add_(wide);
      evidence.statistic_sum.add_(statistic);
    }
  }

  void run() const {
    const Isa isa = current_isa();
    fused_.run([isa](const AccumulateTask& task, int64_t block) {
      accumulate_block<E::kFused>(isa, task, block);
      return int64_t{0};
    });
  }

 private:
  TaskList<AccumulateTask> fused_;
};

/// Updates any number of parameters and draws their next samples, both in one pass over memory.
template <class E>
class StepJob {
 public:
  explicit StepJob(size_t parameters) { fused_.reserve(parameters); }

  struct Update {
    const at::Tensor& momentum;
    const Evidence& evidence;
    UpdateCoefficients coefficients;
    const at::Tensor& skipped;  // counts the elements left alone where the update is not fused
  };
  struct Draw {
    const at::Tensor& theta;  // may be the evidence's
    const Drawing& drawing;
  };

  /// One parameter; either part may be nullptr.
  void add(const PosteriorTensors& posterior, const Update* update, const Draw* draw) {
    StepTask task;
    if (update) task.update = update_task(posterior, *update);
    if (draw) task.sample = sample_task(posterior, draw->theta, draw->drawing);
    const bool fused = task.update.has_value() == (update != nullptr) &&
                       task.sample.has_value() == (draw != nullptr);
    if (fused) {
      fused_.add(std::move(task), posterior.mean.numel());
      return;
    }
    if (update) {
      aten::update_from<E>(posterior, update->momentum, update->evidence, update->coefficients,
                           update->skipped);
    }
    if (draw) aten::draw(posterior, draw->theta, draw->drawing);
  }

  /// Returns the elements of fused parameters that were left alone.
  int64_t run() const {
    const Isa isa = current_isa();
    return fused_.run([isa](const StepTask& task, int64_t block) {
      if (!task.sample) return update_block<E::kFused>(isa, *task.update, block);
      if (task.update) return step_block<E::kFused>(isa, *task.update, *task.sample, block);
      sample_block(isa, *task.sample, block);
      return int64_t{0};
    });
  }

 private:
  struct StepTask {
    std::optional<UpdateTask> update;
    std::optional<SampleTask> sample;
  };

  static std::optional<UpdateTask> update_task(const PosteriorTensors& posterior,
                                               const Update& update) {
    const Evidence& evidence = update.evidence;
    const at::Tensor& mean = posterior.mean;
    if (!is_fusible(posterior) || !fuses_with(update.momentum, mean, state_dtype(mean))) return {};
    const bool sums = evidence.from == StatisticFrom::kSums;
    if (!sums && !(fuses_with(evidence.gradient, mean, mean.scalar_type()) &&
                   fuses_with(evidence.theta, mean, mean.scalar_type()))) {
      return {};
    }
    return UpdateTask{arrays_of(posterior, writing),
                      writing(update.momentum),
                      sums ? nullptr : reading(evidence.theta),
                      sums ? nullptr : reading(evidence.gradient),
                      sums ? reading(evidence.gradient_sum) : nullptr,
                      sums ? reading(evidence.statistic_sum) : nullptr,
                      evidence.samples,
                      evidence.from,
                      evidence.drawing,
                      update.coefficients};
  }

  TaskList<StepTask> fused_;
};

}  // namespace ivon::detail
