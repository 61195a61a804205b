// SPDX-License-Identifier: Apache-2.0
// One training of a network: its steps and what surrounds them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/optimizers.hpp"
#include "common/run_log.hpp"
#include "common/settings.hpp"
#include "data.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace image_classification {

// What one training depends on.
struct Run {
  const Settings& s;
  const examples::OptimizerSettings& optimizer;  // its ess 0: the number of training images
  const DataSets& data;
  std::string name;  // in the progress line and file names
  int64_t seed = 1;
  int64_t epochs = 1;
  examples::Json fingerprint;  // training_fingerprint(), and what else makes this training differ
  examples::RunLog& log;
};

struct Trained {
  Network network;  // at the mean, or with averaged weights
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  double seconds = 0;      // of the training alone
  double loss = 0;         // mean of the last epoch
  int64_t unreadable = 0;  // training images

  // Of IVON; nothing of another optimizer.
  std::optional<ivon::Posterior> posterior() const;
};

// The settings and data on which a training depends, for resuming.
examples::Json training_fingerprint(const Settings& s, const examples::Settings& list,
                                    const DataSets& data);

// Trains from the beginning, or from the run's checkpoint with --resume. Afterwards the network is
// in evaluation mode. Throws examples::Interrupted as examples::train() does.
Trained train_network(const Run& run);

}  // namespace image_classification
