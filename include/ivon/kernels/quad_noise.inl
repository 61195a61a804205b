// SPDX-License-Identifier: Apache-2.0
// Noise stream 2 of docs/noise.md, for parameters on CUDA devices. Each lane makes one quad, which
// is four neighbouring elements. Included inside a namespace that has box_muller.inl.

/// Makes the normals of elements 4 q ... 4 q + 3 of a parameter, where q is `quad` plus the lane's
/// number in `lanes`. The lower 32 bits of `quad` plus a lane's number must not overflow.
IVON_ALWAYS_INLINE void normal_quads(const NoiseKey& key, uint64_t quad, Words lanes,
                                     Floats (&out)[4]) {
  // The parameter, the upper part of the quad and the domain use different bits, so + gives the
  // same as |.
  const uint32_t tag = key.parameter + (static_cast<uint32_t>(quad >> 32) << 24) +
                       ((static_cast<uint32_t>(key.domain) | kCudaDomainBit) << 28);
  Words words[4] = {lanes + set(static_cast<uint32_t>(quad)), set(tag),
                    set(static_cast<uint32_t>(key.draw)),
                    set(static_cast<uint32_t>(key.draw >> 32))};
  auto key0 = static_cast<uint32_t>(key.seed);
  auto key1 = static_cast<uint32_t>(key.seed >> 32);
#if defined(IVON_CUDA_TEXT)
  // Without this line the compiler computes the keys of all rounds once and keeps them in registers
  // while the thread passes over its groups.
  asm volatile("" : "+r"(key0), "+r"(key1));
#endif
  philox4x32_10(words, key0, key1);
  for (int pair = 0; pair < 4; pair += 2) {
    const Floats radius = box_muller_radius(words[pair]);
    Floats cosine, sine;
    box_muller_direction(words[pair + 1], cosine, sine);
    out[pair] = radius * cosine;
    out[pair + 1] = radius * sine;
  }
}
