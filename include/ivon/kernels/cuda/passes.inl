// SPDX-License-Identifier: Apache-2.0
// The passes as one thread of a GPU does them: a group of elements at a time, 16 bytes an access.
// The same text runs in loops on the host. Included inside namespace ivon::detail::cuda, after
// element.inl, half.inl, math.inl and box_muller.inl.
//
// A thread block has one chunk of one parameter. In it, thread t walks the groups t, t + kThreads,
// ... so that neighbouring threads read neighbouring memory.

// Adds to a counter that other threads add to.
#if defined(IVON_CUDA_TEXT)
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) {
  atomicAdd(reinterpret_cast<uint64_t*>(counter), static_cast<uint64_t>(count));
}
#else
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) { *counter += count; }
#endif

// --- types and memory ---------------------------------------------------------------------------

template <Element element>
struct Types {  // float32
  using Stored = float;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Element::kFloat64> {
  using Stored = double;
  using State = double;
  using Pack = Doubles;
};
template <>
struct Types<Element::kBFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Element::kFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};

/// Elements of a group: 16 bytes of what is stored, and whole quads of normals.
template <Element element>
inline constexpr int kGroup = sizeof(typename Types<element>::Stored) == 2 ? 8 : 4;

struct alignas(16) Sixteen {
  uint32_t words[4];
};

/// Elements of a group, as far as it reaches into the array.
struct Reach {
  int64_t begin;
  int size;
  bool whole;  // all of the group, and 16-byte accesses are allowed
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

// An array of the element's type as numbers of the state's type.
template <Element element, class State, int n>
IVON_ALWAYS_INLINE void load_widened(const void* array, const Reach& reach, State (&out)[n]) {
  if constexpr (element == Element::kBFloat16 || element == Element::kFloat16) {
    uint16_t halves[n];
    load_group(array, reach, halves);
    for (int i = 0; i < n; ++i) out[i] = widen<element>(Halves{halves[i]}).v;
  } else {
    load_group(array, reach, out);
  }
}
template <Element element, class State, int n>
IVON_ALWAYS_INLINE void store_narrowed(void* array, const Reach& reach, const State (&values)[n]) {
  if constexpr (element == Element::kBFloat16 || element == Element::kFloat16) {
    uint16_t halves[n];
    for (int i = 0; i < n; ++i) halves[i] = narrow<element>(Floats{values[i]}).v;
    store_group(array, reach, halves);
  } else {
    store_group(array, reach, values);
  }
}

/// m in full precision.
template <Element element, class State, int n>
IVON_ALWAYS_INLINE void load_mean(const Task& task, const Reach& reach, State (&out)[n]) {
  load_widened<element>(task.mean, reach, out);
  if constexpr (element == Element::kBFloat16 || element == Element::kFloat16) {
    float wide[n];
    load_group(task.wide_mean, reach, wide);
    for (int i = 0; i < n; ++i) out[i] = adopted<element>(Floats{wide[i]}, Floats{out[i]}).v;
  }
}
template <Element element, class State, int n>
IVON_ALWAYS_INLINE void store_mean(const Task& task, const Reach& reach, const State (&values)[n]) {
  store_narrowed<element>(task.mean, reach, values);
  if constexpr (element == Element::kBFloat16 || element == Element::kFloat16) {
    store_group(task.wide_mean, reach, values);
  }
}

// --- noise --------------------------------------------------------------------------------------

/// The key of a launch: where the position lies in device memory, draws count from it.
IVON_ALWAYS_INLINE NoiseKey resolved(NoiseKey key, const Position* position, uint32_t parameter) {
  key.parameter = parameter;
  if (position != nullptr) {
    key.seed = position->seed;
    key.draw += position->draws[static_cast<uint32_t>(key.domain)];
  }
  return key;
}

/// The normals of elements 4 quad ... 4 quad + 3 of a parameter (stream 2 of docs/noise.md).
IVON_ALWAYS_INLINE void normal_quad(const NoiseKey& key, uint64_t quad, Floats (&out)[4]) {
  // Quad, parameter and domain have bits of their own: + is |.
  Words words[4] = {{static_cast<uint32_t>(quad)},
                    {key.parameter + (static_cast<uint32_t>(quad >> 32) << 24) +
                     ((static_cast<uint32_t>(key.domain) | kCudaDomainBit) << 28)},
                    {static_cast<uint32_t>(key.draw)},
                    {static_cast<uint32_t>(key.draw >> 32)}};
  auto key0 = static_cast<uint32_t>(key.seed);
  auto key1 = static_cast<uint32_t>(key.seed >> 32);
#if defined(IVON_CUDA_TEXT)
  // The compiler would keep the keys of all rounds in registers from group to group.
  asm volatile("" : "+r"(key0), "+r"(key1));
#endif
  philox4x32_10(words, key0, key1);
  for (int pair = 0; pair < 4; pair += 2) {
    const Floats radius = box_muller_radius(words[pair]);
    Floats cosine, sine;
    box_muller_direction(words[pair + 1], cosine, sine);
    out[pair] = radius * cosine;
    out[pair + 1] = radius * sine;
  }
}

template <int n>
IVON_ALWAYS_INLINE void normal_group(const NoiseKey& key, int64_t begin, Floats (&out)[n]) {
  for (int i = 0; i < n; i += 4) {
    Floats quad[4];
    normal_quad(key, static_cast<uint64_t>(begin + i) / 4, quad);
    for (int j = 0; j < 4; ++j) out[i + j] = quad[j];
  }
}

IVON_ALWAYS_INLINE Floats widened(Floats normal, Floats /*type*/) { return normal; }
IVON_ALWAYS_INLINE Doubles widened(Floats normal, Doubles /*type*/) {
  return {static_cast<double>(normal.v)};
}

// --- the passes ---------------------------------------------------------------------------------

/// Calls work(reach) for the groups of one thread in its chunk.
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

template <Element element>
IVON_ALWAYS_INLINE void sample_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<element>::State;
  using Pack = typename Types<element>::Pack;
  constexpr int n = kGroup<element>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const Set& shared = launch.sets[task.set];
  const NoiseKey key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.next.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n];
    load_mean<element>(task, reach, m);
    load_group(task.hess, reach, h);
    Floats normals[n];
    normal_group(key, reach.begin, normals);
    for (int i = 0; i < n; ++i) {
      m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale)).v;
    }
    store_narrowed<element>(task.sampled, reach, m);
  });
}

