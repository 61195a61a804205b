// SPDX-License-Identifier: Apache-2.0
// The commands of the program. Each prints what it found and writes files to --out.
#pragma once

#include <string>
#include <vector>

#include "common/settings.hpp"
#include "settings.hpp"

namespace image_classification {

// Trains one network per seed, scores it, and saves it in <out>/<optimizer>-<seed>.
void train(Settings& s, const examples::Settings& list);

// Scores the network of --trained on the test images of --data.
void evaluate_trained(const Settings& s, const examples::Settings& list);

// Prints the five most probable classes of each file, with probabilities and uncertainty.
void predict_files(const Settings& s, const std::vector<std::string>& files);

// Sorts the images below a folder by uncertainty: triage.csv and a sheet of the most uncertain.
void triage(const Settings& s, const std::vector<std::string>& folders);

// Trains with several optimizers and seeds: a table and plots.
void compare(Settings& s, const examples::Settings& list);

}  // namespace image_classification
