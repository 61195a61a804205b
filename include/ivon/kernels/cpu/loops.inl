// SPDX-License-Identifier: Apache-2.0
// The passes over runs, which are consecutive floats (Pack = Floats) or doubles (Pack = Doubles).
// The arrays must have room up to the next multiple of kRound elements. Elements from `count` on
// may be read and written, but are not counted as skipped. Included inside a namespace that has
// math.inl and normal.inl.

template <class Pack>
IVON_ALWAYS_INLINE Pack widen_normals(Floats normals) {
  if constexpr (std::is_same_v<Pack, Floats>) {
    return normals;
  } else {
    return to_double(normals);
  }
}

template <class Pack, class Normals, class T = typename Pack::Number>
inline void draw_run_from(const T* m, const T* h, T* theta, int64_t count, const PosteriorScale& of,
                          Normals& generator) {
  const Scale<Pack> scale(of);
  Normals normals = generator;  // the compiler keeps a local copy in registers
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

/// Writes theta = m + eps / sqrt(lambda (h + delta)) for standard normals eps, or theta - m if m is
/// null. The next run continues with the noise that follows.
template <class Pack, class T = typename Pack::Number>
inline void draw_run(const T* m, const T* h, T* theta, int64_t count, const PosteriorScale& of,
                     BlockNoise& noise) {
  if (noise.is_first_stream) {
    draw_run_from<Pack>(m, h, theta, count, of, noise.first_normals);
  } else {
    draw_run_from<Pack>(m, h, theta, count, of, noise.normals);
  }
}

/// One run of an accumulation. If the estimator does not read theta - m, then m, theta and
/// deviation are null.
template <class T>
struct AccumulateRun {
  const T* m;          // null where theta is null
  const T* theta;      // null where `deviation` is given
  const T* deviation;  // theta - m, made again from the noise
  const T* gradient;
  T* gradient_sum;
  T* statistic_sum;
  bool overwrite;  // the sums hold nothing yet and are written instead of added to
  int64_t count;
};

template <class Estimator, class Pack>
inline void accumulate_run(const AccumulateRun<typename Pack::Number>& given) {
  // The compiler keeps this local copy in registers. It would have to read `given` again after
  // every vector store, which may alias it.
  const AccumulateRun<typename Pack::Number> run = given;
  for (int64_t i = 0; i < run.count; i += 16) {
    const Pack gradient = load(run.gradient + i);
    Pack theta_minus_m = gradient;  // unused unless the estimator reads it
    if constexpr (Estimator::kUsesDeviation) {
      if (run.theta != nullptr) {
        theta_minus_m = load(run.theta + i) - load(run.m + i);
      } else {
        theta_minus_m = load(run.deviation + i);
      }
    }
    if (run.overwrite) {
      store(run.gradient_sum + i, gradient);
      store(run.statistic_sum + i, Estimator::statistic(theta_minus_m, gradient));
    } else {
      store(run.gradient_sum + i, load(run.gradient_sum + i) + gradient);
      store(run.statistic_sum + i,
            Estimator::add_statistic(Pack(load(run.statistic_sum + i)), theta_minus_m, gradient));
    }
  }
}

/// Puts the old m, h and g of element i and the fifteen after it back where a new value is not
/// finite. `estimate` is what update() returned. Returns a bit for each element that was put back.
template <class Run, class Pack>
IVON_ALWAYS_INLINE uint32_t keep_where_not_finite(const Run& run, int64_t i, Pack estimate, Pack& m,
                                                  Pack& h, Pack& g) {
  if (all_finite((estimate + h) + (g + m))) return 0;
  const Mask keep = not_finite(estimate, h, g, m);
  m = select(keep, Pack(load(run.m + i)), m);
  h = select(keep, Pack(load(run.h + i)), h);
  g = select(keep, Pack(load(run.g + i)), g);
  return bits(keep);
}

/// One run of an update. Exactly one of theta, deviation and statistic_sum is given. None of them
/// is given for a single sample if the estimator does not read theta - m.
template <class T>
struct UpdateRun {
  T* m;
  T* h;
  T* g;
  const T* theta;
  const T* deviation;      // theta - m, made again from the noise
  const T* statistic_sum;  // over the samples; then `gradient` is also a sum
  const T* gradient;
  T samples;  // number of samples, by which the sums are divided
  int64_t count;
};

/// Updates m, h and g. Returns the number of skipped elements. `from_theta` means that run.theta is
/// given, or that there is one sample and the estimator does not read theta - m.
template <class Estimator, class Pack, bool from_theta, bool damped>
inline int64_t update_run_from(const UpdateRun<typename Pack::Number>& given,
                               const UpdateCoefficients& coefficients) {
  // The compiler keeps this local copy in registers. It would have to read `given` again after
  // every vector store, which may alias it.
  const UpdateRun<typename Pack::Number> run = given;
  const PackedCoefficients<Pack> c(coefficients);
  const Pack samples = set(run.samples);
  int64_t skipped = 0;
  for (int64_t i = 0; i < run.count; i += 16) {
    Pack m = load(run.m + i), h = load(run.h + i), g = load(run.g + i);
    Pack gradient = load(run.gradient + i);
    Pack average = gradient;
    if (!from_theta && run.statistic_sum != nullptr) {
      average = load(run.statistic_sum + i) / samples;
      gradient = gradient / samples;
    } else {
      Pack theta_minus_m = gradient;  // unused unless the estimator reads it
      if constexpr (Estimator::kUsesDeviation) {
        if constexpr (from_theta) {
          theta_minus_m = load(run.theta + i) - m;
        } else {
          theta_minus_m = load(run.deviation + i);
        }
      }
      average = Estimator::statistic(theta_minus_m, gradient);
    }
    const Pack estimate = update<Estimator, damped>(m, h, g, average, gradient, c);
    if (const uint32_t kept = keep_where_not_finite(run, i, estimate, m, h, g)) {
      skipped += count_bits(first_bits(kept, run.count - i));
    }
    store(run.m + i, m);
    store(run.h + i, h);
    store(run.g + i, g);
  }
  return skipped;
}

template <class Estimator, class Pack>
inline int64_t update_run(const UpdateRun<typename Pack::Number>& run,
                          const UpdateCoefficients& coefficients) {
  const bool from_theta = run.deviation == nullptr && run.statistic_sum == nullptr;
  if (is_damped(coefficients)) {
    return from_theta ? update_run_from<Estimator, Pack, true, true>(run, coefficients)
                      : update_run_from<Estimator, Pack, false, true>(run, coefficients);
  }
  return from_theta ? update_run_from<Estimator, Pack, true, false>(run, coefficients)
                    : update_run_from<Estimator, Pack, false, false>(run, coefficients);
}
