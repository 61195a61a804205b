// SPDX-License-Identifier: Apache-2.0
// The estimators, which turn the gradient at a sample into an estimate of the Hessian diagonal.
//
// An estimator is a struct of static members, which every class below has:
//
//   kName            const char*: identifies the estimator in archives
//   kUsesDeviation   bool: whether the formulas read theta - m
//   statistic(deviation, gradient)
//                    what a step averages over its samples; deviation is theta - m, gradient is the
//                    gradient of the mean loss at theta
//   add_statistic(sum, deviation, gradient)
//                    sum + statistic(deviation, gradient); may be an FMA, which rounds once
//   hessian(damped_hess, average)
//                    the Hessian estimate divided by lambda, from h + delta and the average of the
//                    statistic over the samples of the step
//
// The three functions are templates over a type T that has + - * /: a tensor of the parameter's
// shape, float, double, or a pack of them. Each element of the result depends only on the same
// element of the arguments. Each function takes const T& and returns T. `deviation` is an undefined
// tensor where kUsesDeviation is false.
//
// A user's own estimator needs no registration: ivon::IVON<MyEstimator>. On CPUs the fused passes
// call its functions for float and double, element by element. Formulas of + - * / cost about as
// much as those of the estimators below; functions such as std::sqrt, which compilers do not
// vectorise, cost more. Parameters on CUDA devices and parameters that the fused passes cannot take
// are updated by tensor expressions. CONTRIBUTING.md tells how an estimator becomes part of the
// library.
#pragma once

#include <ivon/kernels/estimators.hpp>
#include <ivon/kernels/inline.hpp>
#include <ivon/version.hpp>
#include <type_traits>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail::formulas {

// Returns a b + c, rounded twice, because tensors have no fused multiply-add.
template <class T>
T fma(const T& a, const T& b, const T& c) {
  return c + a * b;
}

// clang-format off
#include <ivon/kernels/estimators.inl>
// clang-format on

}  // namespace detail::formulas

/// The paper's reparametrisation estimator (Shen et al. 2024, Algorithm 1), from Price's
/// theorem: hhat = lambda (h + delta) (theta - m) ghat. It is unbiased and may be negative.
struct PriceEstimator : detail::formulas::PriceEstimator {
  /// The name of the estimator in archives. IVON::load() refuses an archive with another name.
  static constexpr const char* kName = "price";
};

/// The squared gradient: hhat = lambda ghat^2, which is never negative. Gradients of mini-batches
/// overestimate it by a factor of about (training examples / batch size).
struct GradSquaredEstimator : detail::formulas::GradSquaredEstimator {
  /// The name of the estimator in archives. IVON::load() refuses an archive with another name.
  static constexpr const char* kName = "gradsq";
};

namespace detail {

// Whether an estimator has each part of the contract, for arguments of type T.
template <class E, class = void>
inline constexpr bool kHasName = false;
template <class E>
inline constexpr bool kHasName<E, std::void_t<decltype(E::kName)>> =
    std::is_convertible_v<decltype(E::kName), const char*>;

template <class E, class = void>
inline constexpr bool kSaysUsesDeviation = false;
template <class E>
inline constexpr bool kSaysUsesDeviation<E, std::void_t<std::bool_constant<E::kUsesDeviation>>> =
    true;

template <class E, class T, class = void>
inline constexpr bool kHasStatistic = false;
template <class E, class T>
inline constexpr bool kHasStatistic<
    E, T, std::void_t<decltype(E::statistic(std::declval<const T&>(), std::declval<const T&>()))>> =
    std::is_same_v<T, decltype(E::statistic(std::declval<const T&>(), std::declval<const T&>()))>;

template <class E, class T, class = void>
inline constexpr bool kHasAddStatistic = false;
template <class E, class T>
inline constexpr bool kHasAddStatistic<
    E, T,
    std::void_t<decltype(E::add_statistic(std::declval<const T&>(), std::declval<const T&>(),
                                          std::declval<const T&>()))>> =
    std::is_same_v<T, decltype(E::add_statistic(std::declval<const T&>(), std::declval<const T&>(),
                                                std::declval<const T&>()))>;

template <class E, class T, class = void>
inline constexpr bool kHasHessian = false;
template <class E, class T>
inline constexpr bool kHasHessian<
    E, T, std::void_t<decltype(E::hessian(std::declval<const T&>(), std::declval<const T&>()))>> =
    std::is_same_v<T, decltype(E::hessian(std::declval<const T&>(), std::declval<const T&>()))>;

/// Stops the compilation with a message if a part of the contract is missing for arguments of type
/// T.
template <class E, class T>
constexpr bool check_estimator() {
  static_assert(kHasName<E>,
                "ivon: the estimator needs a name for archives: "
                "static constexpr const char* kName = \"...\";");
  static_assert(kSaysUsesDeviation<E>,
                "ivon: the estimator must say whether it reads theta - m: "
                "static constexpr bool kUsesDeviation = true;");
  static_assert(kHasStatistic<E, T>,
                "ivon: the estimator needs template <class T> "
                "static T statistic(const T& deviation, const T& gradient)");
  static_assert(kHasAddStatistic<E, T>,
                "ivon: the estimator needs template <class T> "
                "static T add_statistic(const T& sum, const T& deviation, const T& gradient), for "
                "instance: return sum + statistic(deviation, gradient);");
  static_assert(kHasHessian<E, T>,
                "ivon: the estimator needs template <class T> "
                "static T hessian(const T& damped_hess, const T& average)");
  return true;
}

}  // namespace detail
IVON_NAMESPACE_END
