// SPDX-License-Identifier: Apache-2.0
// Updates elements and draws their next sample in one loop. The arithmetic of the noise then runs
// while memory loads the next elements, and m and h are still in registers. Included inside a
// namespace that has blocks.inl.

struct StepRun {
  float* m;
  float* h;
  float* g;
  float* theta;  // read, then written
  const float* gradient;
};

/// Updates and samples sixteen elements. Returns the number of skipped elements, which are sampled
/// as well.
template <class Estimator, bool damped>
IVON_ALWAYS_INLINE int64_t step_pack(const StepRun& run, int64_t i, Floats normal,
                                     const PackedCoefficients<Floats>& c,
                                     const Scale<Floats>& scale) {
  Floats m = load(run.m + i), h = load(run.h + i), g = load(run.g + i);
  const Floats gradient = load(run.gradient + i);
  Floats theta_minus_m = gradient;  // unused unless the estimator reads it
  if constexpr (Estimator::kUsesDeviation) theta_minus_m = load(run.theta + i) - m;
  const Floats average = Estimator::statistic(theta_minus_m, gradient);
  const Floats estimate = update<Estimator, damped>(m, h, g, average, gradient, c);
  const uint32_t kept = keep_where_not_finite(run, i, estimate, m, h, g);
  store(run.m + i, m);
  store(run.h + i, h);
  store(run.g + i, g);
  store(run.theta + i, m + deviation(h, normal, scale));
  return kept != 0 ? count_bits(kept) : 0;
}

template <class Estimator, bool damped>
inline int64_t step_run(const StepRun& given, int64_t count, const UpdateCoefficients& coefficients,
                        const Drawing& next, int64_t block) {
  // The compiler keeps this local copy in registers. It would have to read `given` again after
  // every vector store, which may alias it.
  const StepRun run = given;
  const PackedCoefficients<Floats> c(coefficients);
  const Scale<Floats> scale(next.scale);
  NormalBlock normals(next.noise, static_cast<uint32_t>(block));
  int64_t skipped = 0;
  for (int64_t i = 0; i < count; i += kRound) {
    Floats first, second;
    normals.next(first, second);
    skipped += step_pack<Estimator, damped>(run, i, first, c, scale);
    skipped += step_pack<Estimator, damped>(run, i + 16, second, c, scale);
  }
  return skipped;
}

/// Does update_block and then sample_block, with the same bits.
template <class Estimator>
inline int64_t step_block(const UpdateTask& task, const SampleTask& next, int64_t block) {
  using Formulas = typename CompiledHere<Estimator>::Type;
  const PosteriorArrays& p = task.posterior;
  const int64_t count = block_size(p.count, block);
  if (p.dtype != Dtype::kFloat32 || task.from != StatisticFrom::kTheta ||
      task.theta != next.theta || next.drawing.noise.stream != kNoiseStreamId ||
      count % kRound != 0) {
    const int64_t skipped = update_block<Estimator>(task, block);
    sample_block(next, block);
    return skipped;
  }
  const int64_t begin = block * kNoiseBlock;
  const StepRun run{static_cast<float*>(p.mean) + begin, static_cast<float*>(p.hess) + begin,
                    static_cast<float*>(task.momentum) + begin,
                    static_cast<float*>(next.theta) + begin,
                    static_cast<const float*>(task.gradient) + begin};
  return is_damped(task.coefficients)
             ? step_run<Formulas, true>(run, count, task.coefficients, next.drawing, block)
             : step_run<Formulas, false>(run, count, task.coefficients, next.drawing, block);
}
