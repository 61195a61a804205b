// SPDX-License-Identifier: Apache-2.0
// The passes as one thread of a GPU does them, one group of elements after the other, with memory
// accesses of 16 bytes. Tests run the same text in loops on the host. Included inside namespace
// ivon::detail::cuda, after pack_single.inl, half.inl, math.inl, estimators.inl, box_muller.inl and
// quad_noise.inl.
//
// A thread block passes over one chunk of one parameter. Its thread t takes the groups t, t +
// kThreads, t + 2 kThreads and so on, so that neighbouring threads read neighbouring memory.

// Adds to a counter to which other threads may add at the same time.
#if defined(IVON_CUDA_TEXT)
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) {
  atomicAdd(reinterpret_cast<uint64_t*>(counter), static_cast<uint64_t>(count));
}
#else
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) { *counter += count; }
#endif

// --- types and memory ---------------------------------------------------------------------------

template <Dtype dtype>
struct Types {  // float32
  using Stored = float;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Dtype::kFloat64> {
  using Stored = double;
  using State = double;
  using Pack = Doubles;
};
template <>
struct Types<Dtype::kBFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Dtype::kFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};

/// Number of elements of a group. Its arrays are read by whole 16-byte accesses, and its noise
/// consists of whole quads.
template <Dtype dtype>
inline constexpr int kGroup = sizeof(typename Types<dtype>::Stored) == 2 ? 8 : 4;

struct alignas(16) Sixteen {
  uint32_t words[4];
};

/// The part of a group that lies inside the array.
struct Reach {
  int64_t begin;
  int size;
  bool whole;  // the group lies inside the array, and 16-byte accesses are allowed
};

template <int n, class T>
IVON_ALWAYS_INLINE void load_group(const void* array, const Reach& reach, T (&out)[n]) {
  const T* from = static_cast<const T*>(array) + reach.begin;
  if (reach.whole) {
    constexpr int kEach = 16 / sizeof(T);
    for (int i = 0; i < n; i += kEach) {
      const Sixteen piece = *reinterpret_cast<const Sixteen*>(from + i);
      memcpy(&out[i], &piece, 16);
    }
    return;
  }
  for (int i = 0; i < n; ++i) out[i] = i < reach.size ? from[i] : T{};
}

template <int n, class T>
IVON_ALWAYS_INLINE void store_group(void* array, const Reach& reach, const T (&values)[n]) {
  T* to = static_cast<T*>(array) + reach.begin;
  if (reach.whole) {
    constexpr int kEach = 16 / sizeof(T);
    for (int i = 0; i < n; i += kEach) {
      Sixteen piece;
      memcpy(&piece, &values[i], 16);
      *reinterpret_cast<Sixteen*>(to + i) = piece;
    }
    return;
  }
  for (int i = 0; i < n; ++i) {
    if (i < reach.size) to[i] = values[i];
  }
}

// Loads elements of an array of the parameter's dtype as numbers of the state's dtype.
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void load_widened(const void* array, const Reach& reach, State (&out)[n]) {
  if constexpr (is_half(dtype)) {
    uint16_t halves[n];
    load_group(array, reach, halves);
    for (int i = 0; i < n; ++i) out[i] = widen<dtype>(Halves{halves[i]}).v;
  } else {
    load_group(array, reach, out);
  }
}
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void store_narrowed(void* array, const Reach& reach, const State (&values)[n]) {
  if constexpr (is_half(dtype)) {
    uint16_t halves[n];
    for (int i = 0; i < n; ++i) halves[i] = narrow<dtype>(Floats{values[i]}).v;
    store_group(array, reach, halves);
  } else {
    store_group(array, reach, values);
  }
}

/// Loads m in full precision.
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void load_mean(const Task& task, const Reach& reach, State (&out)[n]) {
  load_widened<dtype>(task.mean, reach, out);
  if constexpr (is_half(dtype)) {
    float wide[n];
    load_group(task.wide_mean, reach, wide);
    for (int i = 0; i < n; ++i) out[i] = adopted<dtype>(Floats{wide[i]}, Floats{out[i]}).v;
  }
}
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void store_mean(const Task& task, const Reach& reach, const State (&values)[n]) {
  store_narrowed<dtype>(task.mean, reach, values);
  if constexpr (is_half(dtype)) {
    store_group(task.wide_mean, reach, values);
  }
}

