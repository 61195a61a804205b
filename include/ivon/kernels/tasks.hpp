// SPDX-License-Identifier: Apache-2.0
// The tasks of the fused passes: one parameter's arrays as raw pointers. This file does not use
// LibTorch. It is also part of the text of the CUDA kernels.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/inline.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The dtype of a parameter, and so of the mean as the module holds it, the sample and the
/// gradient. The state (Hessian, momentum, full mean, sums) is double for kFloat64, else float.
enum class Dtype { kFloat32, kFloat64, kBFloat16, kFloat16 };

IVON_ALWAYS_INLINE constexpr bool is_half(Dtype dtype) {
  return dtype == Dtype::kBFloat16 || dtype == Dtype::kFloat16;
}

/// Where the estimator's statistic comes from. For an estimator that does not read theta - m,
/// kNoise means the same as kTheta, and neither theta nor the noise is used.
enum class StatisticFrom {
  kTheta,  // computed from theta - m of one sample
  kNoise,  // likewise, but theta - m is made again from the noise
  kSums    // the sums over several samples are given
};

/// One parameter's posterior: arrays of `count` elements in one memory order, of any alignment.
/// Arrays of one task do not overlap. "State" below means the dtype of the parameter's state.
struct PosteriorArrays {
  Dtype dtype;       // of the parameter
  void* mean;        // m as the module holds it, in the parameter's dtype
  float* wide_mean;  // m in full precision for kBFloat16 and kFloat16, else nullptr. `mean` is its
                     // rounding; where it is not, the program wrote `mean`, which then is m
  void* hess;        // state
  int64_t count;
};

/// What is needed to make theta - m again: the noise key and the scale of the sample. h must not
/// have changed since the sample was drawn.
struct Drawing {
  NoiseKey noise;
  PosteriorScale scale;
};
static_assert(sizeof(Drawing) == sizeof(NoiseKey) + sizeof(PosteriorScale),
              "ivon: Drawing has padding");

/// Draws theta. Reads the posterior and writes only theta.
struct SampleTask {
  PosteriorArrays posterior;
  void* theta;  // in the parameter's dtype
  Drawing drawing;
};

/// Adds one sample's gradient and statistic to the sums. Reads the posterior. Comments name the
/// value of `from` with which a member is used.
struct AccumulateTask {
  PosteriorArrays posterior;
  const void* theta;     // in the parameter's dtype; kTheta
  const void* gradient;  // in the parameter's dtype
  void* gradient_sum;    // state
  void* statistic_sum;   // state
  bool overwrite;        // the sums hold nothing yet and are written instead of added to
  StatisticFrom from;    // kTheta or kNoise
  Drawing drawing;       // kNoise
};

/// Updates m, h and momentum in place. Comments name the values of `from` with which a member is
/// used; pointers that are not used may be null. `theta` may be the memory to which a later
/// sample_block of the same block writes.
struct UpdateTask {
  PosteriorArrays posterior;
  void* momentum;             // state
  const void* theta;          // in the parameter's dtype; kTheta
  const void* gradient;       // in the parameter's dtype; kTheta and kNoise
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
