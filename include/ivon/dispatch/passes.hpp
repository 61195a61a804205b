// SPDX-License-Identifier: Apache-2.0
// The passes over parameters: draw, accumulate, update. The fused kernels do them for all
// parameters as one job; tensor expressions do them for parameters whose tensors the kernels cannot
// take.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <ivon/dispatch/cuda_job.hpp>
#include <ivon/dispatch/parallel.hpp>
#include <ivon/dispatch/tensor_passes.hpp>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/kernels/cpu.hpp>
#include <ivon/version.hpp>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// How the passes over a parameter are done.
enum class Way {
  kCpu,     // fused kernels; all parameters form one parallel job
  kCuda,    // fused kernels; parameters of one device and dtype share a launch
  kTensors  // tensor expressions
};

/// Chooses how a pass over a parameter is done. `cuda_kernels` says whether the pass has CUDA
/// kernels; with a user's own estimator it has none.
inline Way way_for(const PosteriorTensors& posterior, bool cuda_kernels) {
  if (!is_fusible(posterior)) return Way::kTensors;
  const at::Device device = posterior.mean.device();
  if (cuda_runtime(device) != nullptr) return cuda_kernels ? Way::kCuda : Way::kTensors;
  return device.is_cpu() ? Way::kCpu : Way::kTensors;
}

/// Returns the name of the estimator for which a CUDA pass is compiled. For a user's own estimator
/// it is PriceEstimator, because its CUDA passes only draw samples, which does not depend on the
/// estimator.
template <class E>
inline const char* cuda_estimator() {
  return kCudaEstimator<E> != nullptr ? kCudaEstimator<E> : kCudaEstimator<PriceEstimator>;
}

inline bool fuses_as_shown(const at::Tensor& tensor, const at::Tensor& mean) {
  return fuses_with(tensor, mean, mean.scalar_type());
}
inline bool fuses(const Evidence& evidence, const at::Tensor& mean) {
  return evidence.from == StatisticFrom::kSums ||
         (fuses_as_shown(evidence.gradient, mean) && fuses_as_shown(evidence.theta, mean));
}

/// Throws if the optimizer is capturable and the parameter lies on a CUDA device, because tensor
/// expressions use the noise position on the host, and replays advance only the one in device
/// memory.
inline void refuse_in_graph(const CudaMemory& memory, const at::Tensor& mean) {
  TORCH_CHECK(
      !memory.capturable() || !mean.is_cuda(),
      "ivon: capturable needs compiled kernels for every parameter, but one on ", mean.device(),
      " with strides ", mean.strides(),
      " goes by tensor expressions; pass dense parameters and gradients, take one of ivon's "
      "own estimators, and see ivon::cuda_backend_info()");
}

/// Adds a task to the kernels of the CPU or, with Way::kCuda, to those of the device.
template <class Task>
void add_fused(const Task& task, Way way, const at::Device& device, TaskList<Task>& cpu,
               CudaJob& cuda) {
  if (way == Way::kCpu) {
    cpu.add(task, task.posterior.count);
    return;
  }
  cuda::Work work;
  put(work, task);
  cuda.add(device, work);
}

/// Runs one pass: the jobs `cuda` on their devices, `by_tensors` as tensor expressions, and `fused`
/// on the CPU. The CUDA jobs compile their kernels and allocate memory before any parameter is
/// changed, so that a failure there leaves all of them as they were. Returns the sum of the results
/// of `run_block`.
template <class Task, class RunBlock>
int64_t run_pass(std::initializer_list<CudaJob*> cuda,
                 const std::vector<std::function<void()>>& by_tensors, const TaskList<Task>& fused,
                 const RunBlock& run_block) {
  for (CudaJob* job : cuda) job->prepare();
  for (const auto& work : by_tensors) work();
  for (CudaJob* job : cuda) job->launch();
  const Isa isa = current_isa();
  return fused.run(
      [&](const Task& task, int64_t block) -> int64_t { return run_block(isa, task, block); });
}

/// Draws the samples of any number of parameters.
class SampleJob {
 public:
  SampleJob(CudaMemory& memory, size_t parameters)
      : memory_(memory),
        cuda_(memory, cuda::EntryPoint::kSample, cuda_estimator<PriceEstimator>()) {
    fused_.reserve(parameters);
  }

