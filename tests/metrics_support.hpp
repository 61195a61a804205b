// SPDX-License-Identifier: Apache-2.0
// What the tests of the metrics share: the generated cases, and tensors from their lists.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace ivon_test {

// golden/metrics/cases.json, which make_cases.py describes.
inline const nlohmann::json& metric_cases() {
  static const nlohmann::json cases = [] {
    std::ifstream in(IVON_TEST_GOLDEN_DIR "/metrics/cases.json");
    return nlohmann::json::parse(in);
  }();
  return cases;
}

// A list of numbers, or of lists of equal length, as float64. Infinities are the texts inf and
// -inf, as JSON has none.
inline at::Tensor numbers(const nlohmann::json& list) {
  std::vector<double> values;
  const bool nested = !list.empty() && list[0].is_array();
  const auto append = [&values](const nlohmann::json& row) {
    for (const nlohmann::json& v : row) {
      values.push_back(v == "inf" ? HUGE_VAL : v == "-inf" ? -HUGE_VAL : v.get<double>());
    }
  };
  if (!nested) append(list);
  for (const nlohmann::json& row : list) {
    if (nested) append(row);
  }
  const at::Tensor flat = at::tensor(values, at::kDouble);
  return nested ? flat.view({static_cast<int64_t>(list.size()), -1}) : flat;
}

}  // namespace ivon_test
