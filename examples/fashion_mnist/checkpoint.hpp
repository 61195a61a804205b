// SPDX-License-Identifier: Apache-2.0
// One file per training run with everything it needs to go on: model, optimizer, schedule, epoch.
#pragma once

#include <filesystem>
#include <ivon/schedulers.hpp>
#include <string>

#include "network.hpp"
#include "settings.hpp"

namespace fashion_mnist {

struct TrainingState {
  int64_t epochs_done = 0;
  double seconds = 0;  // spent on them
};

class Checkpoint {
 public:
  // `<out>/checkpoint-<name>-<seed>.pt`, bound to those settings that shape the training.
  Checkpoint(const Settings& settings, const std::string& name, int64_t seed);

  // Atomic: an interrupted write leaves the previous epoch's file.
  void save(const ConvNet& model, const torch::optim::Optimizer& optimizer,
            const ivon::WarmupCosineLR& schedule, const TrainingState& state) const;

  // Restores all three, onto `device`, and returns where to go on; does nothing and returns {}
  // without a file. Throws std::runtime_error for a file written under other settings.
  TrainingState load(ConvNet& model, torch::optim::Optimizer& optimizer,
                     ivon::WarmupCosineLR& schedule, const torch::Device& device) const;

 private:
  std::filesystem::path file_;
  std::string settings_;  // the training settings as text, compared on load
};

}  // namespace fashion_mnist
