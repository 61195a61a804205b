// SPDX-License-Identifier: Apache-2.0
// What names a piece of the noise stream (docs/noise.md). No LibTorch.
#pragma once

#include <cstdint>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr int64_t kNoiseStreamId =
    1;  // of docs/noise.md; changes with any bit of the stream
inline constexpr int64_t kNoiseBlock = 4096;      // elements per block; a block can be made alone
inline constexpr int64_t kCudaNoiseStreamId = 2;  // likewise, of parameters on CUDA devices
inline constexpr uint32_t kCudaDomainBit = 8;     // keeps the two streams apart
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // width of the parameter index

/// Training and prediction draw from separate streams, so that evaluating never changes training.
enum class NoiseDomain : uint32_t { kTraining = 0, kPrediction = 1 };

/// Names the noise of one parameter in one sample.
struct NoiseKey {
  uint64_t seed = 0;
  NoiseDomain domain = NoiseDomain::kTraining;
  uint64_t draw = 0;       // number of the sample within its domain
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters
};

}  // namespace detail
IVON_NAMESPACE_END
