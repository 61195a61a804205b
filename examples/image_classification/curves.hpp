// SPDX-License-Identifier: Apache-2.0
// The learning curves of a comparison, from the log of its trainings.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "comparison.hpp"

namespace image_classification {

// The optimizers of the results in the order in which they are drawn: IVON last, on top.
std::vector<std::string> drawing_order(const std::vector<Result>& results);

// The colour of each optimizer's curves, "#RRGGBB": blue for IVON, and the others by their order.
std::map<std::string, std::string> optimizer_colours(const std::vector<Result>& results);

// What one training has logged at the end of one epoch.
struct CurvePoint {
  double step = 0, seconds = 0;
  double loss = 0;      // mean over the epoch's examples; NaN if it was not finite
  double accuracy = 0;  // 0..1 on the test images; NaN if it was not measured
};

// The ends of the epochs of the training that gave `result`, from the lines of `log` (a log.jsonl).
// Of lines of the same training and step the later one counts. Lines that are not JSON, as a killed
// program may leave one, are skipped. Empty if there is no such file or no such line.
std::vector<CurvePoint> read_curve(const std::filesystem::path& log, const Result& result);

// Draws `out`/curves.png from `out`/log.jsonl: training loss and test accuracy against the steps
// and against the time, for each optimizer the mean over the seeds and thin lines for each seed.
// The panels of accuracy are left out where none was measured. Returns false, with a message on
// stderr, where gnuplot is missing or the log has no line of the results.
bool draw_curves(const std::vector<Result>& results, const std::filesystem::path& out);

}  // namespace image_classification
