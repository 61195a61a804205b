// SPDX-License-Identifier: Apache-2.0
// The noise of IVON: (seed, domain, draw, parameter, block) -> 4096 standard normals. No LibTorch.
//
// Philox4x32-10 keys sixteen xoshiro128++ lanes, Box-Muller turns their words into normals. Every
// operation is an integer operation or an IEEE-754 binary32 one (FMA, multiply, square root), so
// the same bits come out of every processor, compiler and vector width. docs/noise.md is the
// specification with test vectors; archives name it by `kNoiseStreamId`.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__GNUC__)
#define IVON_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define IVON_ALWAYS_INLINE inline
#endif

namespace ivon::detail {

inline constexpr int64_t kNoiseStreamId =
    1;  // of docs/noise.md; changes with any bit of the stream
inline constexpr int64_t kNoiseBlock = 4096;  // elements per block; a block can be made alone
inline constexpr int kNoiseLanes = 16;        // xoshiro128++ generators that run side by side
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // width of the parameter index

/// Training and prediction draw from separate streams, so that evaluating never changes training.
enum class NoiseDomain : uint32_t { kTraining = 0, kPrediction = 1 };

/// Names the noise of one parameter in one sample.
struct NoiseKey {
  uint64_t seed = 0;
  NoiseDomain domain = NoiseDomain::kTraining;
  uint64_t draw = 0;       // number of the sample within its domain
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters
};

/// Philox4x32-10 (Salmon et al., SC 2011): counter and key to four words.
IVON_ALWAYS_INLINE std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                                         uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// Sixteen xoshiro128++ generators (Blackman and Vigna, 2021); word w of lane l is `words[w][l]`.
struct NoiseLanes {
  uint32_t words[4][kNoiseLanes];

