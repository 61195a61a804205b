// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes in plain C++. F floats, D doubles, U 32-bit words, H 16-bit words, M marks.
// Included inside a namespace.

// Lanes that may alias: GCC 12 for AArch64 puts packs of different types into one place on the
// stack and then, believing that they cannot meet, reads one before it has written the other (-O2).
#if defined(__GNUC__)
#define IVON_MAY_ALIAS __attribute__((may_alias))
#else
#define IVON_MAY_ALIAS
#endif
template <class T>
struct IVON_MAY_ALIAS Lanes {
  using Number = T;
  using Lane IVON_MAY_ALIAS = T;
  Lane v[16];
};
using F = Lanes<float>;
using D = Lanes<double>;
using U = Lanes<uint32_t>;
using H = Lanes<uint16_t>;
struct IVON_MAY_ALIAS M {
  Lanes<uint32_t>::Lane v[16];  // 1: yes
};

// NOLINTBEGIN(modernize-loop-convert): several packs are walked at once
#define IVON_LANES for (int l = 0; l < 16; ++l)

template <class T>
IVON_ALWAYS_INLINE Lanes<T> set(T x) {
  Lanes<T> r;
  IVON_LANES r.v[l] = x;
  return r;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> load(const T* p) {
  Lanes<T> r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
template <class T>
IVON_ALWAYS_INLINE void store(T* p, Lanes<T> a) {
  std::memcpy(p, a.v, sizeof(a.v));
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> operator+(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] += b.v[l];
  return a;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> operator-(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] -= b.v[l];
  return a;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> operator*(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] *= b.v[l];
  return a;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> operator/(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] /= b.v[l];
  return a;
}
// The compiler's own where it has names for them: those of <cmath> are functions under the user's
// floating-point flags.
#if defined(__GNUC__)
IVON_ALWAYS_INLINE float rounded_once(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
IVON_ALWAYS_INLINE double rounded_once(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
IVON_ALWAYS_INLINE float square_root(float a) { return __builtin_sqrtf(a); }
IVON_ALWAYS_INLINE double square_root(double a) { return __builtin_sqrt(a); }
#else
template <class T>
IVON_ALWAYS_INLINE T rounded_once(T a, T b, T c) {
  return std::fma(a, b, c);
}
template <class T>
IVON_ALWAYS_INLINE T square_root(T a) {
  return std::sqrt(a);
}
#endif
template <class T>
IVON_ALWAYS_INLINE Lanes<T> fma(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  IVON_LANES c.v[l] = rounded_once(a.v[l], b.v[l], c.v[l]);
  return c;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> fnma(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  IVON_LANES c.v[l] = rounded_once(-a.v[l], b.v[l], c.v[l]);
  return c;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> fms(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  IVON_LANES c.v[l] = rounded_once(a.v[l], b.v[l], -c.v[l]);
  return c;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> sqrt(Lanes<T> a) {
  IVON_LANES a.v[l] = square_root(a.v[l]);
  return a;
}
// Like the instructions: b where one is not a number.
template <class T>
IVON_ALWAYS_INLINE Lanes<T> max(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
  return a;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> min(Lanes<T> a, Lanes<T> b) {
  IVON_LANES a.v[l] = a.v[l] < b.v[l] ? a.v[l] : b.v[l];
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
// The words with sign and exponent.
IVON_ALWAYS_INLINE U upper_words(F a) { return as_words(a); }
IVON_ALWAYS_INLINE U upper_words(D a) {
  U r;
  IVON_LANES {
    uint64_t word;
    std::memcpy(&word, &a.v[l], sizeof(word));
    r.v[l] = static_cast<uint32_t>(word >> 32);
  }
  return r;
}
IVON_ALWAYS_INLINE D to_double(F a) {
  D r;
  IVON_LANES r.v[l] = static_cast<double>(a.v[l]);
  return r;
}

IVON_ALWAYS_INLINE U extend(H a) {
  U r;
  IVON_LANES r.v[l] = a.v[l];
  return r;
}
IVON_ALWAYS_INLINE H truncate(U a) {
  H r;
  IVON_LANES r.v[l] = static_cast<uint16_t>(a.v[l]);
  return r;
}

inline uint32_t widen_float16(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  uint32_t magnitude = half & 0x7FFFu;
  if (magnitude > 0x7C00u) return sign | 0x7FC00000u | magnitude << 13;  // quiet
  if (magnitude == 0x7C00u) return sign | 0x7F800000u;
  if (magnitude >= 0x0400u) return sign | ((magnitude << 13) + (112u << 23));
  if (magnitude == 0) return sign;
  uint32_t exponent = 113;  // subnormal: bring the leading bit to its place
  for (; (magnitude & 0x0400u) == 0; --exponent) magnitude <<= 1;
  return sign | exponent << 23 | (magnitude & 0x03FFu) << 13;
}
inline uint32_t narrow_float16(uint32_t word) {
  const uint32_t sign = word >> 16 & 0x8000u;
  const uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u | (magnitude >> 13 & 0x03FFu);  // quiet
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and more round to infinity
  uint32_t value = magnitude - (112u << 23);            // in units of 2^-13 of the last place
  uint32_t dropped = 13;
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal
    if (magnitude <= 0x33000000u) return sign;
    value = (magnitude & 0x007FFFFFu) | 0x00800000u;
    dropped = 126 - (magnitude >> 23);
  }
  const uint32_t kept = value >> dropped;
  const uint32_t half = 1u << (dropped - 1);
  const uint32_t rest = value & ((half << 1) - 1);
  return sign | (kept + (rest > half || (rest == half && (kept & 1u) != 0) ? 1u : 0u));
}
IVON_ALWAYS_INLINE F widen_float16(H a) {
  U r;
  IVON_LANES r.v[l] = widen_float16(uint32_t{a.v[l]});
  return as_floats(r);
}
IVON_ALWAYS_INLINE H narrow_float16(F a) {
  U r = as_words(a);
  IVON_LANES r.v[l] = narrow_float16(r.v[l]);
  return truncate(r);
}

template <class T>
IVON_ALWAYS_INLINE M equal(Lanes<T> a, Lanes<T> b) {
  M r;
  IVON_LANES r.v[l] = a.v[l] == b.v[l] ? 1 : 0;
  return r;
}
IVON_ALWAYS_INLINE M at_least(U a, U b) {
  M r;
  IVON_LANES r.v[l] = a.v[l] >= b.v[l] ? 1 : 0;
  return r;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> select(M mark, Lanes<T> yes, Lanes<T> no) {
  IVON_LANES no.v[l] = mark.v[l] != 0 ? yes.v[l] : no.v[l];
  return no;
}
IVON_ALWAYS_INLINE uint32_t bits(M mark) {
  uint32_t r = 0;
  for (int l = 15; l >= 0; --l) r = r << 1 | mark.v[l];
  return r;
}

#undef IVON_LANES
#undef IVON_MAY_ALIAS
// NOLINTEND(modernize-loop-convert)
