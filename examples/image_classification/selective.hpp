// SPDX-License-Identifier: Apache-2.0
// Selective prediction: a person looks at the images that the network is least certain about, and
// the network answers the rest.
#pragma once

#include <string>
#include <vector>

#include "comparison.hpp"

namespace image_classification {

// The share of wrong predictions, 0..1, among the images that are left when `refused`, a share from
// 0 to below 1, of the images with the lowest probability of the predicted class is taken away. The
// number of these is rounded to whole images, and at least one image is left. Where equal
// probabilities leave open which images are left, the expected share. Throws std::invalid_argument
// for another `refused`, or without images.
double error_without(const Predicted& predicted, double refused);

// A table with a row for each optimizer and a column for 0, 5, 10, 20 and 30 % of refused images:
// the error rate among the rest in per cent, mean and standard error over the seeds. IVON's
// predictions are averaged over its samples.
std::string refusal_table(const std::vector<Result>& results);

}  // namespace image_classification
