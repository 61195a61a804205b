// SPDX-License-Identifier: Apache-2.0
// How a gradient at a sample becomes an estimate of the diagonal Hessian.
//
// An estimator is a struct of static members:
//   kName                          identifies it in archives
//   kFused                         its formulas in the fused kernels
//   kUsesDeviation                 whether `statistic` reads theta - m
//   statistic(deviation, gradient) what is averaged over the samples of a step
//   hessian(damped_hess, average)  the estimate hhat / lambda, from h + delta and that average
// `T` is a tensor, a number or a pack of them; all elements are independent.
#pragma once

#include <ivon/kernels/coefficients.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// The paper's reparametrisation estimator (Shen et al. 2024, Algorithm 1), from Price's
/// theorem: hhat = lambda (h + delta) (theta - m) ghat. Unbiased; may be negative.
struct PriceEstimator {
  static constexpr const char* kName = "price";
  static constexpr detail::FusedEstimate kFused = detail::FusedEstimate::kPrice;
  static constexpr bool kUsesDeviation = true;

  template <class T>
  static T statistic(const T& deviation, const T& gradient) {
    return deviation * gradient;
  }
  template <class T>
  static T hessian(const T& damped_hess, const T& average) {
    return damped_hess * average;
  }
};

/// The squared gradient: hhat = lambda ghat^2. Never negative. Gradients of mini-batches
/// overestimate it by about (training examples / batch size).
struct GradSquaredEstimator {
  static constexpr const char* kName = "gradsq";
  static constexpr detail::FusedEstimate kFused = detail::FusedEstimate::kGradSquared;
  static constexpr bool kUsesDeviation = false;

  template <class T>
  static T statistic(const T& /*deviation*/, const T& gradient) {
    return gradient * gradient;
  }
  template <class T>
  static T hessian(const T& /*damped_hess*/, const T& average) {
    return average;
  }
};

IVON_NAMESPACE_END
