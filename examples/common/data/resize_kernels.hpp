// SPDX-License-Identifier: Apache-2.0
// The two inner loops of resize.cpp: weighted sums of rows and of columns, in whole numbers, so
// that every processor gives the same results. x86-64 has an instruction for the sum of two
// products, which compilers do not find in the portable form of the loops.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace examples::resize_kernels {

// Weights are multiples of 2^-14, so that they fit into 16 bits. Between the two passes, values
// keep 6 bits behind the binary point.
inline constexpr int kWeightBits = 14;
inline constexpr int kMiddleBits = 6;
inline constexpr int kRowShift = kWeightBits - kMiddleBits;
inline constexpr int kColumnShift = kWeightBits + kMiddleBits;

// The kernels read this many values behind the end of a row of the middle and ignore them.
inline constexpr int64_t kMiddlePadding = 8;

// Weights [count] of consecutive rows or columns. One weight more can be read; it is 0 where
// `count` is odd.
struct Weights {
  const int16_t* values;
  int64_t count;
};

// to[x] = the weighted sum over k of rows[k * stride + x], in multiples of 2^-6.
inline void sum_rows_portable(const uint8_t* rows, int64_t stride, const Weights& weights,
                              int64_t length, int16_t* to) {
  constexpr int64_t kBlock = 64;
  for (int64_t begin = 0; begin < length; begin += kBlock) {
    const int64_t size = std::min(kBlock, length - begin);
    std::array<int32_t, kBlock> sums;
    sums.fill(1 << (kRowShift - 1));
    for (int64_t k = 0; k < weights.count; ++k) {
      const uint8_t* row = rows + k * stride + begin;
      const int16_t weight = weights.values[k];
      for (int64_t x = 0; x < size; ++x) sums[static_cast<size_t>(x)] += weight * row[x];
    }
    for (int64_t x = 0; x < size; ++x) {
      to[begin + x] = static_cast<int16_t>(sums[static_cast<size_t>(x)] >> kRowShift);
    }
  }
}

// One pixel of the result: the weighted sum over k of the pixels from[k], rounded to 8 bits.
template <size_t kChannels>
void sum_pixels_portable(const int16_t* from, const Weights& weights, uint8_t* to) {
  std::array<int32_t, kChannels> sums = {};
  for (int64_t k = 0; k < weights.count; ++k, from += kChannels) {
    for (size_t c = 0; c < kChannels; ++c) sums[c] += weights.values[k] * from[c];
  }
  for (size_t c = 0; c < kChannels; ++c) {
    to[c] = static_cast<uint8_t>((sums[c] + (1 << (kColumnShift - 1))) >> kColumnShift);
  }
}

#ifdef __SSE2__

// Two neighbouring weights, four times.
inline __m128i weight_pair(const int16_t* weights) {
  int32_t both = 0;
  std::memcpy(&both, weights, sizeof(both));
  return _mm_set1_epi32(both);
}

// Adds u * a[x] + v * b[x] for eight x: `values` holds a[0], b[0], a[1], b[1], ... as bytes.
inline void add_products(__m128i values, __m128i pair, __m128i& first, __m128i& second) {
  const __m128i zero = _mm_setzero_si128();
  first = _mm_add_epi32(first, _mm_madd_epi16(_mm_unpacklo_epi8(values, zero), pair));
  second = _mm_add_epi32(second, _mm_madd_epi16(_mm_unpackhi_epi8(values, zero), pair));
}

// sum_rows for sixteen values.
inline void sum_sixteen(const uint8_t* rows, int64_t stride, const Weights& weights, int16_t* to) {
  const auto load = [](const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  };
  const __m128i half = _mm_set1_epi32(1 << (kRowShift - 1));
  __m128i s0 = half, s1 = half, s2 = half, s3 = half;
  for (int64_t k = 0; k < weights.count; k += 2) {
    const __m128i a = load(rows + k * stride);
    const __m128i b = load(rows + std::min(k + 1, weights.count - 1) * stride);
    const __m128i pair = weight_pair(weights.values + k);
    add_products(_mm_unpacklo_epi8(a, b), pair, s0, s1);
    add_products(_mm_unpackhi_epi8(a, b), pair, s2, s3);
  }
  const auto store = [](int16_t* p, __m128i low, __m128i high) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm_packs_epi32(_mm_srai_epi32(low, kRowShift), _mm_srai_epi32(high, kRowShift)));
  };
  store(to, s0, s1);
  store(to + 8, s2, s3);
}

inline void sum_rows(const uint8_t* rows, int64_t stride, const Weights& weights, int64_t length,
                     int16_t* to) {
  constexpr int64_t kBlock = 16;
  if (length < kBlock) return sum_rows_portable(rows, stride, weights, length, to);
  for (int64_t x = 0; x < length; x += kBlock) {
    const int64_t begin = std::min(x, length - kBlock);  // the last block overlaps the one before
    sum_sixteen(rows + begin, stride, weights, to + begin);
  }
}

// Three channels; one more is computed, because four fit into a register.
inline void sum_three(const int16_t* from, const Weights& weights, uint8_t* to) {
  const auto load = [](const int16_t* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  };
  __m128i sum = _mm_set1_epi32(1 << (kColumnShift - 1));
  for (int64_t k = 0; k < weights.count; k += 2, from += 6) {
    const __m128i pixels = _mm_unpacklo_epi16(load(from), load(from + 3));
    sum = _mm_add_epi32(sum, _mm_madd_epi16(pixels, weight_pair(weights.values + k)));
  }
  sum = _mm_srai_epi32(sum, kColumnShift);
  sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
  const int32_t pixel = _mm_cvtsi128_si32(sum);
  std::memcpy(to, &pixel, 3);
}

template <size_t kChannels>
void sum_pixels(const int16_t* from, const Weights& weights, uint8_t* to) {
  if constexpr (kChannels == 3) {
    sum_three(from, weights, to);
  } else {
    sum_pixels_portable<kChannels>(from, weights, to);
  }
}

#else

inline void sum_rows(const uint8_t* rows, int64_t stride, const Weights& weights, int64_t length,
                     int16_t* to) {
  sum_rows_portable(rows, stride, weights, length, to);
}

template <size_t kChannels>
void sum_pixels(const int16_t* from, const Weights& weights, uint8_t* to) {
  sum_pixels_portable<kChannels>(from, weights, to);
}

#endif

}  // namespace examples::resize_kernels
