// SPDX-License-Identifier: Apache-2.0
// The entry points of one instruction set. Each call handles one block of at most kNoiseBlock
// elements. Values that are not in memory in full precision, such as noise or bfloat16 elements,
// are first written to small arrays of kStage elements, which stay in the first-level cache.
// Included inside a namespace that has loops.inl and half.inl.

inline constexpr int64_t kStage = 512;

template <class T>
struct Stage {
  alignas(64) T mean[kStage];
  alignas(64) T theta[kStage];
  alignas(64) T gradient[kStage];
};

// Returns elements begin ... begin + count - 1 of an array in full precision. bfloat16 and float16
// elements are converted into `room`; the others are used in place.
inline const double* in_full(Dtype /*dtype*/, const void* array, int64_t begin, int64_t /*count*/,
                             double* /*room*/) {
  return static_cast<const double*>(array) + begin;
}
inline const float* in_full(Dtype dtype, const void* array, int64_t begin, int64_t count,
                            float* room) {
  if (!is_half(dtype)) return static_cast<const float*>(array) + begin;
  widen_run(dtype, static_cast<const uint16_t*>(array) + begin, room, count);
  return room;
}

// Does the same as in_full for the mean, which the caller may overwrite.
inline double* mean_in_full(const PosteriorArrays& p, int64_t begin, int64_t /*count*/,
                            double* /*room*/) {
  return static_cast<double*>(p.mean) + begin;
}
inline float* mean_in_full(const PosteriorArrays& p, int64_t begin, int64_t count, float* room) {
  if (!is_half(p.dtype)) return static_cast<float*>(p.mean) + begin;
  adopt_run(p.dtype, p.wide_mean + begin, static_cast<const uint16_t*>(p.mean) + begin, room,
            count);
  return room;
}

template <class Pack, class T = typename Pack::Number>
inline void sample_part(const SampleTask& task, BlockNoise& noise) {
  const PosteriorArrays& p = task.posterior;
  const PosteriorScale& scale = task.drawing.scale;
  const T* h = static_cast<const T*>(p.hess);
  if (!is_half(p.dtype)) {
    return draw_run<Pack>(static_cast<const T*>(p.mean), h, static_cast<T*>(task.theta), p.count,
                          scale, noise);
  }
  if constexpr (std::is_same_v<T, float>) {
    Stage<float> stage;
    for (int64_t begin = 0; begin < p.count; begin += kStage) {
      const int64_t count = p.count - begin < kStage ? p.count - begin : kStage;
      const float* m = mean_in_full(p, begin, count, stage.mean);
      draw_run<Pack>(m, h + begin, stage.theta, count, scale, noise);
      narrow_run(p.dtype, stage.theta, static_cast<uint16_t*>(task.theta) + begin, count);
    }
  }
}

inline void sample_block(const SampleTask& task, int64_t block) {
  BlockNoise noise(task.drawing.noise, static_cast<uint32_t>(block));
  const BlockParts<SampleTask> parts(task, block);
  for (const SampleTask* part = parts.whole(); part != nullptr; part = parts.after(part)) {
    if (task.posterior.dtype == Dtype::kFloat64) {
      sample_part<Doubles>(*part, noise);
    } else {
      sample_part<Floats>(*part, noise);
    }
  }
  parts.copy_back();
}

template <class Estimator, class Pack, class T = typename Pack::Number>
inline void accumulate_part(const AccumulateTask& task, BlockNoise& noise) {
  const PosteriorArrays& p = task.posterior;
  const bool redraw = Estimator::kUsesDeviation && task.from == StatisticFrom::kNoise;
  const int64_t step = redraw || is_half(p.dtype) ? kStage : p.count;
  Stage<T> stage;
  for (int64_t begin = 0; begin < p.count; begin += step) {
    const int64_t count = p.count - begin < step ? p.count - begin : step;
    AccumulateRun<T> run{};
    run.gradient = in_full(p.dtype, task.gradient, begin, count, stage.gradient);
    if (redraw) {
      draw_run<Pack>(static_cast<const T*>(nullptr), static_cast<const T*>(p.hess) + begin,
                     stage.theta, count, task.drawing.scale, noise);
      run.deviation = stage.theta;
    } else if (Estimator::kUsesDeviation) {
      run.m = mean_in_full(p, begin, count, stage.mean);
      run.theta = in_full(p.dtype, task.theta, begin, count, stage.theta);
    }
    run.gradient_sum = static_cast<T*>(task.gradient_sum) + begin;
    run.statistic_sum = static_cast<T*>(task.statistic_sum) + begin;
    run.overwrite = task.overwrite;
    run.count = count;
    accumulate_run<Estimator, Pack>(run);
  }
}

