// SPDX-License-Identifier: Apache-2.0
// Makes the noise streams of docs/noise.md on CPUs, sixteen words at a time, with the packs of any
// instruction set. Included inside a namespace that has box_muller.inl, short_box_muller.inl and
// quad_noise.inl.

/// Writes four random words for each of sixteen lanes, which follow from the block's name.
IVON_ALWAYS_INLINE void block_words(const NoiseKey& key, uint32_t block, uint32_t domain_bit,
                                    Words (&words)[4]) {
  static constexpr uint32_t kLaneTags[16] = {
      0u << 24, 1u << 24, 2u << 24,  3u << 24,  4u << 24,  5u << 24,  6u << 24,  7u << 24,
      8u << 24, 9u << 24, 10u << 24, 11u << 24, 12u << 24, 13u << 24, 14u << 24, 15u << 24};
  // The lane tag, the parameter and the domain use different bits, so + gives the same as |.
  const uint32_t tag = key.parameter | (static_cast<uint32_t>(key.domain) | domain_bit) << 28;
  words[0] = set(block);
  words[1] = load(kLaneTags) + set(tag);
  words[2] = set(static_cast<uint32_t>(key.draw));
  words[3] = set(static_cast<uint32_t>(key.draw >> 32));
  philox4x32_10(words, static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
}

/// Sets bit 0 of state[0] in the lanes where all words are 0, because from a state of zeros a
/// generator makes only zeros.
template <size_t n>
IVON_ALWAYS_INLINE void replace_zero_states(Words (&state)[n]) {
  uint32_t zeros = 0xFFFFu;
  for (const Words& words : state) zeros &= bits(equal(words, set(0u)));
  if (zeros == 0) return;
  uint32_t first[16];
  store(first, state[0]);
  for (uint32_t lane = 0; lane < 16; ++lane) first[lane] |= zeros >> lane & 1u;
  state[0] = load(first);
}

/// Makes the normals of one block of stream 3 in order, 32 in each call of next().
class NormalBlock {
 public:
  IVON_ALWAYS_INLINE NormalBlock() : state_{set(0u), set(0u)} {}  // must be assigned before next()
  IVON_ALWAYS_INLINE NormalBlock(const NoiseKey& key, uint32_t block) {
    Words words[4];
    block_words(key, block, kThirdStreamDomainBit, words);
    state_[0] = words[0];
    state_[1] = words[1];
    replace_zero_states(state_);
  }

  /// Makes the next two packs: `first` from the cosines of Box-Muller, `second` from the sines.
  IVON_ALWAYS_INLINE void next(Floats& first, Floats& second) {
    const Floats radius = short_radius(next_words());
    Floats cosine, sine;
    short_direction(next_words(), cosine, sine);
    first = radius * cosine;
    second = radius * sine;
  }

  /// Makes the next sixteen words by one step of xoroshiro128+ (Blackman and Vigna, 2021) in each
  /// of eight lanes of 64 bits. Each call of next() uses two such steps.
  IVON_ALWAYS_INLINE Words next_words() {
    const Words result = add_longs(state_[0], state_[1]);
    const Words both = state_[1] ^ state_[0];
    state_[0] = rotate_longs_left<24>(state_[0]) ^ both ^ shift_longs_left<16>(both);
    state_[1] = rotate_longs_left<37>(both);
    return result;
  }

 private:
  Words state_[2];
};

/// Makes the normals of one block of stream 1 in order, 32 in each call of next().
class FirstNormalBlock {
 public:
  IVON_ALWAYS_INLINE FirstNormalBlock()
      : state_{set(0u), set(0u), set(0u), set(0u)} {}  // must be assigned before next()
  IVON_ALWAYS_INLINE FirstNormalBlock(const NoiseKey& key, uint32_t block) {
    block_words(key, block, 0, state_);
    replace_zero_states(state_);
  }

  /// As NormalBlock::next().
  IVON_ALWAYS_INLINE void next(Floats& first, Floats& second) {
    const Floats radius = box_muller_radius(next_words());
    Floats cosine, sine;
    box_muller_direction(next_words(), cosine, sine);
    first = radius * cosine;
    second = radius * sine;
  }

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

  Words state_[4];
};

/// The position in the noise of one block, of either stream.
struct BlockNoise {
  bool is_first_stream = false;
  NormalBlock normals;             // of stream 3
  FirstNormalBlock first_normals;  // of stream 1

  BlockNoise() = default;  // must be assigned before use
  inline BlockNoise(const NoiseKey& key, uint32_t block)
      : is_first_stream(key.stream == kFirstNoiseStreamId) {
    if (is_first_stream) {
      first_normals = FirstNormalBlock(key, block);
    } else {
      normals = NormalBlock(key, block);
    }
  }
};

template <class Normals>
inline void fill_from(Normals normals, float* out, int64_t count) {
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

/// Writes the first `count` normals of one block, 0 <= count <= kNoiseBlock.
inline void fill_block(const NoiseKey& key, uint32_t block, float* out, int64_t count) {
  if (key.stream == kFirstNoiseStreamId) {
    fill_from(FirstNormalBlock(key, block), out, count);
  } else {
    fill_from(NormalBlock(key, block), out, count);
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