// --- noise --------------------------------------------------------------------------------------

/// Returns the noise key of a parameter. If `position` is not null (capturable), the seed is the
/// one there, and the draw in `key` is the distance from the draws there.
IVON_ALWAYS_INLINE NoiseKey resolved(NoiseKey key, const Position* position, uint32_t parameter) {
  key.parameter = parameter;
  if (position != nullptr) {
    key.seed = position->seed;
    key.draw += position->draws[static_cast<uint32_t>(key.domain)];
  }
  return key;
}

template <int n>
IVON_ALWAYS_INLINE void normal_group(const NoiseKey& key, int64_t begin, Floats (&out)[n]) {
  for (int i = 0; i < n; i += 4) {
    Floats quad[4];
    normal_quads(key, static_cast<uint64_t>(begin + i) / 4, set(0u), quad);
    for (int j = 0; j < 4; ++j) out[i + j] = quad[j];
  }
}

IVON_ALWAYS_INLINE Floats widened(Floats normal, Floats /*type*/) { return normal; }
IVON_ALWAYS_INLINE Doubles widened(Floats normal, Doubles /*type*/) {
  return {static_cast<double>(normal.v)};
}

// --- the passes ---------------------------------------------------------------------------------

/// Calls work(reach) for every group of one thread in its chunk.
template <int group, class Work>
IVON_ALWAYS_INLINE void for_groups(const Task& task, const Chunk& chunk, uint32_t thread,
                                   const Work& work) {
  const int64_t begin = static_cast<int64_t>(chunk.part) * kChunk;
  const int64_t left = task.count - begin;
  const int64_t end = begin + (left < kChunk ? left : kChunk);
  IVON_ROLLED
  for (int64_t i = begin + static_cast<int64_t>(thread) * group; i < end; i += kThreads * group) {
    const int64_t size = end - i;
    const bool full = size >= group;
    work(Reach{i, full ? group : static_cast<int>(size), full && task.aligned != 0});
  }
}

template <Dtype dtype>
IVON_ALWAYS_INLINE void sample_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  const NoiseKey key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.next.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n];
    load_mean<dtype>(task, reach, m);
    load_group(task.hess, reach, h);
    Floats normals[n];
    normal_group(key, reach.begin, normals);
    for (int i = 0; i < n; ++i) {
      m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale)).v;
    }
    store_narrowed<dtype>(task.sampled, reach, m);
  });
}

/// Writes theta - m to `out`, either made again from the noise or computed from the stored theta.
template <Dtype dtype, class Estimator, class State, int n>
IVON_ALWAYS_INLINE void load_deviation(const Task& task, const Reach& reach, const NoiseKey& key,
                                       const Scale<typename Types<dtype>::Pack>& scale,
                                       const State (&m)[n], const State (&h)[n], State (&out)[n]) {
  using Pack = typename Types<dtype>::Pack;
  if constexpr (Estimator::kUsesDeviation) {
    if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
      Floats normals[n];
      normal_group(key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        out[i] = deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale).v;
      }
    } else {
      load_widened<dtype>(task.theta, reach, out);
      for (int i = 0; i < n; ++i) out[i] = (Pack{out[i]} - Pack{m[i]}).v;
    }
  }
}

template <Dtype dtype, class Estimator>
IVON_ALWAYS_INLINE void accumulate_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n] = {}, h[n] = {}, of[n] = {}, gradient[n], sum[n], statistics[n];
    if constexpr (Estimator::kUsesDeviation) {
      if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
        load_group(task.hess, reach, h);
      } else {
        load_mean<dtype>(task, reach, m);
      }
    }
    load_widened<dtype>(launch.gradients[chunk.task], reach, gradient);
    load_deviation<dtype, Estimator>(task, reach, key, scale, m, h, of);
    if (task.overwrite != 0) {
      for (int i = 0; i < n; ++i) {
        sum[i] = gradient[i];
        statistics[i] = Estimator::statistic(Pack{of[i]}, Pack{gradient[i]}).v;
      }
    } else {
      load_group(task.gradient_sum, reach, sum);
      load_group(task.statistic_sum, reach, statistics);
      for (int i = 0; i < n; ++i) {
        sum[i] = (Pack{sum[i]} + Pack{gradient[i]}).v;
        statistics[i] =
            Estimator::add_statistic(Pack{statistics[i]}, Pack{of[i]}, Pack{gradient[i]}).v;
      }
    }
    store_group(task.gradient_sum, reach, sum);
    store_group(task.statistic_sum, reach, statistics);
  });
}

