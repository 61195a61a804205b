// SPDX-License-Identifier: Apache-2.0
// Says from an optimizer's state how a run is doing: whether the Hessian has moved, whether the
// noise is too large, what is clipped or skipped, and what to change.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/dispatch/tensor_update.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/options.hpp>
#include <ivon/quantiles.hpp>
#include <ivon/state.hpp>
#include <ivon/values/update_coefficients.hpp>
#include <ivon/version.hpp>
#include <ostream>
#include <string>
#include <vector>

IVON_NAMESPACE_BEGIN

/// What diagnostics() reads off an optimizer. Shares are between 0 and 1, over all elements of all
/// parameters that have had an update. Print it with <<.
struct Diagnostics {
  int64_t elements = 0;  ///< elements of parameters that have had an update
  int64_t steps = 0;     ///< most updates that a parameter has had
  /// Share of the Hessian's start that the run has replaced: 1 - beta2^steps.
  double hess_moved = 0;
  /// log10((h + weight_decay) / (hess_init + weight_decay)): quantiles 0.05, 0.5 and 0.95.
  std::array<double, 3> hess_change = {};
  /// Standard deviation of the noise of a weight: quantiles 0.05, 0.5 and 0.95.
  std::array<double, 3> noise = {};
  double noise_over_weights = 0;      ///< mean of the noise over the mean of |m|
  double noise_above_weight = 0;      ///< share of elements whose noise exceeds |m|
  double noise_bounded = 0;           ///< share of elements whose noise is noise_max
  double clipped = 0;                 ///< share of elements whose direction clip_radius cuts
  int64_t skipped = 0;                ///< IVON::skipped_elements()
  std::vector<std::string> remedies;  ///< one sentence for each thing that looks wrong
};

namespace detail {

inline std::vector<std::string> remedies_for(const Diagnostics& d, bool damped) {
  std::vector<std::string> remedies;
  if (d.steps == 0) return {"No parameter has had an update yet."};
  if (d.hess_moved < 0.1) {
    remedies.emplace_back(
        "The Hessian has hardly moved from its start: choose a smaller beta2, about 1 - 1 / steps, "
        "or train longer.");
  }
  if (d.noise_above_weight > 0.9) {
    remedies.emplace_back(damped ? "The noise exceeds nearly all weights: set a smaller noise_max."
                                 : "The noise exceeds nearly all weights: choose a larger ess or a "
                                   "larger hess_init, or set noise_max.");
  }
  if (damped && d.noise_bounded > 0.75) {
    remedies.emplace_back(
        "Most weights have the largest noise that noise_max allows: if the loss stays above "
        "AdamW's, set a smaller noise_max, a third for instance.");
  }
  if (d.clipped > 0.5) {
    remedies.emplace_back(damped ? "Most steps are clipped: gradients grow quickly; choose a "
                                   "smaller lr or clip gradients."
                                 : "Most steps are clipped, so every element moves by the same "
                                   "amount: choose a larger clip_radius with a smaller lr, or a "
                                   "larger hess_init.");
  }
  if (d.skipped > 0) {
    remedies.emplace_back(
        "Some updates were skipped because a gradient, a Hessian estimate or a result was not "
        "finite: look for NaN losses, and scale losses of float16 models.");
  }
  return remedies;
}

}  // namespace detail

/// Reads off the state of an optimizer how a run is doing. Nothing is counted during training: the
/// call makes some passes over the state, so do not call it in every step. It does not change the
/// optimizer. It waits for CUDA devices. Frozen parameters and those without an update are left
/// out.
template <class Estimator>
Diagnostics diagnostics(const IVON<Estimator>& optimizer) {
  const detail::PlainTensors plain;
  Diagnostics d;
  d.skipped = optimizer.skipped_elements();
  std::vector<at::Tensor> changes, noises;
  double noise = 0, weights = 0, above = 0, bounded = 0, clipped = 0, moved = 0;
  bool damped = false;
  for (const auto& group : optimizer.param_groups()) {
    const auto& options = static_cast<const IVONOptions&>(group.options());
    const detail::PosteriorScale scale = detail::posterior_scale(options);
    damped |= options.damping() > 0;
    for (const at::Tensor& parameter : group.params()) {
      if (!parameter.requires_grad() || parameter.numel() == 0) continue;
      if (optimizer.state().count(parameter.unsafeGetTensorImpl()) == 0) continue;
      const IVONParamState& state = optimizer.param_state(parameter);
      if (state.step() == 0) continue;
      const detail::UpdateCoefficients c = detail::update_coefficients(options, state.step());
      const auto count = static_cast<double>(parameter.numel());
      const at::Tensor mean = optimizer.mean(parameter);
      const detail::aten::Prior prior =
          detail::aten::prior_of(state.prior_mean(), state.prior_precision(), scale);
      const at::Tensor s = detail::aten::damped_hess(state.hess(), scale, prior);
      const at::Tensor sigma = (s * scale.ess).rsqrt();
      const at::Tensor direction =
          detail::aten::step_direction(mean, state.hess(), state.momentum(), c, prior);
      d.elements += parameter.numel();
      d.steps = std::max(d.steps, state.step());
      moved += count * (1 - std::pow(options.beta2(), static_cast<double>(state.step())));
      noise += detail::sum_of(sigma);
      weights += detail::sum_of(mean.abs());
      above += detail::sum_of(sigma > mean.abs());
      bounded += detail::sum_of(sigma >= options.noise_max() * (1 - 1e-6));
      clipped += detail::sum_of(direction.abs() > options.clip_radius());
      noises.push_back(detail::spread_subset(sigma));
      changes.push_back(detail::spread_subset(
          (s / detail::aten::plus_delta(at::full_like(s, options.hess_init()), scale, prior))
              .clamp_min(1e-300)
              .log10()));
    }
  }
  if (d.elements > 0) {
    const auto elements = static_cast<double>(d.elements);
    d.hess_moved = moved / elements;
    d.hess_change = detail::quantiles(changes);
    d.noise = detail::quantiles(noises);
    d.noise_over_weights = noise / std::max(weights, 1e-300);
    d.noise_above_weight = above / elements;
    d.noise_bounded = bounded / elements;
    d.clipped = clipped / elements;
  }
  d.remedies = detail::remedies_for(d, damped);
  return d;
}

/// Writes a table of a few lines, and the remedies below it.
inline std::ostream& operator<<(std::ostream& out, const Diagnostics& d) {
  const auto row = [&](const char* name, auto... values) {
    char line[160];
    std::snprintf(line, sizeof(line), name, values...);
    out << line << '\n';
  };
  row("elements with an update        %lld", static_cast<long long>(d.elements));
  row("updates                        %lld", static_cast<long long>(d.steps));
  row("Hessian moved from its start   %.1f %%", 100 * d.hess_moved);
  row("log10 of its change            %+.2f  %+.2f  %+.2f  (5 %%, 50 %%, 95 %% of the elements)",
      d.hess_change[0], d.hess_change[1], d.hess_change[2]);
  row("noise of a weight              %.1e  %.1e  %.1e", d.noise[0], d.noise[1], d.noise[2]);
  row("mean noise / mean |weight|     %.3g", d.noise_over_weights);
  row("noise above |weight|           %.1f %% of the elements", 100 * d.noise_above_weight);
  row("noise at its bound             %.1f %%", 100 * d.noise_bounded);
  row("steps clipped                  %.1f %%", 100 * d.clipped);
  row("updates skipped                %lld elements", static_cast<long long>(d.skipped));
  for (const std::string& remedy : d.remedies) out << "! " << remedy << '\n';
  return out;
}

IVON_NAMESPACE_END
