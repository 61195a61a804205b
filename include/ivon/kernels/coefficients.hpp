// SPDX-License-Identifier: Apache-2.0
// The numbers that every kernel gets, computed in double once for each step and group. This file
// does not use LibTorch.
#pragma once

#include <cmath>
#include <cstdint>
#include <ivon/kernels/inline.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The numbers that turn a Hessian h into a posterior: q = N(m, 1 / (ess (h + weight_decay))).
struct PosteriorScale {
  double ess = 1;           // lambda, > 0
  double weight_decay = 0;  // delta, >= 0
  double hess_floor = 0;    // smallest h that kernels use or write; hess_floor + weight_decay > 0

  // The floor keeps h + delta at least so large, as a share of delta.
  static constexpr double kFloorOfDelta = 0x1p-16;

  PosteriorScale() = default;
  /// The floor keeps h + delta >= 2^-16 delta + 2^-40 hess_init. In exact arithmetic the update
  /// itself keeps h + delta positive, but one extreme step can halve it. After some tens of such
  /// steps float32 rounds h to -delta. Besides, the program may lower weight_decay between steps.
  /// With the factor 2^-16, h + delta has at least eight correct bits in float32.
  PosteriorScale(double ess_value, double weight_decay_value, double hess_init)
      : ess(ess_value),
        weight_decay(weight_decay_value),
        hess_floor(kFloorOfDelta * weight_decay_value + 0x1p-40 * hess_init - weight_decay_value) {}
};

/// The coefficients of one update of one parameter; coefficient_list.inl says what each one is.
struct UpdateCoefficients {
  PosteriorScale scale;
#define IVON_COEFFICIENT(name, value) double name;
#include <ivon/kernels/coefficient_list.inl>
#undef IVON_COEFFICIENT
};

/// Returns whether the update damps the Hessian.
IVON_ALWAYS_INLINE bool is_damped(const UpdateCoefficients& coefficients) {
  return coefficients.smallest_hess > 0;
}

/// The number of coefficients in the list.
inline constexpr int kCoefficients = 0
#define IVON_COEFFICIENT(name, value) +1
#include <ivon/kernels/coefficient_list.inl>
#undef IVON_COEFFICIENT
    ;

// The CUDA path compares these structs byte by byte, so no byte may be padding.
static_assert(sizeof(PosteriorScale) == 3 * sizeof(double), "ivon: PosteriorScale has padding");
static_assert(sizeof(UpdateCoefficients) == sizeof(PosteriorScale) + kCoefficients * sizeof(double),
              "ivon: UpdateCoefficients has padding");

}  // namespace detail
IVON_NAMESPACE_END
