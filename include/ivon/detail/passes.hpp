// SPDX-License-Identifier: Apache-2.0
// The passes over one parameter: draw, accumulate, update. By the fused kernels, all parameters as
// one job, where its tensors allow, and by tensor expressions elsewhere.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <ivon/detail/cuda_passes.hpp>
#include <ivon/kernels/aten.hpp>
#include <ivon/kernels/dispatch.hpp>
#include <ivon/noise.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

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
            // In the memory order of the sample: the mean may have been given another one since.
            ? deviation(posterior.hess,
                        standard_normal(evidence.theta, evidence.drawing.noise, dtype),
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

/// How a parameter's passes are done.
enum class Way {
  kCpu,     // fused, all parameters as one parallel job
  kCuda,    // fused, all parameters of a device as one launch
  kTensors  // by tensor expressions
};

inline Way way_for(const PosteriorTensors& posterior) {
  if (!is_fusible(posterior)) return Way::kTensors;
  const at::Device device = posterior.mean.device();
  if (cuda_runtime(device) != nullptr) return Way::kCuda;
  return device.is_cpu() ? Way::kCpu : Way::kTensors;
}

inline bool fuses_as_shown(const at::Tensor& tensor, const at::Tensor& mean) {
  return fuses_with(tensor, mean, mean.scalar_type());
}
inline bool fuses(const Evidence& evidence, const at::Tensor& mean) {
  return evidence.from == StatisticFrom::kSums ||
         (fuses_as_shown(evidence.gradient, mean) && fuses_as_shown(evidence.theta, mean));
}

/// Tensor expressions take their noise's position from the host.
inline void refuse_in_graph(const CudaMemory& memory, const at::Tensor& mean) {
  TORCH_CHECK(!memory.capturable() || !mean.is_cuda(),
              "ivon: capturable needs compiled kernels for every parameter, but one on ",
              mean.device(), " with strides ", mean.strides(),
              " goes by tensor expressions; pass dense parameters and gradients, and see "
              "ivon::cuda_backend_info()");
}

/// Draws the samples of any number of parameters.
class SampleJob {
 public:
  SampleJob(CudaMemory& memory, size_t parameters)
      : memory_(memory), cuda_(memory, cuda::Entry::kSample, FusedEstimate::kPrice) {
    fused_.reserve(parameters);
  }

  /// theta, of the parameter's dtype, holds the sample after run().
  void add(const PosteriorTensors& posterior, const at::Tensor& theta, const Drawing& drawing) {
    const Way way = fuses_as_shown(theta, posterior.mean) ? way_for(posterior) : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, posterior.mean);
      aten::draw(posterior, theta, drawing);
      return;
    }
    const SampleTask task{arrays_of(posterior, reading), writing(theta), drawing};
    if (way == Way::kCpu) {
      fused_.add(task, task.posterior.count);
    } else {
      cuda::Work work;
      put(work, task);
      cuda_.add(posterior.mean.device(), work);
    }
  }

  void run() {
    cuda_.prepare();
    cuda_.launch();
    const Isa isa = current_isa();
    fused_.run([isa](const SampleTask& task, int64_t block) {
      sample_block(isa, task, block);
      return int64_t{0};
    });
  }

 private:
  CudaMemory& memory_;
  TaskList<SampleTask> fused_;
  CudaJob cuda_;
};

/// Adds one sample of any number of parameters to their sums.
template <class E>
class AccumulateJob {
 public:
  AccumulateJob(CudaMemory& memory, size_t parameters)
      : memory_(memory), cuda_(memory, cuda::Entry::kAccumulate, E::kFused) {
    fused_.reserve(parameters);
  }

  /// The sums are the evidence's, in the parameter's memory order; `first`: they hold nothing yet.
  void add(const PosteriorTensors& posterior, const Evidence& evidence, bool first) {
    const Way way = fuses(evidence, posterior.mean) ? way_for(posterior) : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, posterior.mean);
      add_by_tensors(posterior, evidence, first);
      return;
    }
    const AccumulateTask task{arrays_of(posterior, reading),
                              reading(evidence.theta),
                              reading(evidence.gradient),
                              writing(evidence.gradient_sum),
                              writing(evidence.statistic_sum),
                              first,
                              evidence.from,
                              evidence.drawing};
    if (way == Way::kCpu) {
      fused_.add(task, task.posterior.count);
    } else {
      cuda::Work work;
      put(work, task);
      cuda_.add(posterior.mean.device(), work);
    }
  }

  void run() {
    cuda_.prepare();
    cuda_.launch();
    const Isa isa = current_isa();
    fused_.run([isa](const AccumulateTask& task, int64_t block) {
      accumulate_block<E::kFused>(isa, task, block);
      return int64_t{0};
    });
  }

 private:
  static void add_by_tensors(const PosteriorTensors& posterior, const Evidence& evidence,
                             bool first) {
    const at::Tensor wide = evidence.gradient.to(posterior.hess.scalar_type());
    const at::Tensor statistic = aten::statistic<E>(posterior, evidence, wide);
    if (first) {
      evidence.gradient_sum.copy_(wide);
      evidence.statistic_sum.copy_(statistic);
    } else {
      evidence.gradient_sum.add_(wide);
      evidence.statistic_sum.add_(statistic);
    }
  }

  CudaMemory& memory_;
  TaskList<AccumulateTask> fused_;
  CudaJob cuda_;
};

