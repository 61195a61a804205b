// SPDX-License-Identifier: Apache-2.0
// Computes the coefficients of the kernels from the options of a group.
#pragma once

#include <cmath>
#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/options.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

inline PosteriorScale posterior_scale(const IVONOptions& options) {
  return {options.ess(), options.weight_decay(), options.hess_init()};
}

inline double step_size_per_lr(const IVONOptions& options) {
  return options.rescale_lr() ? options.hess_init() + options.weight_decay() : 1.0;
}

/// Returns 1 / (1 - beta1^step) with debias, and 1 without.
inline double debias_factor(const IVONOptions& options, int64_t step) {
  return options.debias() ? 1.0 / (1.0 - std::pow(options.beta1(), static_cast<double>(step)))
                          : 1.0;
}

/// Returns the coefficients of a parameter's update number `step`, counted from 1.
inline UpdateCoefficients update_coefficients(const IVONOptions& options, int64_t step) {
  UpdateCoefficients coefficients;
  coefficients.scale = posterior_scale(options);
#define IVON_COEFFICIENT(name, value) coefficients.name = value;
#include <ivon/kernels/coefficient_list.inl>
#undef IVON_COEFFICIENT
  return coefficients;
}

}  // namespace detail
IVON_NAMESPACE_END
