// SPDX-License-Identifier: Apache-2.0
// What a training changes in a module, for checkpoints: where most weights are frozen, as with
// adapters, a checkpoint need not hold them.
#pragma once

#include <torch/nn/module.h>
#include <torch/serialize/archive.h>

#include <string>

namespace examples {

// The parameters of a module that require gradients, and all of its buffers. The archive is that of
// the module's own save() without the other parameters; where all parameters require gradients, it
// is the same.
class TrainedWeights {
 public:
  // `module` must outlive this.
  explicit TrainedWeights(torch::nn::Module& module) : module_(module) {}

  void save(torch::serialize::OutputArchive& archive) const;
  // The same parameters must require gradients as when the archive was saved; c10::Error if one of
  // them is not in it. The other parameters stay as they are.
  void load(torch::serialize::InputArchive& archive);

 private:
  torch::nn::Module& module_;
};

// A checksum of the parameters that do not require gradients: the number of bytes and their CRC-32
// in hexadecimal digits, "1024-9ae0daaf". Empty if there are none.
std::string frozen_checksum(const torch::nn::Module& module);

}  // namespace examples
