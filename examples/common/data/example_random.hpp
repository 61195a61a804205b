// SPDX-License-Identifier: Apache-2.0
// Random numbers that follow from a seed, an epoch and the number of an example, so that the
// augmentation of an example does not depend on the thread that computes it or on what was computed
// before it.
#pragma once

#include <cstdint>

namespace examples {

// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"). The
// numbers of next(), uniform(), below() and coin() are the same on every machine and with every
// compiler; those of uniform(low, high) may differ in the last bit, because some processors
// multiply and add in one step.
class ExampleRandom {
 public:
  ExampleRandom(uint64_t seed, uint64_t epoch, uint64_t example)
      : state_(mixed(mixed(mixed(seed) ^ epoch) ^ example)) {}

  // A random word.
  uint64_t next() { return mixed(state_ += kStep); }

  // Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  // Among 0 to count - 1; count >= 1. It is made from one of 2^53 numbers, so that the
  // probabilities of two results differ by at most 2^-53: by a part of count / 2^53 of each, which
  // is 2^-21 for a count of 2^32.
  int64_t below(int64_t count) {
    return static_cast<int64_t>(uniform() * static_cast<double>(count));
  }

  bool coin() { return (next() >> 63) != 0; }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15U;

  static uint64_t mixed(uint64_t z) {
    z += kStep;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

}  // namespace examples
