// SPDX-License-Identifier: Apache-2.0
// What the figures of several examples have in common: how far confidences can be trusted.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace examples {

using FigureRows = std::vector<std::vector<double>>;  // of write_data() in gnuplot.hpp

// Ends a block of rows: two empty lines. Gnuplot addresses blocks by `index`, from 0.
void end_block(FigureRows& rows);

// What one method predicts, with the images of all seeds one below the other.
struct Predictions {
  std::string name;       // without single quotes
  std::string colour;     // "#RRGGBB"
  torch::Tensor probs;    // [n, classes], on the CPU
  torch::Tensor targets;  // int64 [n], on the CPU
  double ece = 0;         // written into the figure: usually the mean over the seeds
};

// Draws `out`/reliability.png, `width` x 520 pixels, with one column for each method: the accuracy
// against the confidence in 15 bins, and below it the share of the predictions in each bin.
// Returns false where gnuplot is missing; the data and the script are written all the same.
bool draw_reliability(const std::vector<Predictions>& methods, const std::filesystem::path& out,
                      int width);

// Adds a block of at most about 200 rows (percent of the images that are answered, accuracy of the
// answers in percent), where the most confident images are answered. It begins with all images and
// ends at 20 %, below which too few are left for an accuracy.
// `confidence`: floating point [n]; `correct`: bool [n].
void add_coverage(FigureRows& rows, const torch::Tensor& confidence, const torch::Tensor& correct);

}  // namespace examples
