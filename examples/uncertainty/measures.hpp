// SPDX-License-Identifier: Apache-2.0
// What one method scores on the test set.
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "common/classification.hpp"
#include "conditions.hpp"
#include "predictors.hpp"

namespace uncertainty {

// How well a number tells clip art (positive) from clean test images (negative).
struct Detection {
  double auroc, aupr;  // 0..1, larger is better
  double fpr95;        // 0..1: clean images that are suspected where 95 % of the clip art is
};

// An uncertainty in nats of each clean test image and of each clip art, both [n] on the CPU.
struct Uncertainties {
  torch::Tensor clean, clip_art;  // clip_art is undefined without clip art
};

struct Measures {
  std::vector<examples::Scores> scores;       // of TestSet::conditions, in that order
  Uncertainties entropy, mutual_information;  // mutual_information is 0 without samples
  std::optional<Detection> by_entropy;        // nothing without clip art
  std::optional<Detection> by_information;    // nothing without clip art or samples
  // Of the clean images and then of those of TestSet::middle(), together [2n].
  torch::Tensor confidence;  // float32, of the answer
  torch::Tensor correct;     // bool
  double aurc = 0;           // of these: area under the risk-coverage curve, smaller is better
  double seconds = 0;        // of the training
};

// `sampled`: whether the method averages several predictions, so that they can disagree.
Measures measure(const Predictor& predict, const TestSet& test, bool sampled);

// The mean over all conditions but the clean one.
examples::Scores mean_over_corruptions(const std::vector<examples::Scores>& scores);

}  // namespace uncertainty
