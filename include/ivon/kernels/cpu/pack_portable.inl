// SPDX-License-Identifier: Apache-2.0
// Packs of sixteen lanes in plain C++: Floats, Doubles, Words (of 32 bits), Halves (words of 16
// bits) and Mask (one mark for each lane). Included inside a namespace that has scalar.inl.

// The types are marked may_alias because of an error of GCC 12 for AArch64 with -O2. It puts packs
// of different types at one place on the stack, assumes that they cannot alias, and reads one
// before it has written the other.
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
using Floats = Lanes<float>;
using Doubles = Lanes<double>;
using Words = Lanes<uint32_t>;
using Halves = Lanes<uint16_t>;
struct IVON_MAY_ALIAS Mask {
  Lanes<uint32_t>::Lane v[16];  // 1 in a marked lane, else 0
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
// max and min return b if a or b is NaN, as the instructions of x86 do.
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

IVON_ALWAYS_INLINE Words operator^(Words a, Words b) {
  IVON_LANES a.v[l] ^= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE Words operator&(Words a, Words b) {
  IVON_LANES a.v[l] &= b.v[l];
  return a;
}
IVON_ALWAYS_INLINE Words operator|(Words a, Words b) {
  IVON_LANES a.v[l] |= b.v[l];
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words shift_left(Words a) {
  IVON_LANES a.v[l] <<= n;
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right(Words a) {
  IVON_LANES a.v[l] >>= n;
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right_signed(Words a) {
  IVON_LANES a.v[l] = static_cast<uint32_t>(static_cast<int32_t>(a.v[l]) >> n);
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words rotate_left(Words a) {
  IVON_LANES a.v[l] = a.v[l] << n | a.v[l] >> (32 - n);
  return a;
}
// A pack of words is also eight numbers of 64 bits: words 2 l and 2 l + 1 are the lower and the
// upper half of number l.
IVON_ALWAYS_INLINE uint64_t long_at(const Words& a, int l) {
  return a.v[2 * l] | uint64_t{a.v[2 * l + 1]} << 32;
}
IVON_ALWAYS_INLINE void set_long(Words& a, int l, uint64_t x) {
  a.v[2 * l] = static_cast<uint32_t>(x);
  a.v[2 * l + 1] = static_cast<uint32_t>(x >> 32);
}
IVON_ALWAYS_INLINE Words add_longs(Words a, Words b) {
  for (int l = 0; l < 8; ++l) set_long(a, l, long_at(a, l) + long_at(b, l));
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words shift_longs_left(Words a) {
  for (int l = 0; l < 8; ++l) set_long(a, l, long_at(a, l) << n);
  return a;
}
template <int n>
IVON_ALWAYS_INLINE Words rotate_longs_left(Words a) {
  for (int l = 0; l < 8; ++l) set_long(a, l, long_at(a, l) << n | long_at(a, l) >> (64 - n));
  return a;
}
IVON_ALWAYS_INLINE void multiply_wide(Words a, uint32_t b, Words& high, Words& low) {
  IVON_LANES {
    const uint64_t product = uint64_t{b} * a.v[l];
    high.v[l] = static_cast<uint32_t>(product >> 32);
    low.v[l] = static_cast<uint32_t>(product);
  }
}
IVON_ALWAYS_INLINE Floats float_of_int(Words a) {
  Floats r;
  IVON_LANES r.v[l] = static_cast<float>(static_cast<int32_t>(a.v[l]));
  return r;
}
IVON_ALWAYS_INLINE Floats as_floats(Words a) {
  Floats r;
  std::memcpy(r.v, a.v, sizeof(r.v));
  return r;
}
IVON_ALWAYS_INLINE Words as_words(Floats a) {
  Words r;
  std::memcpy(r.v, a.v, sizeof(r.v));
  return r;
}
// Returns the 32 bits of each number that contain sign and exponent.
IVON_ALWAYS_INLINE Words upper_words(Floats a) { return as_words(a); }
IVON_ALWAYS_INLINE Words upper_words(Doubles a) {
  Words r;
  IVON_LANES {
    uint64_t word;
    std::memcpy(&word, &a.v[l], sizeof(word));
    r.v[l] = static_cast<uint32_t>(word >> 32);
  }
  return r;
}
// Returns whether no number is infinite or NaN. It looks at exponent bits, because under
// -ffast-math a compiler may remove comparisons of values.
template <class T>
IVON_ALWAYS_INLINE bool all_finite(Lanes<T> a) {
  constexpr uint32_t kExponent = sizeof(T) == 4 ? 0x7F800000u : 0x7FF00000u;
  const Words upper = upper_words(a);
  bool finite = true;
  IVON_LANES finite = finite && (upper.v[l] & kExponent) != kExponent;
  return finite;
}
IVON_ALWAYS_INLINE Doubles to_double(Floats a) {
  Doubles r;
  IVON_LANES r.v[l] = static_cast<double>(a.v[l]);
  return r;
}

IVON_ALWAYS_INLINE Words extend(Halves a) {
  Words r;
  IVON_LANES r.v[l] = a.v[l];
  return r;
}
IVON_ALWAYS_INLINE Halves truncate(Words a) {
  Halves r;
  IVON_LANES r.v[l] = static_cast<uint16_t>(a.v[l]);
  return r;
}

IVON_ALWAYS_INLINE Floats widen_float16(Halves a) {
  Words r;
  IVON_LANES r.v[l] = widen_float16(uint32_t{a.v[l]});
  return as_floats(r);
}
IVON_ALWAYS_INLINE Halves narrow_float16(Floats a) {
  Words r = as_words(a);
  IVON_LANES r.v[l] = narrow_float16(r.v[l]);
  return truncate(r);
}

template <class T>
IVON_ALWAYS_INLINE Mask equal(Lanes<T> a, Lanes<T> b) {
  Mask r;
  IVON_LANES r.v[l] = a.v[l] == b.v[l] ? 1 : 0;
  return r;
}
IVON_ALWAYS_INLINE Mask at_least(Words a, Words b) {
  Mask r;
  IVON_LANES r.v[l] = a.v[l] >= b.v[l] ? 1 : 0;
  return r;
}
template <class T>
IVON_ALWAYS_INLINE Lanes<T> select(Mask mark, Lanes<T> yes, Lanes<T> no) {
  IVON_LANES no.v[l] = mark.v[l] != 0 ? yes.v[l] : no.v[l];
  return no;
}
IVON_ALWAYS_INLINE uint32_t bits(Mask mark) {
  uint32_t r = 0;
  for (int l = 15; l >= 0; --l) r = r << 1 | mark.v[l];
  return r;
}

#undef IVON_LANES
#undef IVON_MAY_ALIAS
// NOLINTEND(modernize-loop-convert)
