// SPDX-License-Identifier: Apache-2.0
// The position of an optimizer in its streams of noise (docs/noise.md).
#pragma once

#include <cstdint>
#include <ivon/kernels/cuda/records.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// What determines all random numbers of an optimizer: its seed, and how many samples it has drawn
/// so far for each of the two domains.
struct NoiseStream {
  uint64_t seed = 0;
  uint64_t training_draws = 0;
  uint64_t prediction_draws = 0;
  int64_t stream = kNoiseStreamId;  // on CPUs

  /// Returns the noise key of the next sample and counts the sample. `parameter` is 0; the caller
  /// sets it.
  NoiseKey next(NoiseDomain domain) {
    const NoiseKey key{seed, drawn(domain), domain, 0, stream};
    ++(domain == NoiseDomain::kTraining ? training_draws : prediction_draws);
    return key;
  }
  /// Returns the noise key of the next training sample without counting the sample. With
  /// sample_on_step a sample is counted when step() uses its gradients.
  NoiseKey training_sample() const {
    return NoiseKey{seed, training_draws, NoiseDomain::kTraining, 0, stream};
  }
  /// The same stream at a position in the form that the CUDA kernels use.
  NoiseStream at(const cuda::Position& position) const {
    return {position.seed, position.draws[0], position.draws[1], stream};
  }
  cuda::Position position() const { return {seed, {training_draws, prediction_draws}}; }

  uint64_t drawn(NoiseDomain domain) const {
    return domain == NoiseDomain::kTraining ? training_draws : prediction_draws;
  }
};

}  // namespace detail
IVON_NAMESPACE_END
