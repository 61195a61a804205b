// SPDX-License-Identifier: Apache-2.0
// The numbers that every kernel gets, computed once per step and group in double. No LibTorch.
#pragma once

#include <cmath>
#include <cstdint>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The Hessian estimates that the fused kernels know; formulas in ivon/estimator.hpp.
enum class FusedEstimate { kPrice, kGradSquared };

/// What turns a Hessian into a posterior: q = N(m, 1 / (ess (h + weight_decay))).
struct PosteriorScale {
  double ess = 1;           // lambda, > 0
  double weight_decay = 0;  // delta, >= 0
  double hess_floor = 0;    // smallest h that is written or read; hess_floor + weight_decay > 0

  PosteriorScale() = default;
  /// The floor keeps h + delta at 2^-16 delta or, without delta, at 2^-40 of where h started. The
  /// update alone keeps it positive in exact arithmetic only: float32 rounds h to -delta after some
  /// tens of hostile steps, each of which halves h + delta, and weight_decay may be lowered on the
  /// way. 2^-16 leaves h + delta eight correct bits in float32.
  PosteriorScale(double ess_value, double weight_decay_value, double hess_init)
      : ess(ess_value),
        weight_decay(weight_decay_value),
        hess_floor(0x1p-16 * weight_decay_value + 0x1p-40 * hess_init - weight_decay_value) {}
};

/// One update of one parameter.
struct UpdateCoefficients {
  PosteriorScale scale;
  double beta1;
  double rho;          // 1 - beta2, in double: in float32 1 - 0.99999f is 0.1 % off
  double hess_clip;    // bound on |hhat - h| / (h + delta), > 0
  double debias;       // 1 / (1 - beta1^t), or 1
  double step_size;    // lr (h0 + delta), or lr
  double clip_radius;  // bound on one element of the preconditioned step, > 0
};

}  // namespace detail
IVON_NAMESPACE_END
