// SPDX-License-Identifier: Apache-2.0
// The optimizers that examples compare, made from settings. A new one needs an entry in the table
// of optimizers.cpp and no more.
#pragma once

#include <torch/optim/optimizer.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/settings.hpp"

namespace examples {

// Each optimizer reads those that it has and ignores the others.
struct OptimizerSettings {
  // "ivon" (with AdamW's numbers), "ivon-paper" (the paper's parametrisation), "adamw", "sgd",
  // "lion" or "novograd"
  std::string name;
  double lr = 0.1;          // >= 0
  double weight_decay = 0;  // >= 0; ivon, AdamW: decoupled; ivon-paper, SGD: added to the gradient
  double beta1 = 0.9;       // [0, 1): decay of the momentum (SGD: the momentum)
  double beta2 = 0.999;     // [0, 1): decay of the squared gradient; ivon-paper: of the Hessian
  double ess = 0;           // IVON: effective sample size, > 0; the examples replace a 0
  double hess_init = 1;     // ivon-paper: initial Hessian, > 0
  double clip_radius = std::numeric_limits<double>::infinity();  // ivon-paper: bound on a step
  bool rescale_lr = true;                                        // ivon-paper: lr times hess_init
  double noise_max = std::numeric_limits<double>::infinity();    // IVON: bound on a weight's noise
  bool sample_on_step = false;                                   // IVON: step() draws a sample
};

// The usual settings of the optimizer `name`. Throws std::invalid_argument listing the names that
// there are.
OptimizerSettings optimizer_settings(const std::string& name);

std::vector<std::string> optimizer_names();

// Declares those settings that the optimizer s.name has, with the names <prefix>lr,
// <prefix>weight-decay and so on, all of Effect::kTraining.
void add_optimizer(Settings& settings, OptimizerSettings& s, const std::string& prefix = "");

// For an example whose user picks the optimizer: declares --optimizer, which also sets all of `s`
// to usual(name), and the settings of all optimizers.
void add_optimizer_choice(
    Settings& settings, OptimizerSettings& s,
    const std::function<OptimizerSettings(const std::string& name)>& usual = optimizer_settings);

// The names that add_optimizer() declares: to leave them out of another optimizer's fingerprint.
std::vector<std::string> optimizer_setting_names(const OptimizerSettings& s,
                                                 const std::string& prefix = "");

// Throws std::invalid_argument for an unknown name; an optimizer refuses settings out of range with
// a c10::Error or std::invalid_argument of its own.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const OptimizerSettings& s,
                                                        std::vector<torch::Tensor> parameters);

// Parameters, and whether the weight decay of the settings holds for them or is 0.
struct ParameterGroup {
  std::vector<torch::Tensor> parameters;
  bool decays = true;
};

// The same with a group of the optimizer for each of `groups`.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const OptimizerSettings& s,
                                                        std::vector<ParameterGroup> groups);

// Two groups: the parameters with two or more dimensions decay, and the others (biases, the factors
// of layer norms) do not, as it is usual for transformers.
std::vector<ParameterGroup> decay_matrices(const std::vector<torch::Tensor>& parameters);

// `optimizer` as IVON, or null if it is another.
ivon::IVON<>* as_ivon(torch::optim::Optimizer& optimizer);

}  // namespace examples
