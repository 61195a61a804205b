// SPDX-License-Identifier: Apache-2.0
// How many samples a prediction draws, and how.
#pragma once

#include <c10/util/Exception.h>
#include <torch/arg.h>

#include <cmath>
#include <cstdint>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// Options of predict(), predict_batches() and predict_regression(). A number converts to options
/// with that number of samples.
struct PredictOptions {
  /// Options with `samples` samples.
  PredictOptions(int64_t samples = 16) : samples_(samples) {}  // NOLINT: converts on purpose

  /// Number of samples, >= 0; 0 predicts at the mean of the posterior. With a `tolerance` it is the
  /// largest number.
  TORCH_ARG(int64_t, samples) = 16;
  /// Whether every second sample is the mirror image m - d of the one before, m + d (antithetic
  /// sampling). docs/posterior.md tells what it gains. `samples` must be even.
  TORCH_ARG(bool, antithetic) = false;
  /// If > 0, no more samples are drawn once the averaged probabilities have settled: when the
  /// number of samples has doubled, to 4, 8, 16 and so on, and no averaged probability has changed
  /// by more than this since. The error of the average is about as large as this change.
  TORCH_ARG(double, tolerance) = 0;
  /// For predict_batches(): whether every batch gets samples of its own. Otherwise all batches are
  /// predicted with the same samples, for which the data are read once for each sample.
  TORCH_ARG(bool, fresh_samples) = false;

 public:
  /// Throws c10::Error if an option is out of range.
  void validate() const {
    TORCH_CHECK(samples() >= 0, "ivon: samples must be >= 0, got ", samples(),
                "; 0 predicts at the mean, 16 is usual");
    TORCH_CHECK(!antithetic() || samples() % 2 == 0,
                "ivon: samples must be even with antithetic, got ", samples(),
                "; every sample has a mirror image");
    TORCH_CHECK(tolerance() >= 0 && std::isfinite(tolerance()),
                "ivon: tolerance must be finite and >= 0, got ", tolerance(),
                "; 0 draws all samples");
  }
};

IVON_NAMESPACE_END
