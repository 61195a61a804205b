// SPDX-License-Identifier: Apache-2.0
// Makes the noise streams of docs/noise.md on CPUs, sixteen lanes at a time, with the packs of any
// instruction set. Included inside a namespace that has box_muller.inl and quad_noise.inl.

/// Makes the normals of one block in order, 32 in each call of next().
class NormalBlock {
 public:
  IVON_ALWAYS_INLINE NormalBlock()
      : state_{set(0u), set(0u), set(0u), set(0u)} {}  // must be assigned before next()
  IVON_ALWAYS_INLINE NormalBlock(const NoiseKey& key, uint32_t block) {
    static constexpr uint32_t kLaneTags[16] = {
        0u << 24, 1u << 24, 2u << 24,  3u << 24,  4u << 24,  5u << 24,  6u << 24,  7u << 24,
        8u << 24, 9u << 24, 10u << 24, 11u << 24, 12u << 24, 13u << 24, 14u << 24, 15u << 24};
    // The lane tag, the parameter and the domain use different bits, so + gives the same as |.
    const uint32_t tag = key.parameter | static_cast<uint32_t>(key.domain) << 28;
    state_[0] = set(block);
    state_[1] = load(kLaneTags) + set(tag);
    state_[2] = set(static_cast<uint32_t>(key.draw));
    state_[3] = set(static_cast<uint32_t>(key.draw >> 32));
    philox4x32_10(state_, static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
    replace_zero_states();
  }

  /// Makes the next two packs: `first` from the cosines of Box-Muller, `second` from the sines.
  IVON_ALWAYS_INLINE void next(Floats& first, Floats& second) {
    const Floats radius = box_muller_radius(next_words());
    Floats cosine, sine;
    box_muller_direction(next_words(), cosine, sine);
    first = radius * cosine;
    second = radius * sine;
  }

  IVON_ALWAYS_INLINE const Words (&state() const)[4] { return state_; }

 private:
  // One step of xoshiro128++ (Blackman and Vigna, 2021) in every lane.
  IVON_ALWAYS_INLINE Words next_words() {
    const Words result = rotate_left<7>(state_[0] + state_[3]) + state_[0];
    const Words shifted = shift_left<9>(state_[1]);
    state_[2] = state_[2] ^ state_[0];
    state_[3] = state_[3] ^ state_[1];
    state_[1] = state_[1] ^ state_[2];
    state_[0] = state_[0] ^ state_[3];
    state_[2] = state_[2] ^ shifted;
    state_[3] = rotate_left<11>(state_[3]);
    return result;
  }

  // Changes lanes whose state is all zeros, because from such a state xoshiro128++ makes only
  // zeros.
  IVON_ALWAYS_INLINE void replace_zero_states() {
    const Words zero = set(0u);
    const uint32_t zeros = bits(equal(state_[0], zero)) & bits(equal(state_[1], zero)) &
                           bits(equal(state_[2], zero)) & bits(equal(state_[3], zero));
    if (zeros == 0) return;
    uint32_t first[16];
    store(first, state_[0]);
    for (uint32_t lane = 0; lane < 16; ++lane) first[lane] |= zeros >> lane & 1u;
    state_[0] = load(first);
  }

  Words state_[4];
};

/// Writes the first `count` normals of one block, 0 <= count <= kNoiseBlock.
inline void fill_block(const NoiseKey& key, uint32_t block, float* out, int64_t count) {
  NormalBlock normals(key, block);
  for (int64_t done = 0; done < count; done += 32) {
    Floats first, second;
    normals.next(first, second);
    if (count - done >= 32) {
      store(out + done, first);
      store(out + done + 16, second);
    } else {
      float rest[32];
      store(rest, first);
      store(rest + 16, second);
      std::memcpy(out + done, rest, static_cast<size_t>(count - done) * sizeof(float));
    }
  }
}

/// Writes `count` normals of noise stream 2, from quad `first_quad` on, sixteen quads at a time. A
/// quad is four elements.
inline void fill_quads(const NoiseKey& key, uint64_t first_quad, float* out, int64_t count) {
  static constexpr uint32_t kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int64_t done = 0; done < count; done += 64) {
    Floats quads[4];
    normal_quads(key, first_quad + static_cast<uint64_t>(done) / 4, load(kLanes), quads);
    float normals[4][16];
    for (int i = 0; i < 4; ++i) store(normals[i], quads[i]);
    for (int64_t i = 0; i < 64 && done + i < count; ++i) out[done + i] = normals[i % 4][i / 4];
  }
}