  IVON_ALWAYS_INLINE NoiseLanes(const NoiseKey& key, uint32_t block) {
    for (uint32_t lane = 0; lane < kNoiseLanes; ++lane) {
      const uint32_t tag = key.parameter | lane << 24 | static_cast<uint32_t>(key.domain) << 28;
      auto state = philox4x32_10(
          {block, tag, static_cast<uint32_t>(key.draw), static_cast<uint32_t>(key.draw >> 32)},
          static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
      // The all-zero state is xoshiro's one fixed point.
      if ((state[0] | state[1] | state[2] | state[3]) == 0) state[0] = 1;
      for (size_t word = 0; word < 4; ++word) words[word][lane] = state[word];
    }
  }

  IVON_ALWAYS_INLINE void next(uint32_t (&out)[kNoiseLanes]) {
    for (int lane = 0; lane < kNoiseLanes; ++lane) {
      uint32_t s0 = words[0][lane], s1 = words[1][lane], s2 = words[2][lane], s3 = words[3][lane];
      const uint32_t sum = s0 + s3;
      out[lane] = (sum << 7 | sum >> 25) + s0;
      const uint32_t shifted = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= shifted;
      words[0][lane] = s0;
      words[1][lane] = s1;
      words[2][lane] = s2;
      words[3][lane] = s3 << 11 | s3 >> 21;
    }
  }
};

IVON_ALWAYS_INLINE float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

IVON_ALWAYS_INLINE uint32_t bits_from_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

/// sqrt(-2 ln u), u = (word + 1/2) / 2^32 rounded to binary32: 0 ... 6.77. The polynomial is within
/// 3.1e-8 relative of log1p(f) for 1/sqrt(2) <= 1 + f < sqrt(2).
IVON_ALWAYS_INLINE float box_muller_radius(uint32_t word) {
  const float high = static_cast<float>(static_cast<int32_t>(word >> 16));
  const float low = static_cast<float>(static_cast<int32_t>(word & 0xFFFFu)) + 0.5f;
  const uint32_t scaled =
      bits_from_float(std::fma(high, 65536.0f, low)) - 0x3F3504F3u;  // 1/sqrt(2)
  const float exponent = static_cast<float>(32 - (static_cast<int32_t>(scaled) >> 23));
  const float f = float_from_bits((scaled & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
  float q = 0x1.65f14cp-4f;
  q = std::fma(q, f, -0x1.2505c6p-3f);
  q = std::fma(q, f, 0x1.317ca6p-3f);
  q = std::fma(q, f, -0x1.535c28p-3f);
  q = std::fma(q, f, 0x1.98d3a0p-3f);
  q = std::fma(q, f, -0x1.0004a8p-2f);
  q = std::fma(q, f, 0x1.5556f0p-2f);
  q = std::fma(q, f, -0x1.fffffap-2f);
  q = std::fma(q, f, 1.0f);
  const float minus_log = std::fma(exponent, 0x1.62e430p-1f, -(f * q));  // ln 2
  return std::sqrt(minus_log + minus_log);
}

/// The point at angle pi y, y = int32(word) / 2^32, mirrored to the left half plane by bit 0.
/// Absolute error of the polynomials: cosine 6.2e-8, sine 7.6e-9.
IVON_ALWAYS_INLINE void box_muller_direction(uint32_t word, float& cosine, float& sine) {
  const float y = static_cast<float>(static_cast<int32_t>(word)) * 0x1p-32f;
  const float z = y * y;
  float s = 0x1.3911f8p-4f;
  s = std::fma(s, z, -0x1.31fbf0p-1f);
  s = std::fma(s, z, 0x1.466504p+1f);
  s = std::fma(s, z, -0x1.4abba2p+2f);
  s = std::fma(s, z, 0x1.921fb4p+1f);
  float c = 0x1.c02a34p-3f;
  c = std::fma(c, z, -0x1.54dca0p+0f);
  c = std::fma(c, z, 0x1.03bc26p+2f);
  c = std::fma(c, z, -0x1.3bd39cp+2f);
  c = std::fma(c, z, 0x1.fffffep-1f);
  cosine = float_from_bits(bits_from_float(c) ^ word << 31);
  sine = y * s;
}

/// The first `count` normals of one block, 0 <= count <= kNoiseBlock. Every two words of a lane
/// make the elements 32 k + lane (cosine) and 32 k + 16 + lane (sine).
IVON_ALWAYS_INLINE void fill_block(const NoiseKey& key, uint32_t block, float* out, int64_t count) {
  NoiseLanes lanes(key, block);
  uint32_t radius_words[kNoiseLanes], angle_words[kNoiseLanes];
  float normals[2 * kNoiseLanes];
  for (int64_t done = 0; done < count; done += 2 * kNoiseLanes) {
    lanes.next(radius_words);
    lanes.next(angle_words);
    float* target = count - done >= 2 * kNoiseLanes ? out + done : normals;
    for (int lane = 0; lane < kNoiseLanes; ++lane) {
      const float radius = box_muller_radius(radius_words[lane]);
      float cosine, sine;
      box_muller_direction(angle_words[lane], cosine, sine);
      target[lane] = radius * cosine;
      target[kNoiseLanes + lane] = radius * sine;
    }
    if (target == normals) {
      std::memcpy(out + done, normals, static_cast<size_t>(count - done) * sizeof(float));
    }
  }
}

inline void fill_block_portable(const NoiseKey& key, uint32_t block, float* out, int64_t count) {
  fill_block(key, block, out, count);
}

#if defined(__GNUC__) && defined(__x86_64__)
// The same code with FMA as an instruction; the portable one calls the C library's, forty times
// slower.
__attribute__((target("avx2,fma"))) inline void fill_block_fma(const NoiseKey& key, uint32_t block,
                                                               float* out, int64_t count) {
  fill_block(key, block, out, count);
}
#endif

/// Writes the normals of the blocks from `first_block` on: out[0 ... count - 1] are the elements
/// kNoiseBlock * first_block + i of the parameter in memory order.
inline void fill_normal(const NoiseKey& key, int64_t first_block, float* out, int64_t count) {
#if defined(__GNUC__) && defined(__x86_64__)
  static const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const auto fill = has_fma ? fill_block_fma : fill_block_portable;
#else
  const auto fill = fill_block_portable;
#endif
  for (int64_t done = 0; done < count; done += kNoiseBlock) {
    const int64_t size = count - done < kNoiseBlock ? count - done : kNoiseBlock;
    fill(key, static_cast<uint32_t>(first_block + done / kNoiseBlock), out + done, size);
  }
}

}  // namespace ivon::detail
