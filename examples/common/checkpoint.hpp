// SPDX-License-Identifier: Apache-2.0
// One file with everything that a training needs to go on bit for bit: the weights that it changes,
// the optimizer, the schedule, the position in the data, the generators, and the settings it was
// made with.
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/settings.hpp"

namespace examples {

// Where a training stands.
struct Position {
  int64_t epoch = 0;       // complete epochs
  int64_t batch = 0;       // complete batches of the epoch that has begun
  double seconds = 0;      // spent on training so far
  double last_loss = 0;    // mean over the examples of the last complete epoch
  torch::Tensor loss_sum;  // float64 scalar: loss summed over this epoch's examples; undefined: 0
};

class Checkpoint {
 public:
  // `fingerprint`: Settings::fingerprint(), compared when the file is loaded. `device`: where the
  // module is; of the generators, the CPU's and this device's are kept.
  Checkpoint(std::filesystem::path file, Json fingerprint, torch::Device device);

  // Adds an object with save(OutputArchive&) and load(InputArchive&), which must outlive this. Add
  // the module, then its optimizer, then the schedule: parts are loaded in the order of adding.
  template <class T>
  void add(const std::string& key, T& object) {
    parts_.push_back({key, [&object](torch::serialize::OutputArchive& a) { object.save(a); },
                      [&object](torch::serialize::InputArchive& a) { object.load(a); }});
  }

  // Writes the file. It is replaced only when the new one is whole and on disk. Throws
  // std::runtime_error naming the file and the reason if it cannot be written; then the previous
  // file is there and the training can go on.
  void save(const Position& position) const;

  // Restores the parts and the generators and returns the position; nothing without a file. Throws
  // std::runtime_error for a damaged file, and for one of other settings: it lists them, and no
  // part has changed.
  std::optional<Position> load();

  const std::filesystem::path& file() const { return file_; }

 private:
  struct Part {
    std::string key;
    std::function<void(torch::serialize::OutputArchive&)> save;
    std::function<void(torch::serialize::InputArchive&)> load;
  };

  Position load_parts(torch::serialize::InputArchive& whole);
  void check_fingerprint(torch::serialize::InputArchive& whole) const;

  std::filesystem::path file_;
  Json fingerprint_;
  torch::Device device_;
  std::vector<Part> parts_;
};

}  // namespace examples
