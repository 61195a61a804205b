// SPDX-License-Identifier: Apache-2.0
// The figures, drawn by gnuplot from data files and scripts that stay beside them.
#pragma once

#include <filesystem>
#include <vector>

#include "conditions.hpp"
#include "methods.hpp"

namespace uncertainty {

// Draws in `out`, from the measures of all seeds together:
//   corruptions.png  accuracy, NLL and ECE against the level of each corruption
//   histograms.png   entropy and mutual information of clean images and of clip art, if there is
//   any coverage.png     accuracy against the share of images that are answered
// Returns true if all were drawn (gnuplot may be missing).
bool draw_figures(const std::vector<Method>& methods, const TestSet& test,
                  const std::filesystem::path& out);

}  // namespace uncertainty
