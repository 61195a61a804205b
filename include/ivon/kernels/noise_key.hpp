// SPDX-License-Identifier: Apache-2.0
// The key that names one piece of a noise stream (docs/noise.md). This file does not use LibTorch.
#pragma once

#include <cstdint>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

// The number of the CPUs' noise stream in docs/noise.md. It must change if any bit of the stream
// changes.
inline constexpr int64_t kNoiseStreamId = 1;
inline constexpr int64_t kNoiseBlock = 4096;  // elements of a block; each block is made by itself
inline constexpr int64_t kCudaNoiseStreamId = 2;  // number of the CUDA devices' noise stream
inline constexpr uint32_t kCudaDomainBit = 8;     // makes the keys of the two streams differ
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // a parameter index has 24 bits

/// Samples for training and samples for prediction use separate noise, so that predictions never
/// change the training.
enum class NoiseDomain : uint32_t { kTraining = 0, kPrediction = 1 };

/// Names the noise of one parameter in one sample.
struct NoiseKey {
  uint64_t seed = 0;
  uint64_t draw = 0;  // number of the sample within its domain
  NoiseDomain domain = NoiseDomain::kTraining;
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters
};
static_assert(sizeof(NoiseKey) == 24, "ivon: NoiseKey has padding");

}  // namespace detail
IVON_NAMESPACE_END