  /// Adds a parameter. `theta` has the parameter's dtype and holds the sample after run().
  void add(const PosteriorTensors& posterior, const at::Tensor& theta, const Drawing& drawing) {
    const Way way = fuses_as_shown(theta, posterior.mean)
                        ? way_for(posterior, /*cuda_kernels=*/true)
                        : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, posterior.mean);
      aten::draw(posterior, theta, drawing);
      return;
    }
    const SampleTask task{arrays_of(posterior, reading), writing(theta), drawing};
    add_fused(task, way, posterior.mean.device(), fused_, cuda_);
  }

  void run() {
    run_pass({&cuda_}, {}, fused_, [](Isa isa, const SampleTask& task, int64_t block) {
      sample_block(isa, task, block);
      return 0;
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
      : memory_(memory), cuda_(memory, cuda::EntryPoint::kAccumulate, cuda_estimator<E>()) {
    fused_.reserve(parameters);
  }

  /// Adds a parameter. The sums in `evidence` have the parameter's memory order. With `overwrite`
  /// they hold nothing yet and are written instead of added to.
  void add(const PosteriorTensors& posterior, const Evidence& evidence, bool overwrite) {
    const Way way = fuses(evidence, posterior.mean)
                        ? way_for(posterior, kCudaEstimator<E> != nullptr)
                        : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, posterior.mean);
      add_by_tensors(posterior, evidence, overwrite);
      return;
    }
    const AccumulateTask task{arrays_of(posterior, reading),
                              reading(evidence.theta),
                              reading(evidence.gradient),
                              writing(evidence.gradient_sum),
                              writing(evidence.statistic_sum),
                              overwrite,
                              evidence.from,
                              evidence.drawing};
    add_fused(task, way, posterior.mean.device(), fused_, cuda_);
  }

  void run() {
    run_pass({&cuda_}, {}, fused_, [](Isa isa, const AccumulateTask& task, int64_t block) {
      accumulate_block<E>(isa, task, block);
      return 0;
    });
  }

 private:
  static void add_by_tensors(const PosteriorTensors& posterior, const Evidence& evidence,
                             bool overwrite) {
    const at::Tensor gradient = evidence.gradient.to(posterior.hess.scalar_type());
    const at::Tensor deviation = aten::deviation_of<E>(posterior, evidence);
    if (overwrite) {
      evidence.gradient_sum.copy_(gradient);
      evidence.statistic_sum.copy_(E::statistic(deviation, gradient));
    } else {
      evidence.gradient_sum.add_(gradient);
      evidence.statistic_sum.copy_(E::add_statistic(evidence.statistic_sum, deviation, gradient));
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
        cuda_update_(memory, cuda::EntryPoint::kUpdate, cuda_estimator<E>()),
        cuda_sample_(memory, cuda::EntryPoint::kSample, cuda_estimator<E>()),
        cuda_step_(memory, cuda::EntryPoint::kStep, cuda_estimator<E>()) {
    fused_.reserve(parameters);
  }

  struct Update {
    const at::Tensor& momentum;
    const Evidence& evidence;
    const UpdateCoefficients& coefficients;
    const at::Tensor& skipped;  // on the parameter's device; counts skipped elements
    StepOnDevice on_device;     // used if capturable
  };
  struct Draw {
    const at::Tensor& theta;  // may be the tensor evidence.theta
    const Drawing& drawing;
  };

  /// Adds one parameter. Either `update` or `draw` may be nullptr.
  void add(const PosteriorTensors& posterior, const Update* update, const Draw* draw) {
    const at::Tensor& mean = posterior.mean;
    const bool fuse = (!update || (fuses(update->evidence, mean) &&
                                   fuses_with(update->momentum, mean, state_dtype(mean)))) &&
                      (!draw || fuses_as_shown(draw->theta, mean));
    const bool cuda_kernels = !update || kCudaEstimator<E> != nullptr;
    const Way way = fuse ? way_for(posterior, cuda_kernels) : Way::kTensors;
    if (way == Way::kTensors) {
      refuse_in_graph(memory_, mean);
      add_by_tensors(posterior, update, draw);
      return;
    }
    if (way == Way::kCpu) {
      if (mean.numel() == 0) return;
      fill(fused_.add(mean.numel()), posterior, update, draw);
    } else {
      StepTask task{};
      fill(task, posterior, update, draw);
      add_to_cuda(mean.device(), task, update);
    }
  }

  /// Returns the number of skipped elements of parameters on the CPU.
  int64_t run() {
    return run_pass({&cuda_update_, &cuda_sample_, &cuda_step_}, by_tensors_, fused_,
                    [](Isa isa, const StepTask& task, int64_t block) -> int64_t {
                      if (!task.samples) return update_block<E>(isa, task.update, block);
                      if (task.updates) return step_block<E>(isa, task.update, task.sample, block);
                      sample_block(isa, task.sample, block);
                      return 0;
                    });
  }

 private:
  struct StepTask {
    bool updates = false;
    bool samples = false;
    UpdateTask update;  // if `updates`
    SampleTask sample;  // if `samples`
  };

  // Holds the tensors to which PosteriorTensors refers.
  struct KeptPosterior {
    explicit KeptPosterior(const PosteriorTensors& p)
        : mean(p.mean),
          wide_mean(p.wide_mean),
          hess(p.hess),
          prior_mean(p.prior_mean),
          prior_precision(p.prior_precision) {}
    PosteriorTensors tensors() const {
      return {mean, wide_mean, hess, prior_mean, prior_precision};
    }
    at::Tensor mean, wide_mean, hess, prior_mean, prior_precision;
  };

  void add_by_tensors(const PosteriorTensors& posterior, const Update* update, const Draw* draw) {
    const KeptPosterior kept(posterior);
    if (update) {
      by_tensors_.push_back([kept, momentum = update->momentum, evidence = update->evidence,
                             coefficients = update->coefficients, skipped = update->skipped] {
        aten::update_from<E>(kept.tensors(), momentum, evidence, coefficients, skipped);
      });
    }
    if (draw) {
      by_tensors_.push_back([kept, theta = draw->theta, drawing = draw->drawing] {
        aten::draw(kept.tensors(), theta, drawing);
      });
    }
  }

  // Writes the members one by one, because copies of tasks would take a noticeable part of the time
  // that a small parameter takes.
  static void fill(StepTask& task, const PosteriorTensors& posterior, const Update* update,
                   const Draw* draw) {
    task.updates = update != nullptr;
    task.samples = draw != nullptr;
    if (update) fill_update(task.update, posterior, *update);
    if (draw) {
      task.sample.posterior = arrays_of(posterior, reading);
      task.sample.theta = writing(draw->theta);
      task.sample.drawing = draw->drawing;
    }
  }

  static void fill_update(UpdateTask& task, const PosteriorTensors& posterior,
                          const Update& update) {
    const Evidence& evidence = update.evidence;
    const bool sums = evidence.from == StatisticFrom::kSums;
    task.posterior = arrays_of(posterior, writing);
    task.momentum = writing(update.momentum);
    task.theta = sums ? nullptr : reading(evidence.theta);
    task.gradient = sums ? nullptr : reading(evidence.gradient);
    task.gradient_sum = sums ? reading(evidence.gradient_sum) : nullptr;
    task.statistic_sum = sums ? reading(evidence.statistic_sum) : nullptr;
    task.samples = evidence.samples;
    task.from = evidence.from;
    task.drawing = evidence.drawing;
    task.coefficients = update.coefficients;
  }

  void add_to_cuda(const at::Device& device, const StepTask& task, const Update* update) {
    cuda::Work work;
    if (task.samples) put(work, task.sample);
    if (!task.updates) return cuda_sample_.add(device, work);
    put(work, task.update, static_cast<int64_t*>(writing(update->skipped)));
    if (update->on_device.step != nullptr) {
      work.task.step = update->on_device.step;
      work.task.lr = update->on_device.lr;
      work.shared.step_size_per_lr = update->on_device.step_size_per_lr;
      work.shared.decay_per_lr = update->on_device.decay_per_lr;
      work.shared.debiased = update->on_device.debiased ? 1 : 0;
    }
    (task.samples ? cuda_step_ : cuda_update_).add(device, work);
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
