// SPDX-License-Identifier: Apache-2.0
// Computes the coefficients of the kernels from the options of a group.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/options.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

inline PosteriorScale posterior_scale(const IVONOptions& options) {
  PosteriorScale scale(options.ess(), options.weight_decay(), options.hess_init());
  const double smallest_precision = 1 / (options.noise_max() * options.noise_max());
  scale.hess_floor =
      std::max(scale.hess_floor, smallest_precision / options.ess() - options.weight_decay());
  return scale;
}

/// Returns the weight of the newest squared gradient in the mean square: that of AdamW's debiased
/// average of `step` squares, and without debias 1 - beta2.
inline double square_rate(const IVONOptions& options, int64_t step) {
  const double rate = 1.0 - options.beta2();
  if (!options.debias() || rate == 0) return rate;
  return rate / (1.0 - std::pow(options.beta2(), static_cast<double>(step)));
}

inline double step_size_per_lr(const IVONOptions& options) {
  if (options.damping() > 0) return options.damping();
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
