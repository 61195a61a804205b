// SPDX-License-Identifier: Apache-2.0
// Quantiles over the elements of several tensors, for tables that a program prints.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ivon/version.hpp>
#include <tuple>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

// About this many elements, evenly spread, enter the quantiles of a larger number of them.
inline constexpr int64_t kQuantileElements = 1 << 16;

// Returns those of the values that enter quantiles of `elements` elements, of which the values are
// a part: all up to 2^17 - 1 elements, and beyond that at least 2^16 of them, evenly spread. They
// are float64 on the CPU and may share the memory of `values`.
inline at::Tensor spread_subset(const at::Tensor& values, int64_t elements) {
  const at::Tensor flat = values.reshape({-1});
  const int64_t every = std::max<int64_t>(1, elements / kQuantileElements);
  return flat.slice(0, 0, flat.numel(), every).to(at::kCPU, at::kDouble);
}
inline at::Tensor spread_subset(const at::Tensor& values) {
  return spread_subset(values, values.numel());
}

// Returns the quantiles 0.05, 0.5 and 0.95 of the values in all tensors, whose number is > 0. An
// empty list has the quantiles 0.
inline std::array<double, 3> quantiles(const std::vector<at::Tensor>& parts) {
  if (parts.empty()) return {};
  const at::Tensor sorted = std::get<0>(at::cat(parts).sort());
  const auto last = static_cast<double>(sorted.numel() - 1);
  std::array<double, 3> found = {};
  for (size_t i = 0; i < found.size(); ++i) {
    const double share = std::array<double, 3>{0.05, 0.5, 0.95}[i];
    found[i] = sorted[std::llround(share * last)].template item<double>();
  }
  return found;
}

// Returns the sum of all elements, computed in float64.
inline double sum_of(const at::Tensor& values) {
  return values.sum(at::kDouble).template item<double>();
}

}  // namespace detail
IVON_NAMESPACE_END
