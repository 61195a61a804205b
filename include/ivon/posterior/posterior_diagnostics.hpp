// SPDX-License-Identifier: Apache-2.0
// Says of each parameter of a posterior how certain its weights are.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/quantiles.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// What diagnostics() reads off a posterior. Print it with <<.
struct PosteriorDiagnostics {
  /// What is known about the weights of one parameter, or about all.
  struct Row {
    /// The parameter's name, or "total".
    std::string name;
    /// The number of weights.
    int64_t elements = 0;
    /// log10 of the precision: quantiles 0.05, 0.5 and 0.95 over the weights; 0 without weights.
    /// From 2^17 weights on, an evenly spread subset of at least 2^16 is used.
    std::array<double, 3> log10_precision = {};
    /// Share of weights whose noise exceeds |mean|, between 0 and 1; 0 without weights.
    double noise_above_mean = 0;
    /// The effective number of parameters, sum of 1 - s0 / s over the weights, with the precision s
    /// and the prior's precision s0: how many weights the data determine and not the prior. For a
    /// posterior of an optimizer it is the sum of h / (h + delta) (MacKay 1992, "Bayesian
    /// interpolation", there named gamma). It is negative where the Hessian is. Empty if the
    /// parameter, or for the total one of the parameters, has no prior.
    std::optional<double> effective_parameters;
  };
  /// The parameters in the order of the posterior.
  std::vector<Row> parameters;
  /// All parameters together.
  Row total;
};

/// Reads off a posterior how certain the weights of each parameter are. Needs some temporary
/// tensors of the size of the largest parameter, in float64.
inline PosteriorDiagnostics diagnostics(const Posterior& q) {
  const detail::PlainTensors plain;
  PosteriorDiagnostics result;
  result.total.name = "total";
  result.total.effective_parameters = 0;
  for (const PosteriorParameter& p : q.parameters()) result.total.elements += p.mean.numel();
  std::vector<at::Tensor> all;
  double above = 0;
  for (const PosteriorParameter& p : q.parameters()) {
    PosteriorDiagnostics::Row row;
    row.name = p.name;
    row.elements = p.mean.numel();
    if (row.elements > 0) {
      all.push_back(detail::spread_subset(p.precision, result.total.elements).log10());
      row.log10_precision = detail::quantiles({detail::spread_subset(p.precision).log10()});
      const double noisy = detail::sum_of(q.signal_to_noise(p.name) < 1);
      row.noise_above_mean = noisy / static_cast<double>(row.elements);
      above += noisy;
    }
    if (p.prior_precision.defined()) {
      const at::Tensor ratio = p.prior_precision.to(at::kDouble) / p.precision.to(at::kDouble);
      row.effective_parameters = detail::sum_of(1 - ratio);
    }
    std::optional<double>& sum = result.total.effective_parameters;
    if (sum && row.effective_parameters) {
      *sum += *row.effective_parameters;
    } else {
      sum.reset();
    }
    result.parameters.push_back(std::move(row));
  }
  result.total.log10_precision = detail::quantiles(all);
  if (result.total.elements > 0) {
    result.total.noise_above_mean = above / static_cast<double>(result.total.elements);
  }
  return result;
}

/// Writes a table with a line for each parameter and one for the total.
inline std::ostream& operator<<(std::ostream& out, const PosteriorDiagnostics& d) {
  size_t width = d.total.name.size();
  for (const PosteriorDiagnostics::Row& row : d.parameters)
    width = std::max(width, row.name.size());
  const auto padded = [&](std::string name) {
    name.resize(width, ' ');
    return name;
  };
  const auto write = [&](const PosteriorDiagnostics::Row& row) {
    char effective[32] = "-";
    if (row.effective_parameters) {
      std::snprintf(effective, sizeof(effective), "%.1f", *row.effective_parameters);
    }
    char line[160];
    std::snprintf(line, sizeof(line), "%12lld  %6.2f %6.2f %6.2f  %6.1f %%  %12s",
                  static_cast<long long>(row.elements), row.log10_precision[0],
                  row.log10_precision[1], row.log10_precision[2], 100 * row.noise_above_mean,
                  effective);
    out << padded(row.name) << line << '\n';
  };
  out << padded("") << "     weights  log10 precision 5 50 95 %  noise>|m|  effective\n";
  for (const PosteriorDiagnostics::Row& row : d.parameters) write(row);
  write(d.total);
  return out;
}

IVON_NAMESPACE_END
