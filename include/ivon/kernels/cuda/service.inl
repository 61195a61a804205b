// SPDX-License-Identifier: Apache-2.0
// What passes need done on a device besides: tables written, chunks listed, updates counted, noise
// alone. As one thread does it. Included after passes.inl.

/// Arguments are copied into the launch, so that the write needs no memory of the host's.
IVON_ALWAYS_INLINE void write_page(const Page& page, uint64_t thread) {
  if (thread < page.words) page.destination[thread] = page.data[thread];
}

/// The task of chunk `index`: the last one that begins at or before it.
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

/// Thread 0 moves the position of the noise, thread i counts an update of task i.
IVON_ALWAYS_INLINE void count_updates(const Counting& counting, int64_t thread) {
  if (thread == 0 && counting.position != nullptr) {
    counting.position->draws[0] += counting.draws[0];
    counting.position->draws[1] += counting.draws[1];
  }
  if (thread >= counting.tasks_count) return;
  const Task& task = counting.tasks[thread];
  const Set& shared = counting.sets[task.set];
  const int64_t step = ++*task.step;
  Rates& rates = *reinterpret_cast<Rates*>(task.step + 1);
  rates.debias = shared.debiased != 0
                     ? 1.0 / (1.0 - pow(shared.update.beta1, static_cast<double>(step)))
                     : 1.0;
  rates.step_size = *task.lr * shared.rate;
}

IVON_ALWAYS_INLINE void fill_quad(const Filling& filling, uint64_t quad) {
  const auto begin = static_cast<int64_t>(quad * 4);
  if (begin >= filling.count) return;
  Floats normals[4];
  normal_quad(filling.noise, quad, normals);
  for (int i = 0; i < 4 && begin + i < filling.count; ++i) filling.out[begin + i] = normals[i].v;
}
