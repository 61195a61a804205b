// SPDX-License-Identifier: Apache-2.0
#include "common/weight_average.hpp"

#include <ATen/OpMathType.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace examples {
namespace {

std::vector<torch::Tensor> averaged_tensors(const torch::nn::Module& module) {
  std::vector<torch::Tensor> tensors = module.parameters();
  for (const torch::Tensor& buffer : module.buffers()) {
    if (buffer.is_floating_point()) tensors.push_back(buffer);
  }
  return tensors;
}

std::string average_key(size_t i) { return fmt::format("average_{}", i); }

}  // namespace

WeightAverage::WeightAverage(const torch::nn::Module& module, double decay)
    : decay_(decay), live_(averaged_tensors(module)) {
  if (!(decay >= 0 && decay < 1)) {
    throw std::invalid_argument(fmt::format(
        "the decay of a weight average must be at least 0 and below 1, got {}; 0.999 is usual",
        decay));
  }
  for (const torch::Tensor& tensor : live_) {
    averages_.push_back(tensor.detach().to(at::toOpMathType(tensor.scalar_type()),
                                           /*non_blocking=*/false,
                                           /*copy=*/true));
  }
}

void WeightAverage::update() {
  if (scopes_ > 0) {
    throw std::runtime_error(
        "the weights must not be averaged while the module shows their average; end the Scope of "
        "shown() before update()");
  }
  const torch::NoGradGuard no_grad;
  const auto t = static_cast<double>(updates_);
  const double decay = std::min(decay_, (1 + t) / (10 + t));
  ++updates_;
  if (live_.empty()) return;
  std::vector<torch::Tensor> weights;
  for (size_t i = 0; i < live_.size(); ++i) {
    weights.push_back(live_[i].to(averages_[i].scalar_type()));  // the tensor itself if it has it
  }
  at::_foreach_lerp_(averages_, weights, 1 - decay);
}

WeightAverage::Scope::Scope(WeightAverage& average, WeightsKept) : average_(average) {
  for (const torch::Tensor& tensor : average.live_) weights_.push_back(tensor.detach().clone());
  ++average.scopes_;
}

// The other constructor has made a whole object, so the weights come back if this one throws.
WeightAverage::Scope::Scope(WeightAverage& average) : Scope(average, WeightsKept{}) {
  const torch::NoGradGuard no_grad;
  if (!weights_.empty()) at::_foreach_copy_(average.live_, average.averages_);
}

WeightAverage::Scope::~Scope() {
  const torch::NoGradGuard no_grad;
  if (!weights_.empty()) at::_foreach_copy_(average_.live_, weights_);
  --average_.scopes_;
}

void WeightAverage::keep() {
  if (scopes_ > 0) {
    throw std::runtime_error(
        "keep() must not be called while the averages are shown; end the scope");
  }
  const torch::NoGradGuard no_grad;
  if (!live_.empty()) at::_foreach_copy_(live_, averages_);
}

void WeightAverage::save(torch::serialize::OutputArchive& archive) const {
  archive.write("updates", c10::IValue(updates_));
  archive.write("tensors", c10::IValue(static_cast<int64_t>(averages_.size())));
  for (size_t i = 0; i < averages_.size(); ++i) {
    archive.write(average_key(i), averages_[i], /*is_buffer=*/true);
  }
}

void WeightAverage::load(torch::serialize::InputArchive& archive) {
  c10::IValue updates, tensors;
  archive.read("updates", updates);
  archive.read("tensors", tensors);
  if (tensors.toInt() != static_cast<int64_t>(averages_.size())) {
    throw std::runtime_error(
        fmt::format("the archived weight average must have the module's {} tensors, got {}; load "
                    "it into the model that it was made with",
                    averages_.size(), tensors.toInt()));
  }
  std::vector<torch::Tensor> loaded(averages_.size());
  for (size_t i = 0; i < loaded.size(); ++i) {
    archive.read(average_key(i), loaded[i], /*is_buffer=*/true);
    if (loaded[i].sizes() != averages_[i].sizes() ||
        loaded[i].scalar_type() != averages_[i].scalar_type()) {
      throw std::runtime_error(fmt::format(
          "tensor {} of the archived weight average must be {} [{}], got {} [{}]; load it into the "
          "model that it was made with",
          i, c10::toString(averages_[i].scalar_type()), fmt::join(averages_[i].sizes(), ", "),
          c10::toString(loaded[i].scalar_type()), fmt::join(loaded[i].sizes(), ", ")));
    }
  }
  const torch::NoGradGuard no_grad;
  if (!loaded.empty()) at::_foreach_copy_(averages_, loaded);
  updates_ = updates.toInt();
}

}  // namespace examples
