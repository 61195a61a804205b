// SPDX-License-Identifier: Apache-2.0
// Reads the table of diamond prices.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "drop_in/data.hpp"

namespace drop_in {
namespace {

constexpr std::array<const char*, 6> kDiamondNumbers = {"carat", "depth", "table", "x", "y", "z"};
constexpr std::array<const char*, 3> kDiamondGrades = {"cut", "color", "clarity"};

// The fields of a line; those in double quotes may hold commas, and "" there is a quote.
std::vector<std::string> diamond_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        fields.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else if (line[i] != '\r') {
      fields.back() += line[i];
    }
  }
  return fields;
}

// Returns a finite number, or throws.
double diamond_number(const std::string& field) {
  size_t end = 0;
  double number = 0;
  try {
    number = std::stod(field, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != field.size() || !std::isfinite(number)) {
    throw std::runtime_error("'" + field + "' is not a number");
  }
  return number;
}

// Columns [n, levels] that are 1 where the grade has this level; the levels are sorted.
torch::Tensor diamond_one_hot(const std::vector<std::string>& grades) {
  std::map<std::string, int64_t> levels;
  for (const std::string& grade : grades) levels.emplace(grade, 0);
  int64_t count = 0;
  for (auto& level : levels) level.second = count++;
  std::vector<int64_t> codes;
  codes.reserve(grades.size());
  for (const std::string& grade : grades) codes.push_back(levels.at(grade));
  return torch::one_hot(torch::tensor(codes), count).to(torch::kDouble);
}

// Subtracts the mean and divides by the standard deviation of the training rows.
torch::Tensor diamond_standardised(const torch::Tensor& values, const torch::Tensor& train_rows) {
  const torch::Tensor train = values.index_select(0, train_rows);
  const torch::Tensor deviation = train.std(/*dim=*/0, /*unbiased=*/false).clamp_min(1e-12);
  return ((values - train.mean(0)) / deviation).to(torch::kFloat);
}

Table read_diamonds(const std::filesystem::path& file) {
  std::ifstream input(file);
  if (!input) {
    throw std::runtime_error("cannot read " + file.string() +
                             "; run benchmarks/drop_in/run.sh, which fetches it");
  }
  std::string line;
  std::getline(input, line);
  const std::vector<std::string> header = diamond_fields(line);
  const auto column = [&](const std::string& name) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end()) {
      throw std::runtime_error(file.string() + ", line 1: there is no column '" + name +
                               "'; fetch the file again with benchmarks/drop_in/run.sh");
    }
    return static_cast<size_t>(found - header.begin());
  };
  std::array<size_t, kDiamondNumbers.size()> number_columns{};
  std::transform(kDiamondNumbers.begin(), kDiamondNumbers.end(), number_columns.begin(), column);
  std::array<size_t, kDiamondGrades.size()> grade_columns{};
  std::transform(kDiamondGrades.begin(), kDiamondGrades.end(), grade_columns.begin(), column);
  const size_t price_column = column("price");

  std::vector<double> numbers;
  std::vector<double> log_prices;
  std::array<std::vector<std::string>, kDiamondGrades.size()> grades;
  for (int64_t line_number = 2; std::getline(input, line); ++line_number) {
    if (line.empty() || line == "\r") continue;
    const std::vector<std::string> fields = diamond_fields(line);
    try {
      if (fields.size() != header.size()) {
        throw std::runtime_error(std::to_string(fields.size()) + " fields, but the header has " +
                                 std::to_string(header.size()));
      }
      for (const size_t i : number_columns) numbers.push_back(diamond_number(fields[i]));
      const double price = diamond_number(fields[price_column]);
      if (price <= 0) throw std::runtime_error("the price is not positive");
      log_prices.push_back(std::log(price));
    } catch (const std::exception& error) {
      throw std::runtime_error(file.string() + ", line " + std::to_string(line_number) + ": " +
                               error.what());
    }
    for (size_t i = 0; i < grades.size(); ++i) grades[i].push_back(fields[grade_columns[i]]);
  }
  const auto rows = static_cast<int64_t>(log_prices.size());
  if (rows < 100) {
    throw std::runtime_error(file.string() + " has only " + std::to_string(rows) +
                             " rows; fetch it again with benchmarks/drop_in/run.sh");
  }

  std::vector<torch::Tensor> columns = {torch::tensor(numbers, torch::kDouble).view({rows, -1})};
  for (const std::vector<std::string>& grade : grades) columns.push_back(diamond_one_hot(grade));
  // Every tenth row is a test row.
  const torch::Tensor is_test = torch::arange(rows).remainder(10).eq(9);
  const torch::Tensor train_rows = is_test.logical_not().nonzero().squeeze(1);
  const examples::InMemory all = {
      diamond_standardised(torch::cat(columns, 1), train_rows),
      diamond_standardised(torch::tensor(log_prices, torch::kDouble), train_rows)};
  return {all.batch(train_rows), all.batch(is_test.nonzero().squeeze(1))};
}

}  // namespace

const Table& diamonds(const std::filesystem::path& data) {
  static const Table table = read_diamonds(data / "diamonds.csv");
  return table;
}

}  // namespace drop_in