/// Updates any number of parameters and draws their next samples, both in one pass over memory.
template <class E>
class StepJob {
 public:
  StepJob(CudaMemory& memory, size_t parameters)
      : memory_(memory),
        cuda_update_(memory, cuda::Entry::kUpdate, E::kFused),
        cuda_sample_(memory, cuda::Entry::kSample, E::kFused),
        cuda_step_(memory, cuda::Entry::kStep, E::kFused) {
    fused_.reserve(parameters);
  }

  struct Update {
    const at::Tensor& momentum;
    const Evidence& evidence;
    UpdateCoefficients coefficients;
    const at::Tensor& skipped;  // on the parameter's device; counts the elements left alone there
    StepOnDevice on_device;     // capturable
  };
  struct Draw {
    const at::Tensor& theta;  // may be the evidence's
    const Drawing& drawing;
  };

  /// One parameter; either part may be nullptr.
  void add(const PosteriorTensors& posterior, const Update* update, const Draw* draw) {
    const at::Tensor& mean = posterior.mean;
    const bool fuse = (!update || (fuses(update->evidence, mean) &&
                                   fuses_with(update->momentum, mean, state_dtype(mean)))) &&
                      (!draw || fuses_as_shown(draw->theta, mean));
    const Way way = fuse ? way_for(posterior) : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, mean);
      add_by_tensors(posterior, update, draw);
      return;
    }
    StepTask task;
    if (update) task.update = update_task(posterior, *update);
    if (draw) {
      task.sample = SampleTask{arrays_of(posterior, reading), writing(draw->theta), draw->drawing};
    }
    if (way == Way::kCpu) {
      fused_.add(std::move(task), mean.numel());
    } else {
      add_to_cuda(mean.device(), task, update);
    }
  }

  /// Returns the elements of parameters on the CPU that were left alone.
  int64_t run() {
    CudaJob* const cuda_jobs[] = {&cuda_update_, &cuda_sample_, &cuda_step_};
    for (CudaJob* job : cuda_jobs) job->prepare();
    for (const auto& work : by_tensors_) work();
    for (CudaJob* job : cuda_jobs) job->launch();
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

  // Done when all that compiling and allocating may fail has been: a step changes all or nothing.
  void add_by_tensors(const PosteriorTensors& posterior, const Update* update, const Draw* draw) {
    const auto& [mean, wide_mean, hess] = posterior;
    if (update) {
      by_tensors_.push_back([mean = mean, wide_mean = wide_mean, hess = hess,
                             momentum = update->momentum, evidence = update->evidence,
                             coefficients = update->coefficients, skipped = update->skipped] {
        aten::update_from<E>({mean, wide_mean, hess}, momentum, evidence, coefficients, skipped);
      });
    }
    if (draw) {
      by_tensors_.push_back([mean = mean, wide_mean = wide_mean, hess = hess, theta = draw->theta,
                             drawing = draw->drawing] {
        aten::draw({mean, wide_mean, hess}, theta, drawing);
      });
    }
  }

  static UpdateTask update_task(const PosteriorTensors& posterior, const Update& update) {
    const Evidence& evidence = update.evidence;
    const bool sums = evidence.from == StatisticFrom::kSums;
    return {arrays_of(posterior, writing),
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

  void add_to_cuda(const at::Device& device, const StepTask& task, const Update* update) {
    cuda::Work work;
    if (task.sample) put(work, *task.sample);
    if (!task.update) return cuda_sample_.add(device, work);
    put(work, *task.update, static_cast<int64_t*>(writing(update->skipped)));
    if (update->on_device.step != nullptr) {
      work.task.step = update->on_device.step;
      work.task.lr = update->on_device.lr;
      work.shared.rate = update->on_device.rate;
      work.shared.debiased = update->on_device.debiased ? 1 : 0;
    }
    (task.sample ? cuda_step_ : cuda_update_).add(device, work);
  }

  CudaMemory& memory_;
  TaskList<StepTask> fused_;
  std::vector<std::function<void()>> by_tensors_;
  CudaJob cuda_update_;
  CudaJob cuda_sample_;
  CudaJob cuda_step_;
};

}  // namespace detail
IVON_NAMESPACE_END
