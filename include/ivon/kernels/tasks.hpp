// SPDX-License-Identifier: Apache-2.0
// What the fused passes are told about one parameter: raw pointers and counts. No LibTorch.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/normal.hpp>

namespace ivon::detail {

/// Element type of a parameter: of its mean as the module shows it, its sample and its gradient.
/// Its state (Hessian, momentum, full mean, sums) is double for kFloat64, else float.
enum class Element { kFloat32, kFloat64, kBFloat16, kFloat16 };

/// Where the estimator's statistic comes from.
enum class StatisticFrom {
  kTheta,  // theta - m, one sample
  kNoise,  // theta - m made again from its noise: theta is too coarse, or m was written since
  kSums    // the sums over several samples
};

/// One parameter's posterior; arrays of `count` elements in one memory order.
struct PosteriorArrays {
  Element element;
  void* mean;        // m as a module shows it, of type `element`
  float* wide_mean;  // m in full precision for kBFloat16 and kFloat16, else nullptr
  void* hess;        // state
  int64_t count;
};

/// What makes theta - m again: key and scale of the drawing (h has not changed since).
struct Drawing {
  NoiseKey noise;
  PosteriorScale scale;
};

struct SampleTask {
  PosteriorArrays posterior;
  void* theta;
  Drawing drawing;
};

struct AccumulateTask {
  PosteriorArrays posterior;
  const void* theta;
  const void* gradient;
  void* gradient_sum;
  void* statistic_sum;
  bool first;
  StatisticFrom from;
  Drawing drawing;
};

struct UpdateTask {
  PosteriorArrays posterior;
  void* momentum;
  const void* theta;
  const void* gradient;
  const void* gradient_sum;
  const void* statistic_sum;
  double samples;
  StatisticFrom from;
  Drawing drawing;
  UpdateCoefficients coefficients;
};

}  // namespace ivon::detail
