// SPDX-License-Identifier: Apache-2.0
// The passes over runs of floats (Pack = Floats) or doubles (Pack = Doubles). Arrays have room for
// the next multiple of kRound; what lies beyond `count` may be read and written but is not counted.
// Included inside a namespace that has math.inl and normal.inl.

template <class Pack>
IVON_ALWAYS_INLINE Pack widen_normals(Floats normals) {
  if constexpr (std::is_same_v<Pack, Floats>) {
    return normals;
  } else {
    return to_double(normals);
  }
}

/// theta = m + eps / sqrt(lambda (h + delta)), or theta - m where m is null.
template <class Pack, class T = typename Pack::Number>
inline void draw_run(const T* m, const T* h, T* theta, int64_t count, const PosteriorScale& of,
                     NormalBlock& generator) {
  const Scale<Pack> scale(of);
  NormalBlock normals = generator;  // a local copy stays in registers
  for (int64_t i = 0; i < count; i += kRound) {
    Floats first, second;
    normals.next(first, second);
    Pack a = deviation(load(h + i), widen_normals<Pack>(first), scale);
    Pack b = deviation(load(h + i + 16), widen_normals<Pack>(second), scale);
    if (m != nullptr) {
      a = load(m + i) + a;
      b = load(m + i + 16) + b;
    }
    store(theta + i, a);
    store(theta + i + 16, b);
  }
  generator = normals;
}

template <class T>
struct AccumulateRun {
  const T* m;
  const T* theta;  // theta, or theta - m where m is null
  const T* gradient;
  T* gradient_sum;
  T* statistic_sum;
  bool first;
  int64_t count;
};

template <FusedEstimate estimate, class Pack>
inline void accumulate_run(const AccumulateRun<typename Pack::Number>& given) {
  const AccumulateRun<typename Pack::Number> run =
      given;  // vector stores may alias what has an address
  for (int64_t i = 0; i < run.count; i += 16) {
    const Pack gradient = load(run.gradient + i);
    Pack theta_minus_m = gradient;  // unused
    if constexpr (estimate == FusedEstimate::kPrice) {
      theta_minus_m = load(run.theta + i);
      if (run.m != nullptr) theta_minus_m = theta_minus_m - load(run.m + i);
    }
    if (run.first) {
      store(run.gradient_sum + i, gradient);
      store(run.statistic_sum + i, statistic<estimate>(theta_minus_m, gradient));
    } else {
      store(run.gradient_sum + i, load(run.gradient_sum + i) + gradient);
      store(run.statistic_sum + i,
            add_statistic<estimate>(Pack(load(run.statistic_sum + i)), theta_minus_m, gradient));
    }
  }
}

template <class T>
struct UpdateRun {
  T* m;
  T* h;
  T* g;
  const T* theta;  // kTheta: theta; kNoise: theta - m; kSums: the statistic's sum
  const T* gradient;
  T samples;
  StatisticFrom from;
  int64_t count;
};

/// Updates m, h and g. Returns the elements left alone.
template <FusedEstimate estimate, class Pack, bool from_theta>
inline int64_t update_run_from(const UpdateRun<typename Pack::Number>& given,
                               const UpdateCoefficients& coefficients) {
  const UpdateRun<typename Pack::Number> run =
      given;  // vector stores may alias what has an address
  const Coefficients<Pack> c(coefficients);
  const Pack samples = set(run.samples);
  int64_t skipped = 0;
  for (int64_t i = 0; i < run.count; i += 16) {
    Pack m = load(run.m + i), h = load(run.h + i), g = load(run.g + i);
    Pack gradient = load(run.gradient + i);
    Pack average = gradient;
    if (!from_theta && run.from == StatisticFrom::kSums) {
      average = load(run.theta + i) / samples;
      gradient = gradient / samples;
    } else {
      if constexpr (estimate == FusedEstimate::kPrice) {
        average = load(run.theta + i);
        if constexpr (from_theta) average = average - m;
      }
      average = statistic<estimate>(average, gradient);
    }
    const Mask keep = update<estimate>(m, h, g, average, gradient, c);
    if (const uint32_t kept = bits(keep)) {
      const int64_t left = run.count - i;
      skipped += count_bits(left >= 16 ? kept : kept & ((1u << left) - 1u));
      m = select(keep, Pack(load(run.m + i)), m);
      h = select(keep, Pack(load(run.h + i)), h);
      g = select(keep, Pack(load(run.g + i)), g);
    }
    store(run.m + i, m);
    store(run.h + i, h);
    store(run.g + i, g);
  }
  return skipped;
}

template <FusedEstimate estimate, class Pack>
inline int64_t update_run(const UpdateRun<typename Pack::Number>& run,
                          const UpdateCoefficients& coefficients) {
  return run.from == StatisticFrom::kTheta
             ? update_run_from<estimate, Pack, true>(run, coefficients)
             : update_run_from<estimate, Pack, false>(run, coefficients);
}
