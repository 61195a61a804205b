// SPDX-License-Identifier: Apache-2.0
// Reads recorded trajectories (golden/*.json): their tensors and their options.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <ivon/options.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "support.hpp"

namespace ivon_test {

inline torch::Tensor tensor_of(const nlohmann::json& values, c10::IntArrayRef shape,
                               torch::Dtype dtype) {
  return torch::tensor(values.get<std::vector<double>>(), torch::kFloat64)
      .view(shape)
      .to(ivon_test::device(), dtype)
      .clone();
}

// Writes the recorded fields into `options`; what the record leaves out stays unset.
inline void apply(const nlohmann::json& fields, ivon::IVONOptions& options) {
  for (const auto& [key, value] : fields.items()) {
    if (key == "lr") {
      options.lr(value);
    } else if (key == "ess") {
      options.ess(value);
    } else if (key == "hess_init") {
      options.hess_init(value);
    } else if (key == "beta1") {
      options.beta1(value);
    } else if (key == "beta2") {
      options.beta2(value);
    } else if (key == "weight_decay") {
      options.weight_decay(value);
    } else if (key == "mc_samples") {
      options.mc_samples(value);
    } else if (key == "clip_radius") {
      options.clip_radius(value);
    } else if (key == "debias") {
      options.debias(value);
    } else if (key == "rescale_lr") {
      options.rescale_lr(value);
    } else if (key == "hess_clip") {
      options.hess_clip(value);
    } else if (key == "damping") {
      options.damping(value);
    } else if (key == "eps") {
      options.eps(value);
    } else if (key == "noise_max") {
      options.noise_max(value);
    } else if (key == "decoupled_weight_decay") {
      options.decoupled_weight_decay(value);
    } else {
      FAIL() << "unknown option in the golden file: " << key;
    }
  }
}

}  // namespace ivon_test
