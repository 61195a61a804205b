// SPDX-License-Identifier: Apache-2.0
#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>

namespace examples {
namespace {

// Columns on screen: UTF-8 continuation bytes take none.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string format_row(const std::vector<std::string>& row, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t c = 0; c < row.size(); ++c) {
    const std::string pad(widths[c] - width(row[c]), ' ');
    line += c == 0 ? row[c] + pad : "  " + pad + row[c];
  }
  return line + "\n";
}

}  // namespace

Estimate estimate(const std::vector<double>& values) {
  if (values.empty()) throw std::invalid_argument("an estimate needs at least one value");
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  if (values.size() == 1) return {mean, std::numeric_limits<double>::quiet_NaN()};
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

std::string format_estimate(const Estimate& value, int digits) {
  if (std::isnan(value.standard_error)) return fmt::format("{:.{}f}", value.mean, digits);
  return fmt::format("{:.{}f} ± {:.{}f}", value.mean, digits, value.standard_error, digits);
}

std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t c = 0; c < header.size(); ++c) {
    size_t w = width(header[c]);
    for (const auto& row : rows) w = std::max(w, width(row.at(c)));
    widths.push_back(w);
    total += w + (c == 0 ? 0 : 2);
  }
  std::string text = format_row(header, widths) + std::string(total, '-') + "\n";
  for (const auto& row : rows) text += format_row(row, widths);
  return text;
}

}  // namespace examples
