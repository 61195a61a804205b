// SPDX-License-Identifier: Apache-2.0
// The average of a module's weights over a training (Polyak averaging), which often classifies
// better than the last weights.
#pragma once

#include <torch/nn/module.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace examples {

// The exponential moving average of a module's parameters and floating-point buffers, for example
// BatchNorm's running statistics; other buffers are left alone. update() averages what the module
// holds: with ivon::IVON, call it while the module shows the mean and not a sample.
class WeightAverage {
 public:
  // The averages begin as the module's present values. The module must be on its device already,
  // and must keep its tensors as long as this object is used. Throws std::invalid_argument unless
  // 0 <= decay < 1.
  WeightAverage(const torch::nn::Module& module, double decay);
  WeightAverage(const WeightAverage&) = delete;
  WeightAverage& operator=(const WeightAverage&) = delete;

  // After each optimizer step: average = d average + (1 - d) weights. The decay d is
  // min(decay, (1 + t) / (10 + t)) after t updates, so that the first values have little weight.
  // Throws std::runtime_error while the module shows the averages.
  void update();

  int64_t updates() const { return updates_; }

  // While it lives, the module holds the averages; then the weights come back bit for bit. Scopes
  // that overlap must end in the reverse order of their beginning.
  class Scope {
   public:
    explicit Scope(WeightAverage& average);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    struct WeightsKept {};
    Scope(WeightAverage& average, WeightsKept);

    WeightAverage& average_;
    std::vector<torch::Tensor> weights_;  // copies, in the order of live_
  };
  [[nodiscard]] Scope shown() { return Scope(*this); }

  // Writes the averages to the module for good. Throws std::runtime_error while a Scope lives.
  void keep();

  // The averages and the number of updates; the decay is a setting and is not saved. The module's
  // own weights are saved with the module, outside a Scope.
  void save(torch::serialize::OutputArchive& archive) const;
  // Throws std::runtime_error, and changes nothing, if the archive has other tensors than the
  // module; a c10::Error if it is not an archive of save().
  void load(torch::serialize::InputArchive& archive);

 private:
  double decay_;
  int64_t updates_ = 0;
  int64_t scopes_ = 0;               // that live now
  std::vector<torch::Tensor> live_;  // the module's own tensors
  // Of the same shapes and devices; float32 for tensors of 16 bits, whose precision would not hold
  // the small changes of an average.
  std::vector<torch::Tensor> averages_;
};

}  // namespace examples
