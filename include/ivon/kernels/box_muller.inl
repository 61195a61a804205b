// SPDX-License-Identifier: Apache-2.0
// Makes random words and turns them into normals, in every lane of a pack, for CPUs and GPUs.
// Included inside a namespace that has Floats and Words. Every operation rounds once, and a
// compiler can contract no two of them.

/// The random number generator Philox4x32-10 (Salmon et al., SC 2011). It replaces the counter by
/// four random words.
IVON_ALWAYS_INLINE void philox4x32_10(Words (&counter)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply_wide(counter[0], 0xD2511F53u, high0, low0);
    multiply_wide(counter[2], 0xCD9E8D57u, high1, low1);
    counter[0] = high1 ^ counter[1] ^ set(key0);
    counter[1] = low1;
    counter[2] = high0 ^ counter[3] ^ set(key1);
    counter[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// Returns sqrt(-2 ln u), which is 0 to 6.77, where u = (word + 1/2) / 2^32 is rounded to binary32.
/// The polynomial is within 3.1e-8 relative of -2 log(1 - f) for 1/sqrt(2) <= 1 - f < sqrt(2). It
/// has the bits that docs/noise.md prescribes: all of its values are those of the page times -1,
/// 2 or -2.
IVON_ALWAYS_INLINE Floats box_muller_radius(Words word) {
  const Floats high = float_of_int(shift_right<16>(word));
  const Floats low = float_of_int(word & set(0xFFFFu)) + set(0.5f);
  constexpr uint32_t kSqrtHalf = 0x3F3504F3u;  // the bits of 1/sqrt(2)
  constexpr uint32_t kTwoTo32 = 32u << 23;     // what 2^32 adds to the bits of a number
  const Words scaled = as_words(fma(high, set(65536.0f), low)) - set(kSqrtHalf + kTwoTo32);
  const Floats exponent = float_of_int(shift_right_signed<23>(scaled));  // of u: 0 to -32
  // u = 2^exponent (1 - f), and f q is -2 log(1 - f).
  const Floats f = set(1.0f) - as_floats((scaled & set(0x007FFFFFu)) + set(kSqrtHalf));
  Floats q = set(0x1.65f14cp-3f);
  q = fma(q, f, set(0x1.2505c6p-2f));
  q = fma(q, f, set(0x1.317ca6p-2f));
  q = fma(q, f, set(0x1.535c28p-2f));
  q = fma(q, f, set(0x1.98d3a0p-2f));
  q = fma(q, f, set(0x1.0004a8p-1f));
  q = fma(q, f, set(0x1.5556f0p-1f));
  q = fma(q, f, set(0x1.fffffap-1f));
  q = fma(q, f, set(2.0f));
  return sqrt(fnma(exponent, set(0x1.62e430p+0f), f * q));  // 2 ln 2
}

/// Returns cosine and sine of the angle pi y, where y = int32(word) / 2^32. If bit 0 of the word is
/// set, the cosine changes its sign. Absolute error of the polynomials: cosine 6.2e-8, sine 7.6e-9.
IVON_ALWAYS_INLINE void box_muller_direction(Words word, Floats& cosine, Floats& sine) {
  const Floats y = float_of_int(word) * set(0x1p-32f);
  const Floats z = y * y;
  Floats s = set(0x1.3911f8p-4f);
  s = fma(s, z, set(-0x1.31fbf0p-1f));
  s = fma(s, z, set(0x1.466504p+1f));
  s = fma(s, z, set(-0x1.4abba2p+2f));
  s = fma(s, z, set(0x1.921fb4p+1f));
  Floats c = set(0x1.c02a34p-3f);
  c = fma(c, z, set(-0x1.54dca0p+0f));
  c = fma(c, z, set(0x1.03bc26p+2f));
  c = fma(c, z, set(-0x1.3bd39cp+2f));
  c = fma(c, z, set(0x1.fffffep-1f));
  cosine = as_floats(as_words(c) ^ shift_left<31>(word));
  sine = y * s;
}
