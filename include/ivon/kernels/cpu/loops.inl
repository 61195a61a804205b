// SPDX-License-Identifier: Apache-2.0
// The passes over runs of floats (V = F) or doubles (V = D). Arrays have room for the next multiple
// of kRound; what lies beyond `count` may be read and written but is not counted. Included inside a
// namespace that has math.inl and normal.inl.

template <class V>
IVON_ALWAYS_INLINE V widen_normals(F normals) {
  if constexpr (std::is_same_v<V, F>) {
    return normals;
  } else {
    return to_double(normals);
  }
}

/// theta = m + eps / sqrt(lambda (h + delta)), or theta - m where m is null.
template <class V, class T = typename V::Number>
inline void draw_run(const T* m, const T* h, T* theta, int64_t count, const PosteriorScale& of,
                     NormalBlock& generator) {
  const Scale<V> scale(of);
  NormalBlock normals = generator;  // a local copy stays in registers
  for (int64_t i = 0; i < count; i += kRound) {
    F first, second;
    normals.next(first, second);
    V a = deviation(load(h + i), widen_normals<V>(first), scale);
    V b = deviation(load(h + i + 16), widen_normals<V>(second), scale);
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

template <FusedEstimate estimate, class V>
inline void accumulate_run(const AccumulateRun<typename V::Number>& given) {
  const AccumulateRun<typename V::Number> run =
      given;  // vector stores may alias what has an address
  for (int64_t i = 0; i < run.count; i += 16) {
    const V gradient = load(run.gradient + i);
    V theta_minus_m = gradient;  // unused
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
            add_statistic<estimate>(V(load(run.statistic_sum + i)), theta_minus_m, gradient));
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
template <FusedEstimate estimate, class V, bool from_theta>
inline int64_t update_run_from(const UpdateRun<typename V::Number>& given,
                               const UpdateCoefficients& coefficients) {
  const UpdateRun<typename V::Number> run = given;  // vector stores may alias what has an address
  const Coefficients<V> c(coefficients);
  const V samples = set(run.samples);
  int64_t skipped = 0;
  for (int64_t i = 0; i < run.count; i += 16) {
    V m = load(run.m + i), h = load(run.h + i), g = load(run.g + i);
    V gradient = load(run.gradient + i);
    V average = gradient;
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
    const M keep = update<estimate>(m, h, g, average, gradient, c);
    if (const uint32_t kept = bits(keep)) {
      const int64_t left = run.count - i;
      skipped += count_bits(left >= 16 ? kept : kept & ((1u << left) - 1u));
      m = select(keep, V(load(run.m + i)), m);
      h = select(keep, V(load(run.h + i)), h);
      g = select(keep, V(load(run.g + i)), g);
    }
    store(run.m + i, m);
    store(run.h + i, h);
    store(run.g + i, g);
  }
  return skipped;
}

template <FusedEstimate estimate, class V>
inline int64_t update_run(const UpdateRun<typename V::Number>& run,
                          const UpdateCoefficients& coefficients) {
  return run.from == StatisticFrom::kTheta ? update_run_from<estimate, V, true>(run, coefficients)
                                           : update_run_from<estimate, V, false>(run, coefficients);
}
