// SPDX-License-Identifier: Apache-2.0
// Turns random words into the normals of noise stream 3, in every lane of a pack. The polynomials
// have the accuracy that a noise needs, which is less than that of box_muller.inl. Included inside
// a namespace that has Floats and Words. Every operation rounds once, and a compiler can contract
// no two of them.

/// Returns sqrt(-2 ln u), which is 0.0004 to 6.56, where u = |int32(word | 1)| / 2^31 is rounded to
/// binary32. The argument of the root differs from -2 ln u by at most 7.3e-6.
IVON_ALWAYS_INLINE Floats short_radius(Words word) {
  constexpr uint32_t kOne = 0x3F800000u;    // the bits of 1
  constexpr uint32_t kTwoTo31 = 31u << 23;  // what 2^31 adds to the bits of a number
  const Words odd = word | set(1u);         // not 0, and not -2^31
  const Words scaled = (as_words(float_of_int(odd)) & set(0x7FFFFFFFu)) - set(kOne + kTwoTo31);
  // u = 2^e v with 1 <= v < 2, and scaled = 2^23 (e + v - 1). The polynomial is
  // -2 (ln v - (v - 1) ln 2).
  const Floats v = as_floats((scaled & set(0x007FFFFFu)) | set(kOne));
  Floats p = set(0x1.2d89fep-5f);
  p = fma(p, v, set(-0x1.91d4f6p-2f));
  p = fma(p, v, set(0x1.cc4808p+0f));
  p = fma(p, v, set(-0x1.28ee30p+2f));
  p = fma(p, v, set(0x1.dfe93ap+2f));
  p = fma(p, v, set(-0x1.c923bap+2f));
  p = fma(p, v, set(0x1.6bb1d6p+1f));
  return sqrt(fma(float_of_int(scaled), set(-0x1.62e430p-23f), p));  // -2 ln 2 / 2^23
}

/// Returns cosine and sine of the angle pi y, where y = int32(word) / 2^32. If bit 0 of the word is
/// set, the cosine changes its sign. Absolute error of the polynomials: cosine 6.9e-6, sine 7.8e-7.
IVON_ALWAYS_INLINE void short_direction(Words word, Floats& cosine, Floats& sine) {
  const Floats y = float_of_int(word) * set(0x1p-32f);
  const Floats z = y * y;
  Floats s = set(-0x1.1c01acp-1f);
  s = fma(s, z, set(0x1.455dbcp+1f));
  s = fma(s, z, set(-0x1.4ab27ep+2f));
  s = fma(s, z, set(0x1.921f5cp+1f));
  Floats c = set(-0x1.38dec4p+0f);
  c = fma(c, z, set(0x1.02a48ep+2f));
  c = fma(c, z, set(-0x1.3bc5aap+2f));
  c = fma(c, z, set(0x1.ffff20p-1f));
  cosine = as_floats(as_words(c) ^ shift_left<31>(word));
  sine = y * s;
}
