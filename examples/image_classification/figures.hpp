// SPDX-License-Identifier: Apache-2.0
// The figures of a comparison.
#pragma once

#include <filesystem>
#include <vector>

#include "comparison.hpp"

namespace image_classification {

// Draws into `out`, from the results and the log of the trainings that is there:
//   curves.png       training loss and test accuracy against step and against time
//   reliability.png  accuracy against confidence
//   coverage.png     error rate against the share of images that are answered, surest first
// Returns false where gnuplot is missing; the data and scripts are written all the same.
bool draw_figures(const std::vector<Result>& results, const std::filesystem::path& out);

}  // namespace image_classification
