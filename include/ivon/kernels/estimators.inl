// SPDX-License-Identifier: Apache-2.0
// The formulas of the library's estimators, as templates over a type T of numbers: a vector of
// sixteen lanes of a CPU, one element in a GPU's thread, or a tensor. Each namespace that includes
// this file has such a type and a function fma(a, b, c) = a b + c for it. ivon/estimator.hpp
// documents the functions.

struct PriceEstimator {
  static constexpr bool kUsesDeviation = true;

  template <class T>
  IVON_ALWAYS_INLINE static T statistic(const T& deviation, const T& gradient) {
    return deviation * gradient;
  }
  template <class T>
  IVON_ALWAYS_INLINE static T add_statistic(const T& sum, const T& deviation, const T& gradient) {
    return fma(deviation, gradient, sum);
  }
  template <class T>
  IVON_ALWAYS_INLINE static T hessian(const T& damped_hess, const T& average) {
    return damped_hess * average;
  }
};

struct GradSquaredEstimator {
  static constexpr bool kUsesDeviation = false;

  template <class T>
  IVON_ALWAYS_INLINE static T statistic(const T& /*deviation*/, const T& gradient) {
    return gradient * gradient;
  }
  template <class T>
  IVON_ALWAYS_INLINE static T add_statistic(const T& sum, const T& /*deviation*/,
                                            const T& gradient) {
    return fma(gradient, gradient, sum);
  }
  template <class T>
  IVON_ALWAYS_INLINE static T hessian(const T& /*damped_hess*/, const T& average) {
    return average;
  }
};
