// SPDX-License-Identifier: Apache-2.0
// The passes over memory, a block of at most kNoiseBlock elements a call. Included inside a
// namespace that has math.inl and normal.inl.

IVON_ALWAYS_INLINE F load_part(const float* p, int64_t count, float fill) {
  float values[16];
  for (int64_t i = 0; i < 16; ++i) values[i] = i < count ? p[i] : fill;
  return load(values);
}
IVON_ALWAYS_INLINE void store_part(float* p, F a, int64_t count) {
  float values[16];
  store(values, a);
  for (int64_t i = 0; i < count; ++i) p[i] = values[i];
}

/// theta = m + eps / sqrt(lambda (h + delta)).
inline void sample_block(const SampleTask& task, int64_t block) {
  const int64_t begin = block * kNoiseBlock;
  const int64_t count = block_size(task.posterior.count, block);
  const float* m = static_cast<const float*>(task.posterior.mean) + begin;
  const float* h = static_cast<const float*>(task.posterior.hess) + begin;
  float* theta = static_cast<float*>(task.theta) + begin;
  const Scale scale(task.drawing.scale);
  NormalBlock normals(task.drawing.noise, static_cast<uint32_t>(block));
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    F first, second;
    normals.next(first, second);
    store(theta + i, load(m + i) + deviation(load(h + i), first, scale));
    store(theta + i + 16, load(m + i + 16) + deviation(load(h + i + 16), second, scale));
  }
  if (i == count) return;
  F rest[2];
  normals.next(rest[0], rest[1]);
  for (int half = 0; half < 2 && i < count; ++half, i += 16) {
    const int64_t part = count - i < 16 ? count - i : 16;
    const F dev = deviation(load_part(h + i, part, 1.0f), rest[half], scale);
    store_part(theta + i, load_part(m + i, part, 0.0f) + dev, part);
  }
}

/// Updates m, h and g. Returns the elements left alone.
template <FusedEstimate estimate, bool averaged>
inline int64_t update_block_from(const UpdateTask& task, int64_t block) {
  const int64_t begin = block * kNoiseBlock;
  const int64_t count = block_size(task.posterior.count, block);
  float* m = static_cast<float*>(task.posterior.mean) + begin;
  float* h = static_cast<float*>(task.posterior.hess) + begin;
  float* g = static_cast<float*>(task.momentum) + begin;
  const float* other = static_cast<const float*>(averaged ? task.statistic_sum : task.theta) + begin;
  const float* gradient = static_cast<const float*>(averaged ? task.gradient_sum : task.gradient) + begin;
  const F inverse = set(static_cast<float>(1.0 / task.samples));
  const Coefficients c(task.coefficients);
  int64_t skipped = 0;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    F new_m = load(m + i), new_h = load(h + i), new_g = load(g + i);
    F grad = load(gradient + i);
    F average = load(other + i);
    if constexpr (averaged) { grad = grad * inverse; average = average * inverse; }
    if constexpr (!averaged) average = statistic<estimate>(average - new_m, grad);
    const M keep = update<estimate>(new_m, new_h, new_g, average, grad, c);
    if (const uint32_t kept = bits(keep)) {
      skipped += count_bits(kept);
      new_m = select(keep, load(m + i), new_m);
      new_h = select(keep, load(h + i), new_h);
      new_g = select(keep, load(g + i), new_g);
    }
    store(m + i, new_m);
    store(h + i, new_h);
    store(g + i, new_g);
  }
  if (i == count) return skipped;
  const int64_t part = count - i;
  const F old_m = load_part(m + i, part, 0), old_h = load_part(h + i, part, 1),
          old_g = load_part(g + i, part, 0);
  F new_m = old_m, new_h = old_h, new_g = old_g;
  F grad = load_part(gradient + i, part, 0);
  F average = load_part(other + i, part, 0);
    if constexpr (averaged) { grad = grad * inverse; average = average * inverse; }
  if constexpr (!averaged) average = statistic<estimate>(average - old_m, grad);
  const M keep = update<estimate>(new_m, new_h, new_g, average, grad, c);
  store_part(m + i, select(keep, old_m, new_m), part);
  store_part(h + i, select(keep, old_h, new_h), part);
  store_part(g + i, select(keep, old_g, new_g), part);
  return skipped + count_bits(bits(keep) & ((1u << part) - 1u));
}

template <FusedEstimate estimate>
inline int64_t update_block(const UpdateTask& task, int64_t block) {
  return task.from == StatisticFrom::kSums ? update_block_from<estimate, true>(task, block)
                       : update_block_from<estimate, false>(task, block);
}

template <FusedEstimate estimate>
inline void accumulate_block(const AccumulateTask& task, int64_t block) {
  const int64_t begin = block * kNoiseBlock;
  const int64_t count = block_size(task.posterior.count, block);
  const float* m = static_cast<const float*>(task.posterior.mean) + begin;
  const float* theta = static_cast<const float*>(task.theta) + begin;
  const float* gradient = static_cast<const float*>(task.gradient) + begin;
  float* gs = static_cast<float*>(task.gradient_sum) + begin;
  float* ss = static_cast<float*>(task.statistic_sum) + begin;
  for (int64_t i = 0; i < count; ++i) {
    const float stat = estimate == FusedEstimate::kPrice ? (theta[i] - m[i]) * gradient[i] : gradient[i] * gradient[i];
    gs[i] = task.first ? gradient[i] : gs[i] + gradient[i];
    ss[i] = task.first ? stat : ss[i] + stat;
  }
}
