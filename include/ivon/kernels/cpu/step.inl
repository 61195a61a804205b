// SPDX-License-Identifier: Apache-2.0
// Update and next sample in one loop: the arithmetic of the noise runs while memory brings the next
// elements, and m and h are in registers still. Included inside a namespace that has blocks.inl.

struct StepRun {
  float* m;
  float* h;
  float* g;
  float* theta;  // read, then written
  const float* gradient;
};

/// Sixteen elements. Returns how many were left alone; they are sampled as well.
template <FusedEstimate estimate>
IVON_ALWAYS_INLINE int64_t step_pack(const StepRun& run, int64_t i, Floats normal,
                                     const Coefficients<Floats>& c, const Scale<Floats>& scale) {
  Floats m = load(run.m + i), h = load(run.h + i), g = load(run.g + i);
  const Floats gradient = load(run.gradient + i);
  Floats average = gradient;
  if constexpr (estimate == FusedEstimate::kPrice) average = load(run.theta + i) - m;
  const Mask keep = update<estimate>(m, h, g, statistic<estimate>(average, gradient), gradient, c);
  const uint32_t kept = bits(keep);
  if (kept != 0) {
    m = select(keep, load(run.m + i), m);
    h = select(keep, load(run.h + i), h);
    g = select(keep, load(run.g + i), g);
  }
  store(run.m + i, m);
  store(run.h + i, h);
  store(run.g + i, g);
  store(run.theta + i, m + deviation(h, normal, scale));
  return kept != 0 ? count_bits(kept) : 0;
}

/// update_block, then sample_block: the same bits.
template <FusedEstimate estimate>
inline int64_t step_block(const UpdateTask& task, const SampleTask& next, int64_t block) {
  const PosteriorArrays& p = task.posterior;
  const int64_t count = block_size(p.count, block);
  if (p.element != Element::kFloat32 || task.from != StatisticFrom::kTheta ||
      task.theta != next.theta || count % kRound != 0) {
    const int64_t skipped = update_block<estimate>(task, block);
    sample_block(next, block);
    return skipped;
  }
  const int64_t begin = block * kNoiseBlock;
  const StepRun run{static_cast<float*>(p.mean) + begin, static_cast<float*>(p.hess) + begin,
                    static_cast<float*>(task.momentum) + begin,
                    static_cast<float*>(next.theta) + begin,
                    static_cast<const float*>(task.gradient) + begin};
  const Coefficients<Floats> c(task.coefficients);
  const Scale<Floats> scale(next.drawing.scale);
  NormalBlock normals(next.drawing.noise, static_cast<uint32_t>(block));
  int64_t skipped = 0;
  for (int64_t i = 0; i < count; i += kRound) {
    Floats first, second;
    normals.next(first, second);
    skipped += step_pack<estimate>(run, i, first, c, scale);
    skipped += step_pack<estimate>(run, i + 16, second, c, scale);
  }
  return skipped;
}