template <class Estimator>
inline void accumulate_block(const AccumulateTask& task, int64_t block) {
  using Formulas = typename CompiledHere<Estimator>::Type;
  BlockNoise noise;
  if (task.from == StatisticFrom::kNoise) {
    noise = BlockNoise(task.drawing.noise, static_cast<uint32_t>(block));
  }
  const BlockParts<AccumulateTask> parts(task, block);
  for (const AccumulateTask* part = parts.whole(); part != nullptr; part = parts.after(part)) {
    if (task.posterior.dtype == Dtype::kFloat64) {
      accumulate_part<Formulas, Doubles>(*part, noise);
    } else {
      accumulate_part<Formulas, Floats>(*part, noise);
    }
  }
  parts.copy_back();
}

template <class Estimator, class Pack, class T = typename Pack::Number>
inline int64_t update_part(const UpdateTask& task, BlockNoise& noise) {
  const PosteriorArrays& p = task.posterior;
  const bool summed = task.from == StatisticFrom::kSums;
  const bool redraw = Estimator::kUsesDeviation && task.from == StatisticFrom::kNoise;
  const int64_t step = redraw || is_half(p.dtype) ? kStage : p.count;
  Stage<T> stage;
  int64_t skipped = 0;
  for (int64_t begin = 0; begin < p.count; begin += step) {
    const int64_t count = p.count - begin < step ? p.count - begin : step;
    UpdateRun<T> run{};
    run.m = mean_in_full(p, begin, count, stage.mean);
    run.h = static_cast<T*>(p.hess) + begin;
    run.g = static_cast<T*>(task.momentum) + begin;
    if (summed) {
      run.statistic_sum = static_cast<const T*>(task.statistic_sum) + begin;
      run.gradient = static_cast<const T*>(task.gradient_sum) + begin;
    } else {
      run.gradient = in_full(p.dtype, task.gradient, begin, count, stage.gradient);
      if (redraw) {
        draw_run<Pack>(static_cast<const T*>(nullptr), run.h, stage.theta, count,
                       task.drawing.scale, noise);
        run.deviation = stage.theta;
      } else if (Estimator::kUsesDeviation) {
        run.theta = in_full(p.dtype, task.theta, begin, count, stage.theta);
      }
    }
    run.samples = static_cast<T>(task.samples);
    run.count = count;
    skipped += update_run<Estimator, Pack>(run, task.coefficients);
    if constexpr (std::is_same_v<T, float>) {
      if (is_half(p.dtype)) {
        std::memcpy(p.wide_mean + begin, run.m, static_cast<size_t>(count) * sizeof(float));
        narrow_run(p.dtype, run.m, static_cast<uint16_t*>(p.mean) + begin, count);
      }
    }
  }
  return skipped;
}

template <class Estimator>
inline int64_t update_block(const UpdateTask& task, int64_t block) {
  using Formulas = typename CompiledHere<Estimator>::Type;
  BlockNoise noise;
  if (task.from == StatisticFrom::kNoise) {
    noise = BlockNoise(task.drawing.noise, static_cast<uint32_t>(block));
  }
  const BlockParts<UpdateTask> parts(task, block);
  int64_t skipped = 0;
  for (const UpdateTask* part = parts.whole(); part != nullptr; part = parts.after(part)) {
    if (task.posterior.dtype == Dtype::kFloat64) {
      skipped += update_part<Formulas, Doubles>(*part, noise);
    } else {
      skipped += update_part<Formulas, Floats>(*part, noise);
    }
  }
  parts.copy_back();
  return skipped;
}
