// SPDX-License-Identifier: Apache-2.0
//
// All metrics: how good predictions and their stated uncertainties are. Each file tells what its
// functions expect; docs/metrics.md lists them all and compares the conventions with those of
// torchmetrics and scikit-learn.
//   metrics/classification.hpp  accuracy, negative log-likelihood (NLL), Brier score
//   metrics/calibration.hpp     expected calibration error (ECE), reliability bins
//   metrics/ranking.hpp         ROC and precision-recall areas, risk and coverage
//   metrics/regression.hpp      NLL and CRPS of Gaussians and mixtures, intervals
//   metrics/streaming.hpp       the same figures for data that come in batches
#pragma once

#include <ivon/posterior/metrics/calibration.hpp>
#include <ivon/posterior/metrics/classification.hpp>
#include <ivon/posterior/metrics/ranking.hpp>
#include <ivon/posterior/metrics/regression.hpp>
#include <ivon/posterior/metrics/streaming.hpp>
