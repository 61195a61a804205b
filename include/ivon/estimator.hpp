// SPDX-License-Identifier: Apache-2.0
// How a gradient at a sample becomes an estimate of the diagonal Hessian.
//
// An estimator is a struct of static members:
//   kName                          identifies it in archives
//   kUsesDeviation                 whether `statistic` reads theta - m
//   statistic(deviation, gradient) what is averaged over the samples of a step
//   hessian(ess, damped_hess, s)   the estimate hhat, from the average s and h + delta
// `T` is a tensor or a number; all elements are independent.
#pragma once

namespace ivon {

/// The paper's reparametrisation estimator (Shen et al. 2024, Algorithm 1), from Price's
/// theorem: hhat = lambda (h + delta) (theta - m) ghat. Unbiased; may be negative.
struct PriceEstimator {
  static constexpr const char* kName = "price";
  static constexpr bool kUsesDeviation = true;

  template <class T>
  static T statistic(const T& deviation, const T& gradient) {
    return deviation * gradient;
  }
  template <class T>
  static T hessian(double ess, const T& damped_hess, const T& mean_statistic) {
    return damped_hess * mean_statistic * ess;
  }
};

/// The squared gradient: hhat = lambda ghat^2. Never negative. Gradients of mini-batches
/// overestimate it by about (training examples / batch size).
struct GradSquaredEstimator {
  static constexpr const char* kName = "gradsq";
  static constexpr bool kUsesDeviation = false;

  template <class T>
  static T statistic(const T& /*deviation*/, const T& gradient) {
    return gradient * gradient;
  }
  template <class T>
  static T hessian(double ess, const T& /*damped_hess*/, const T& mean_statistic) {
    return mean_statistic * ess;
  }
};

}  // namespace ivon
