// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes in plain C++. F floats, U 32-bit words, M marks. Included inside a namespace.

struct F {
  float v[16];
};
struct U {
  uint32_t v[16];
};
using M = uint32_t;  // bit l: lane l

// NOLINTBEGIN(modernize-loop-convert): several packs are walked at once
#define IVON_LANES for (int l = 0; l < 16; ++l)

IVON_ALWAYS_INLINE F set(float x) {
  F r;
  IVON_LANES r.v[l] = x;
  return r;
}
IVON_ALWAYS_INLINE F load(const float* p) {
  F r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
IVON_ALWAYS_INLINE void store(float* p, F a) { std::memcpy(p, a.v, sizeof(a.v)); }
IVON_ALWAYS_INLINE F operator+(F a, F b) {
  IVON_LANES a.v[l] += b.v[l];
  return a;
}
IVON_ALWAYS_INLINE F operator-(F a, F b) {
  IVON_LANES a.v[l] -= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE F operator*(F a, F b) {
  IVON_LANES a.v[l] *= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE F operator/(F a, F b) {
  IVON_LANES a.v[l] /= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE F fma(F a, F b, F c) {
  IVON_LANES c.v[l] = std::fma(a.v[l], b.v[l], c.v[l]);
  return c;
}
IVON_ALWAYS_INLINE F fnma(F a, F b, F c) {
  IVON_LANES c.v[l] = std::fma(-a.v[l], b.v[l], c.v[l]);
  return c;
}
IVON_ALWAYS_INLINE F fms(F a, F b, F c) {
  IVON_LANES c.v[l] = std::fma(a.v[l], b.v[l], -c.v[l]);
  return c;
}
IVON_ALWAYS_INLINE F sqrt(F a) {
  IVON_LANES a.v[l] = std::sqrt(a.v[l]);
  return a;
}
// Like the instructions: b where a is not a number.
IVON_ALWAYS_INLINE F max(F a, F b) {
  IVON_LANES a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
  return a;
}
IVON_ALWAYS_INLINE F min(F a, F b) {
  IVON_LANES a.v[l] = a.v[l] < b.v[l] ? a.v[l] : b.v[l];
  return a;
}

IVON_ALWAYS_INLINE U set(uint32_t x) {
  U r;
  IVON_LANES r.v[l] = x;
  return r;
}
IVON_ALWAYS_INLINE U load(const uint32_t* p) {
  U r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
IVON_ALWAYS_INLINE void store(uint32_t* p, U a) { std::memcpy(p, a.v, sizeof(a.v)); }
IVON_ALWAYS_INLINE U operator+(U a, U b) {
  IVON_LANES a.v[l] += b.v[l];
  return a;
}
IVON_ALWAYS_INLINE U operator-(U a, U b) {
  IVON_LANES a.v[l] -= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE U operator^(U a, U b) {
  IVON_LANES a.v[l] ^= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE U operator&(U a, U b) {
  IVON_LANES a.v[l] &= b.v[l];
  return a;
}
template <int n>
IVON_ALWAYS_INLINE U shift_left(U a) {
  IVON_LANES a.v[l] <<= n;
  return a;
}
template <int n>
IVON_ALWAYS_INLINE U shift_right(U a) {
  IVON_LANES a.v[l] >>= n;
  return a;
}
template <int n>
IVON_ALWAYS_INLINE U shift_right_signed(U a) {
  IVON_LANES a.v[l] = static_cast<uint32_t>(static_cast<int32_t>(a.v[l]) >> n);
  return a;
}
template <int n>
IVON_ALWAYS_INLINE U rotate_left(U a) {
  IVON_LANES a.v[l] = a.v[l] << n | a.v[l] >> (32 - n);
  return a;
}
IVON_ALWAYS_INLINE void multiply_wide(U a, uint32_t b, U& high, U& low) {
  IVON_LANES {
    const uint64_t product = uint64_t{b} * a.v[l];
    high.v[l] = static_cast<uint32_t>(product >> 32);
    low.v[l] = static_cast<uint32_t>(product);
  }
}
IVON_ALWAYS_INLINE F float_of_int(U a) {
  F r;
  IVON_LANES r.v[l] = static_cast<float>(static_cast<int32_t>(a.v[l]));
  return r;
}
IVON_ALWAYS_INLINE F as_floats(U a) {
  F r;
  std::memcpy(r.v, a.v, sizeof(r.v));
  return r;
}
IVON_ALWAYS_INLINE U as_words(F a) {
  U r;
  std::memcpy(r.v, a.v, sizeof(r.v));
  return r;
}

IVON_ALWAYS_INLINE M equal(U a, U b) {
  M r = 0;
  IVON_LANES r |= static_cast<M>(a.v[l] == b.v[l]) << l;
  return r;
}
IVON_ALWAYS_INLINE U max(U a, U b) {
  IVON_LANES a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
  return a;
}
IVON_ALWAYS_INLINE M at_least(U a, U b) {
  M r = 0;
  IVON_LANES r |= static_cast<M>(a.v[l] >= b.v[l]) << l;
  return r;
}
IVON_ALWAYS_INLINE F select(M mark, F yes, F no) {
  IVON_LANES no.v[l] = (mark >> l & 1u) != 0 ? yes.v[l] : no.v[l];
  return no;
}
IVON_ALWAYS_INLINE uint32_t bits(M mark) { return mark; }

#undef IVON_LANES
// NOLINTEND(modernize-loop-convert)
