// SPDX-License-Identifier: Apache-2.0
// What the fused passes work on: one parameter's arrays as raw pointers. No LibTorch.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Element type of a parameter: of its mean as the module shows it, its sample and its gradient.
/// Its state (Hessian, momentum, full mean, sums) is double for kFloat64, else float.
enum class Element { kFloat32, kFloat64, kBFloat16, kFloat16 };

/// Where the estimator's statistic comes from. An estimator that does not read theta - m takes
/// kNoise as kTheta and touches neither theta nor the noise.
enum class StatisticFrom {
  kTheta,  // theta - m, one sample
  kNoise,  // theta - m made again from its noise (theta is too coarse, or m was written since)
  kSums    // the sums over several samples
};

/// One parameter's posterior; arrays of `count` elements in one memory order, of any alignment.
/// Arrays of one task do not overlap.
struct PosteriorArrays {
  Element element;
  void* mean;        // m as a module shows it, of type `element`
  float* wide_mean;  // m in full precision for kBFloat16 and kFloat16, else nullptr. `mean` is its
                     // rounding; where it is not, `mean` was written from outside and counts
  void* hess;        // state
  int64_t count;
};

/// What makes theta - m again: key and scale of the drawing. h has not changed since.
struct Drawing {
  NoiseKey noise;
  PosteriorScale scale;
};

/// Draws theta. Reads the posterior, writes theta only.
struct SampleTask {
  PosteriorArrays posterior;
  void* theta;  // element
  Drawing drawing;
};

/// Adds one sample's gradient and statistic to the sums. Reads the posterior.
struct AccumulateTask {
  PosteriorArrays posterior;
  const void* theta;     // element; kTheta
  const void* gradient;  // element
  void* gradient_sum;    // state
  void* statistic_sum;   // state
  bool first;            // writes the sums instead
  StatisticFrom from;    // kTheta or kNoise
  Drawing drawing;       // kNoise
};

/// Updates m, h and momentum in place. Pointers that `from` does not name may be null. `theta` may
/// be memory that a later sample_block of the same block writes.
struct UpdateTask {
  PosteriorArrays posterior;
  void* momentum;             // state
  const void* theta;          // element; kTheta
  const void* gradient;       // element; kTheta and kNoise
  const void* gradient_sum;   // state; kSums
  const void* statistic_sum;  // state; kSums
  double samples;             // kSums: the averages are sums / samples
  StatisticFrom from;
  Drawing drawing;  // kNoise
  UpdateCoefficients coefficients;
};

inline int64_t block_count(int64_t count) { return (count + kNoiseBlock - 1) / kNoiseBlock; }
inline int64_t block_size(int64_t count, int64_t block) {
  const int64_t left = count - block * kNoiseBlock;
  return left < kNoiseBlock ? left : kNoiseBlock;
}

}  // namespace detail
IVON_NAMESPACE_END
