// SPDX-License-Identifier: Apache-2.0
// The key that names one piece of a noise stream (docs/noise.md). This file does not use LibTorch.
#pragma once

#include <cstdint>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

// The numbers of noise streams in docs/noise.md. A stream whose bits change gets a new number. CPUs
// draw stream 3, and stream 1 where a training goes on that began with it.
inline constexpr int64_t kNoiseStreamId = 3;
inline constexpr int64_t kFirstNoiseStreamId = 1;
inline constexpr int64_t kNoiseBlock = 4096;  // elements of a block; each block is made by itself
inline constexpr int64_t kCudaNoiseStreamId = 2;  // number of the CUDA devices' noise stream
// Added to the domain, so that the counters of the streams differ.
inline constexpr uint32_t kCudaDomainBit = 8;
inline constexpr uint32_t kThirdStreamDomainBit = 4;
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // a parameter index has 24 bits

/// Samples for training and samples for prediction use separate noise, so that predictions never
/// change the training.
enum class NoiseDomain : uint16_t { kTraining = 0, kPrediction = 1 };

/// Names the noise of one parameter in one sample.
struct NoiseKey {
  uint64_t seed = 0;
  uint64_t draw = 0;  // number of the sample within its domain
  NoiseDomain domain = NoiseDomain::kTraining;
  uint16_t stream = static_cast<uint16_t>(kNoiseStreamId);  // on CPUs, where it is one of two
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters

  NoiseKey() = default;
  constexpr NoiseKey(uint64_t seed_value, uint64_t draw_value, NoiseDomain domain_value,
                     uint32_t parameter_value, int64_t stream_value = kNoiseStreamId)
      : seed(seed_value),
        draw(draw_value),
        domain(domain_value),
        stream(static_cast<uint16_t>(stream_value)),
        parameter(parameter_value) {}
};
// The CUDA path compares keys byte by byte.
static_assert(sizeof(NoiseKey) == 24, "ivon: NoiseKey has padding");

}  // namespace detail
IVON_NAMESPACE_END
