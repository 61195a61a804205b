// SPDX-License-Identifier: Apache-2.0
// What the program leaves behind: the table, two figures and one JSON file.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/classification.hpp"
#include "settings.hpp"

namespace fashion_mnist {

// One row of the table: one way to predict, over all seeds.
struct Method {
  Method(std::string method_name, std::string method_key, std::string curve_colour)
      : name(std::move(method_name)), key(std::move(method_key)), colour(std::move(curve_colour)) {}

  std::string name;                       // "IVON at the mean"
  std::string key;                        // "ivon_mean", for JSON and file names
  std::string colour;                     // of its curves
  std::vector<examples::Scores> scores;   // one per seed
  std::vector<double> seconds_per_epoch;  // one per seed
  std::vector<torch::Tensor> probs;       // one per seed, [n, 10]
};

// The table as text, mean ± standard error over the seeds.
std::string results_table(const std::vector<Method>& methods, const Settings& settings);

// How `ours` compares with `base` in one sentence: differences of accuracy, NLL and ECE.
std::string verdict(const Method& ours, const Method& base);

// Figures from the predictions of all seeds together, targets [n]. Draw reliability.png and
// uncertainty.png in `out`; true if both were drawn (gnuplot may be missing).
bool draw_figures(const std::vector<Method>& methods, const torch::Tensor& targets,
                  const std::filesystem::path& out);

// Writes all settings (`json`), scores per seed, means, errors and reliability bins to results.json
// in settings.common.out.
void write_json(const std::vector<Method>& methods, const torch::Tensor& targets,
                const Settings& settings, const examples::Json& json);

}  // namespace fashion_mnist