/// theta - m where it is made again, theta where it is read.
template <Element element, FusedEstimate estimate, class State, int n>
IVON_ALWAYS_INLINE void load_deviation(const Task& task, const Reach& reach, const NoiseKey& key,
                                       const Scale<typename Types<element>::Pack>& scale,
                                       const State (&m)[n], const State (&h)[n], State (&out)[n]) {
  using Pack = typename Types<element>::Pack;
  if constexpr (estimate == FusedEstimate::kPrice) {
    if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
      Floats normals[n];
      normal_group(key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        out[i] = deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale).v;
      }
    } else {
      load_widened<element>(task.theta, reach, out);
      for (int i = 0; i < n; ++i) out[i] = (Pack{out[i]} - Pack{m[i]}).v;
    }
  }
}

template <Element element, FusedEstimate estimate>
IVON_ALWAYS_INLINE void accumulate_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<element>::State;
  using Pack = typename Types<element>::Pack;
  constexpr int n = kGroup<element>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const Set& shared = launch.sets[task.set];
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n] = {}, h[n] = {}, of[n] = {}, gradient[n], sum[n], statistics[n];
    if constexpr (estimate == FusedEstimate::kPrice) {
      if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
        load_group(task.hess, reach, h);
      } else {
        load_mean<element>(task, reach, m);
      }
    }
    load_widened<element>(launch.gradients[chunk.task], reach, gradient);
    load_deviation<element, estimate>(task, reach, key, scale, m, h, of);
    if (task.first != 0) {
      for (int i = 0; i < n; ++i) {
        sum[i] = gradient[i];
        statistics[i] = statistic<estimate>(Pack{of[i]}, Pack{gradient[i]}).v;
      }
    } else {
      load_group(task.gradient_sum, reach, sum);
      load_group(task.statistic_sum, reach, statistics);
      for (int i = 0; i < n; ++i) {
        sum[i] = (Pack{sum[i]} + Pack{gradient[i]}).v;
        statistics[i] =
            add_statistic<estimate>(Pack{statistics[i]}, Pack{of[i]}, Pack{gradient[i]}).v;
      }
    }
    store_group(task.gradient_sum, reach, sum);
    store_group(task.statistic_sum, reach, statistics);
  });
}

/// kUpdate, and kStep with `draws`.
template <Element element, FusedEstimate estimate, bool draws>
IVON_ALWAYS_INLINE void update_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<element>::State;
  using Pack = typename Types<element>::Pack;
  constexpr int n = kGroup<element>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const Set& shared = launch.sets[task.set];
  UpdateCoefficients coefficients = shared.update;
  if (task.step != nullptr) {
    const Rates& rates = *reinterpret_cast<const Rates*>(task.step + 1);
    coefficients.debias = rates.debias;
    coefficients.step_size = rates.step_size;
  }
  const Coefficients<Pack> c(coefficients);
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  const NoiseKey next_key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> next_scale(shared.next.scale);
  const bool summed = task.from == static_cast<uint32_t>(StatisticFrom::kSums);
  const Pack samples = set(static_cast<State>(shared.samples));
  int64_t skipped = 0;
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n], g[n], average[n] = {}, gradient[n];
    load_mean<element>(task, reach, m);
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
      load_widened<element>(launch.gradients[chunk.task], reach, gradient);
      load_deviation<element, estimate>(task, reach, key, scale, m, h, average);
      for (int i = 0; i < n; ++i) {
        average[i] = statistic<estimate>(Pack{average[i]}, Pack{gradient[i]}).v;
      }
    }
    for (int i = 0; i < n; ++i) {
      Pack new_m{m[i]}, new_h{h[i]}, new_g{g[i]};
      const Mask keep =
          update<estimate>(new_m, new_h, new_g, Pack{average[i]}, Pack{gradient[i]}, c);
      if (keep.v) {
        skipped += i < reach.size ? 1 : 0;
      } else {
        m[i] = new_m.v;
        h[i] = new_h.v;
        g[i] = new_g.v;
      }
    }
    store_mean<element>(task, reach, m);
    store_group(task.hess, reach, h);
    store_group(task.momentum, reach, g);
    if constexpr (draws) {
      Floats normals[n];
      normal_group(next_key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), next_scale)).v;
      }
      store_narrowed<element>(task.sampled, reach, m);
    }
  });
  if (skipped != 0) add_to(task.skipped, skipped);
}

template <Entry pass, Element element, FusedEstimate estimate>
IVON_ALWAYS_INLINE void run_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  if constexpr (pass == Entry::kSample) sample_chunk<element>(launch, block, thread);
  if constexpr (pass == Entry::kAccumulate) {
    accumulate_chunk<element, estimate>(launch, block, thread);
  }
  if constexpr (pass == Entry::kUpdate) {
    update_chunk<element, estimate, false>(launch, block, thread);
  }
  if constexpr (pass == Entry::kStep) update_chunk<element, estimate, true>(launch, block, thread);
}