/// The pass kUpdate, or kStep if `draws` is true.
template <Dtype dtype, class Estimator, bool draws>
IVON_ALWAYS_INLINE void update_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  UpdateCoefficients coefficients = shared.update;
  if (task.step != nullptr) {
    const auto& now = *reinterpret_cast<const StepScalars*>(task.step + 1);
    coefficients.debias = now.debias;
    coefficients.step_size = now.step_size;
    coefficients.kept_mean = now.kept_mean;
    coefficients.square_weight = now.square_weight;
    coefficients.kept_square = now.kept_square;
  }
  const PackedCoefficients<Pack> c(coefficients);
  const bool damped = is_damped(coefficients);
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  const NoiseKey next_key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> next_scale(shared.next.scale);
  const bool summed = task.from == static_cast<uint32_t>(StatisticFrom::kSums);
  const Pack samples = set(static_cast<State>(shared.samples));
  int64_t skipped = 0;
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n], g[n], average[n] = {}, gradient[n];
    load_mean<dtype>(task, reach, m);
    load_group(task.hess, reach, h);
    load_group(task.momentum, reach, g);
    if (summed) {
      load_group(task.gradient_sum, reach, gradient);
      load_group(task.statistic_sum, reach, average);
      for (int i = 0; i < n; ++i) {
        average[i] = (Pack{average[i]} / samples).v;
        gradient[i] = (Pack{gradient[i]} / samples).v;
      }
    } else {
      load_widened<dtype>(launch.gradients[chunk.task], reach, gradient);
      load_deviation<dtype, Estimator>(task, reach, key, scale, m, h, average);
      for (int i = 0; i < n; ++i) {
        average[i] = Estimator::statistic(Pack{average[i]}, Pack{gradient[i]}).v;
      }
    }
    for (int i = 0; i < n; ++i) {
      Pack new_m{m[i]}, new_h{h[i]}, new_g{g[i]};
      const Pack statistic{average[i]}, mean_gradient{gradient[i]};
      const Pack estimate =
          damped ? update<Estimator, true>(new_m, new_h, new_g, statistic, mean_gradient, c)
                 : update<Estimator, false>(new_m, new_h, new_g, statistic, mean_gradient, c);
      if (not_finite(estimate, new_h, new_g, new_m).v) {
        skipped += i < reach.size ? 1 : 0;
      } else {
        m[i] = new_m.v;
        h[i] = new_h.v;
        g[i] = new_g.v;
      }
    }
    store_mean<dtype>(task, reach, m);
    store_group(task.hess, reach, h);
    store_group(task.momentum, reach, g);
    if constexpr (draws) {
      Floats normals[n];
      normal_group(next_key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), next_scale)).v;
      }
      store_narrowed<dtype>(task.sampled, reach, m);
    }
  });
  if (skipped != 0) add_to(task.skipped, skipped);
}

template <EntryPoint pass, Dtype dtype, class Estimator>
IVON_ALWAYS_INLINE void run_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  if constexpr (pass == EntryPoint::kSample) sample_chunk<dtype>(launch, block, thread);
  if constexpr (pass == EntryPoint::kAccumulate) {
    accumulate_chunk<dtype, Estimator>(launch, block, thread);
  }
  if constexpr (pass == EntryPoint::kUpdate) {
    update_chunk<dtype, Estimator, false>(launch, block, thread);
  }
  if constexpr (pass == EntryPoint::kStep)
    update_chunk<dtype, Estimator, true>(launch, block, thread);
}
