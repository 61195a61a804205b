// SPDX-License-Identifier: Apache-2.0
// A plain-text table, and "mean ± standard error" for its cells.
#pragma once

#include <string>
#include <vector>

namespace examples {

struct Estimate {
  double mean = 0;
  double standard_error = 0;  // of the mean: s / sqrt(n), s with n - 1; NaN for one value
};

// Throws std::invalid_argument for no values.
Estimate estimate(const std::vector<double>& values);

// "91.23 ± 0.04"; "91.23" where there is no standard error. `digits` after the point.
std::string format_estimate(const Estimate& value, int digits);

// The header and the rows as lines of text: first column left-aligned, the others right-aligned,
// two spaces apart, a rule under the header. Every row has the header's number of cells.
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows);

}  // namespace examples
