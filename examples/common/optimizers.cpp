// SPDX-License-Identifier: Apache-2.0
#include "common/optimizers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

#include "common/optimizers/lion.hpp"
#include "common/optimizers/novograd.hpp"

template class ivon::IVON<ivon::PriceEstimator>;

namespace examples {
namespace {

using Parameters = std::vector<torch::Tensor>;
using OptimizerPtr = std::unique_ptr<torch::optim::Optimizer>;

torch::optim::AdamWOptions adamw_options(const OptimizerSettings& s) {
  return torch::optim::AdamWOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay);
}

OptimizerPtr make_ivon(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<ivon::IVON<>>(std::move(parameters),
                                        ivon::IVONOptions::like_adamw(adamw_options(s), s.ess)
                                            .noise_max(s.noise_max)
                                            .sample_on_step(s.sample_on_step));
}

OptimizerPtr make_ivon_paper(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<ivon::IVON<>>(std::move(parameters),
                                        ivon::IVONOptions(s.lr)
                                            .ess(s.ess)
                                            .hess_init(s.hess_init)
                                            .beta1(s.beta1)
                                            .beta2(s.beta2)
                                            .weight_decay(s.weight_decay)
                                            .clip_radius(s.clip_radius)
                                            .noise_max(s.noise_max)
                                            .sample_on_step(s.sample_on_step));
}

OptimizerPtr make_adamw(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<torch::optim::AdamW>(std::move(parameters), adamw_options(s));
}

OptimizerPtr make_sgd(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<torch::optim::SGD>(
      std::move(parameters),
      torch::optim::SGDOptions(s.lr).momentum(s.beta1).weight_decay(s.weight_decay));
}

OptimizerPtr make_lion(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<Lion>(
      std::move(parameters),
      LionOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay));
}

OptimizerPtr make_novograd(const OptimizerSettings& s, Parameters parameters) {
  return std::make_unique<NovoGrad>(
      std::move(parameters),
      NovoGradOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay));
}

struct Entry {
  OptimizerSettings usual;
  std::vector<std::string> names;  // of the settings that it has
  std::function<OptimizerPtr(const OptimizerSettings&, Parameters)> make;
};

OptimizerSettings usual(const std::string& name, double lr, double weight_decay, double beta2) {
  OptimizerSettings s;
  s.name = name;
  s.lr = lr;
  s.weight_decay = weight_decay;
  s.beta2 = beta2;
  return s;
}

OptimizerSettings usual_ivon() {
  OptimizerSettings s = usual("ivon", 1e-3, 1e-2, 0.999);
  s.noise_max = ivon::IVONOptions::like_adamw(s.lr, /*ess=*/1).noise_max();
  s.sample_on_step = true;
  return s;
}

OptimizerSettings usual_novograd() {
  OptimizerSettings s = usual("novograd", 1e-2, 1e-3, 0.98);
  s.beta1 = 0.95;
  return s;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {usual_ivon(),
       {"lr", "ess", "beta1", "beta2", "weight-decay", "noise-max", "sample-on-step"},
       make_ivon},
      {usual("ivon-paper", 0.1, 1e-4, 0.99999),
       {"lr", "ess", "hess-init", "beta1", "beta2", "weight-decay", "clip-radius", "noise-max",
        "sample-on-step"},
       make_ivon_paper},
      {usual("adamw", 1e-3, 1e-2, 0.999), {"lr", "beta1", "beta2", "weight-decay"}, make_adamw},
      {usual("sgd", 0.1, 1e-4, 0.999), {"lr", "beta1", "weight-decay"}, make_sgd},
      {usual("lion", 1e-4, 0.1, 0.99), {"lr", "beta1", "beta2", "weight-decay"}, make_lion},
      {usual_novograd(), {"lr", "beta1", "beta2", "weight-decay"}, make_novograd},
  };
  return all;
}

const Entry& entry(const std::string& name) {
  for (const Entry& e : entries()) {
    if (e.usual.name == name) return e;
  }
  throw std::invalid_argument(fmt::format("the optimizer must be one of {}, got '{}'",
                                          fmt::join(optimizer_names(), ", "), name));
}

void add_named(Settings& settings, OptimizerSettings& s, const std::vector<std::string>& names,
               const std::string& prefix, const std::string& title) {
  const auto add = [&](const char* name, auto& value, const char* help) {
    if (std::find(names.begin(), names.end(), name) == names.end()) return;
    settings.add(prefix + name, value, title + help, Effect::kTraining);
  };
  add("lr", s.lr, "learning rate");
  add("ess", s.ess, "effective sample size; 0 = number of training examples");
  add("hess-init", s.hess_init, "initial Hessian");
  add("beta1", s.beta1, "decay of the momentum");
  add("beta2", s.beta2, "decay of the second moment or Hessian");
  add("weight-decay", s.weight_decay, "weight decay");
  add("clip-radius", s.clip_radius, "bound on each element of a step; inf = none");
  add("noise-max", s.noise_max, "bound on the standard deviation of a weight; inf = none");
  add("sample-on-step", s.sample_on_step, "step() draws the next sample; the same training");
}

}  // namespace

OptimizerSettings optimizer_settings(const std::string& name) { return entry(name).usual; }

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const Entry& e : entries()) names.push_back(e.usual.name);
  return names;
}

void add_optimizer(Settings& settings, OptimizerSettings& s, const std::string& prefix) {
  add_named(settings, s, entry(s.name).names, prefix, s.name + ": ");
}

void add_optimizer_choice(Settings& settings, OptimizerSettings& s) {
  settings.add("optimizer", s.name, "sets the settings below to its usual ones as well",
               Effect::kTraining, CLI::IsMember(optimizer_names()));
  settings.on_change("optimizer", [&s] { s = optimizer_settings(s.name); });
  std::vector<std::string> names;
  for (const Entry& e : entries()) names.insert(names.end(), e.names.begin(), e.names.end());
  add_named(settings, s, names, "", "");
}

std::vector<std::string> optimizer_setting_names(const OptimizerSettings& s,
                                                 const std::string& prefix) {
  std::vector<std::string> names;
  for (const std::string& name : entry(s.name).names) names.push_back(prefix + name);
  return names;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const OptimizerSettings& s,
                                                        std::vector<torch::Tensor> parameters) {
  return entry(s.name).make(s, std::move(parameters));
}

ivon::IVON<>* as_ivon(torch::optim::Optimizer& optimizer) {
  return dynamic_cast<ivon::IVON<>*>(&optimizer);
}

}  // namespace examples
