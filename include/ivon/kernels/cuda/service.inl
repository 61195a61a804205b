// SPDX-License-Identifier: Apache-2.0
// The kernels that serve the passes: they write tables, list chunks, count updates and write noise.
// Each function is what one thread does. Included after passes.inl.

/// Writes one word of a page. The page is part of the launch's arguments, which the driver copies,
/// so the host may reuse its own memory at once.
IVON_ALWAYS_INLINE void write_page(const Page& page, uint64_t thread) {
  if (thread < page.words) page.destination[thread] = page.data[thread];
}

/// Finds the task of chunk `index`: the last task whose first chunk does not come after it.
IVON_ALWAYS_INLINE void list_chunk(const Listing& listing, int64_t index) {
  if (index >= listing.chunks_count) return;
  int64_t low = 0, high = listing.tasks_count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (listing.tasks[middle].first_chunk <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  listing.chunks[index] = {static_cast<uint32_t>(low),
                           static_cast<uint32_t>(index - listing.tasks[low].first_chunk)};
}

/// Thread 0 advances the position of the noise. Thread i counts an update of task i and computes
/// its StepScalars.
IVON_ALWAYS_INLINE void count_updates(const Counting& counting, int64_t thread) {
  if (thread == 0 && counting.position != nullptr) {
    counting.position->draws[0] += counting.draws[0];
    counting.position->draws[1] += counting.draws[1];
  }
  if (thread >= counting.tasks_count) return;
  const Task& task = counting.tasks[thread];
  const SharedValues& shared = counting.shared[task.shared];
  const int64_t step = ++*task.step;
  StepScalars& now = *reinterpret_cast<StepScalars*>(task.step + 1);
  const auto updates = static_cast<double>(step);
  now.debias = shared.debiased != 0 ? 1.0 / (1.0 - pow(shared.update.beta1, updates)) : 1.0;
  now.step_size = *task.lr * shared.step_size_per_lr;
  now.kept_mean = 1.0 - *task.lr * shared.decay_per_lr;
  double rate = shared.update.one_minus_beta2;
  if (shared.debiased != 0 && rate != 0) rate /= 1.0 - pow(1.0 - rate, updates);
  now.square_weight = shared.step_size_per_lr * shared.step_size_per_lr * rate;
  now.kept_square = 1.0 - rate;
}

IVON_ALWAYS_INLINE void fill_quad(const Filling& filling, uint64_t quad) {
  const auto begin = static_cast<int64_t>(quad * 4);
  if (begin >= filling.count) return;
  Floats normals[4];
  normal_quads(filling.noise, quad, set(0u), normals);
  for (int i = 0; i < 4 && begin + i < filling.count; ++i) filling.out[begin + i] = normals[i].v;
}
