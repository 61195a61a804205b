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

  IVON_ALWAYS_INLINE explicit StepRun(const StepArrays& arrays)
      : m(static_cast<float*>(arrays.posterior.mean)),
        h(static_cast<float*>(arrays.posterior.hess)),
        g(static_cast<float*>(arrays.momentum)),
        theta(static_cast<float*>(arrays.theta)),
        gradient(static_cast<const float*>(arrays.gradient)) {}
};

/// Updates and samples sixteen elements. Returns the number of skipped elements before element
/// `count`; they are sampled as well.
template <class Estimator, bool damped>
IVON_ALWAYS_INLINE int64_t step_pack(const StepRun& run, int64_t i, int64_t count, Floats normal,
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
  return kept != 0 ? count_bits(first_bits(kept, count - i)) : 0;
}

template <class Estimator, bool damped>
inline int64_t step_parts(const BlockParts<StepArrays>& parts,
                          const UpdateCoefficients& coefficients, const Drawing& next,
                          int64_t block) {
  const PackedCoefficients<Floats> c(coefficients);
  const Scale<Floats> scale(next.scale);
  NormalBlock normals(next.noise, static_cast<uint32_t>(block));
  int64_t skipped = 0;
  for (const StepArrays* part = parts.whole(); part != nullptr; part = parts.after(part)) {
    // The compiler keeps this local copy in registers. It would have to read the pointers again
    // after every vector store, which may alias them.
    const StepRun run(*part);
    const int64_t count = part->posterior.count;
    for (int64_t i = 0; i < count; i += kRound) {
      Floats first, second;
      normals.next(first, second);
      skipped += step_pack<Estimator, damped>(run, i, count, first, c, scale);
      skipped += step_pack<Estimator, damped>(run, i + 16, count, second, c, scale);
    }
  }
  return skipped;
}

/// Does update_block and then sample_block, with the same bits.
template <class Estimator>
inline int64_t step_block(const UpdateTask& task, const SampleTask& next, int64_t block) {
  using Formulas = typename CompiledHere<Estimator>::Type;
  const PosteriorArrays& p = task.posterior;
  if (p.dtype != Dtype::kFloat32 || task.from != StatisticFrom::kTheta ||
      task.theta != next.theta || next.drawing.noise.stream != kNoiseStreamId) {
    const int64_t skipped = update_block<Estimator>(task, block);
    sample_block(next, block);
    return skipped;
  }
  const BlockParts<StepArrays> parts({p, task.momentum, next.theta, task.gradient}, block);
  const UpdateCoefficients& coefficients = task.coefficients;
  const int64_t skipped =
      is_damped(coefficients)
          ? step_parts<Formulas, true>(parts, coefficients, next.drawing, block)
          : step_parts<Formulas, false>(parts, coefficients, next.drawing, block);
  parts.copy_back();
  return skipped;
}
