// SPDX-License-Identifier: Apache-2.0
// The trainings that the methods start from: AdamW, and IVON with the posterior that it learns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/compiled_ivon.hpp"
#include "common/data/in_memory.hpp"
#include "common/models/conv_net.hpp"
#include "common/run_log.hpp"
#include "settings.hpp"

namespace uncertainty {

// What the trainings of one program share.
struct Context {
  const Settings& s;
  const examples::Settings& list;
  const examples::InMemory& train;  // on the training device
  examples::RunLog& log;
};

// A network in evaluation mode and the seconds of its training.
struct Network {
  examples::ConvNet model;
  double seconds = 0;
};

// Trains one network with AdamW for all epochs.
Network train_adamw(const Context& c, int64_t seed);

// Trains the network number `member` (from 1) of the ensemble with AdamW for its share of the
// epochs. It has initial weights and an order of the data of its own.
Network train_member(const Context& c, int64_t member, int64_t seed);

// An optimizer's settings as the command line names them, and the name of its runs.
struct NamedOptimizer {
  const examples::OptimizerSettings& settings;
  std::string prefix;  // of its options
  std::string name;    // of its runs in the progress line, the log and file names
};

struct Learned {
  Network network;
  ivon::Posterior posterior;  // on the training device
};

// Trains one network with IVON for all epochs and writes the posterior to `file`. The posterior
// that it returns is read from this file, as it would be in a program that only predicts.
Learned train_ivon(const Context& c, const NamedOptimizer& named, int64_t seed,
                   const std::filesystem::path& file);

}  // namespace uncertainty
