// SPDX-License-Identifier: Apache-2.0
#include "common/optimizers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "common/optimizers/lion.hpp"
#include "common/optimizers/novograd.hpp"

template class ivon::IVON<ivon::PriceEstimator>;

namespace examples {
namespace {

using Groups = std::vector<ParameterGroup>;
using OptimizerPtr = std::unique_ptr<torch::optim::Optimizer>;

// An optimizer with one LibTorch group for each of `groups`; `options` makes the options of one
// from settings.
template <class Optimizer, class MakeOptions>
OptimizerPtr with_groups(const OptimizerSettings& s, Groups groups, const MakeOptions& options) {
  using Options = decltype(options(s));
  OptimizerSettings undecayed = s;
  undecayed.weight_decay = 0;
  std::vector<torch::optim::OptimizerParamGroup> all;
  for (ParameterGroup& group : groups) {
    all.emplace_back(std::move(group.parameters),
                     std::make_unique<Options>(options(group.decays ? s : undecayed)));
  }
  auto optimizer = std::make_unique<Optimizer>(std::move(all), options(s));
  if constexpr (!std::is_same_v<Options, ivon::IVONOptions>) {
    // LibTorch takes a value that is its class's default, such as SGD's weight decay of 0, for one
    // that was not set, and puts the optimizer's in its place.
    for (size_t i = 0; i < groups.size(); ++i) {
      optimizer->param_groups()[i].set_options(
          std::make_unique<Options>(options(groups[i].decays ? s : undecayed)));
    }
  }
  return optimizer;
}

torch::optim::AdamWOptions adamw_options(const OptimizerSettings& s) {
  return torch::optim::AdamWOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay);
}

ivon::IVONOptions ivon_options(const OptimizerSettings& s) {
  return ivon::IVONOptions::like_adamw(adamw_options(s), s.ess)
      .noise_max(s.noise_max)
      .sample_on_step(s.sample_on_step);
}

ivon::IVONOptions ivon_paper_options(const OptimizerSettings& s) {
  return ivon::IVONOptions(s.lr)
      .ess(s.ess)
      .hess_init(s.hess_init)
      .beta1(s.beta1)
      .beta2(s.beta2)
      .weight_decay(s.weight_decay)
      .clip_radius(s.clip_radius)
      .rescale_lr(s.rescale_lr)
      .noise_max(s.noise_max)
      .sample_on_step(s.sample_on_step);
}

torch::optim::SGDOptions sgd_options(const OptimizerSettings& s) {
  return torch::optim::SGDOptions(s.lr).momentum(s.beta1).weight_decay(s.weight_decay);
}

LionOptions lion_options(const OptimizerSettings& s) {
  return LionOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay);
}

NovoGradOptions novograd_options(const OptimizerSettings& s) {
  return NovoGradOptions(s.lr).betas({s.beta1, s.beta2}).weight_decay(s.weight_decay);
}

template <class Optimizer, auto kOptions>
OptimizerPtr make(const OptimizerSettings& s, Groups groups) {
  return with_groups<Optimizer>(s, std::move(groups), kOptions);
}

struct Entry {
  OptimizerSettings usual;
  std::vector<std::string> names;  // of the settings that it has
  OptimizerPtr (*make)(const OptimizerSettings&, Groups);
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
       make<ivon::IVON<>, ivon_options>},
      {usual("ivon-paper", 0.1, 1e-4, 0.99999),
       {"lr", "ess", "hess-init", "beta1", "beta2", "weight-decay", "clip-radius", "rescale-lr",
        "noise-max", "sample-on-step"},
       make<ivon::IVON<>, ivon_paper_options>},
      {usual("adamw", 1e-3, 1e-2, 0.999),
       {"lr", "beta1", "beta2", "weight-decay"},
       make<torch::optim::AdamW, adamw_options>},
      {usual("sgd", 0.1, 1e-4, 0.999),
       {"lr", "beta1", "weight-decay"},
       make<torch::optim::SGD, sgd_options>},
      {usual("lion", 1e-4, 0.1, 0.99),
       {"lr", "beta1", "beta2", "weight-decay"},
       make<Lion, lion_options>},
      {usual_novograd(),
       {"lr", "beta1", "beta2", "weight-decay"},
       make<NovoGrad, novograd_options>},
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
  add("ess", s.ess, "effective sample size; 0 = what suits the number of training examples");
  add("hess-init", s.hess_init, "initial Hessian");
  add("beta1", s.beta1, "decay of the momentum");
  add("beta2", s.beta2, "decay of the second moment or Hessian");
  add("weight-decay", s.weight_decay, "weight decay");
  add("clip-radius", s.clip_radius, "bound on each element of a step; inf = none");
  add("rescale-lr", s.rescale_lr, "multiply the learning rate by the initial Hessian");
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

void add_optimizer_choice(Settings& settings, OptimizerSettings& s,
                          const std::function<OptimizerSettings(const std::string& name)>& usual) {
  settings.add("optimizer", s.name, "sets the settings below to its usual ones as well",
               Effect::kTraining, CLI::IsMember(optimizer_names()));
  settings.on_change("optimizer", [&s, usual] { s = usual(s.name); });
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
  return make_optimizer(s, Groups{{std::move(parameters)}});
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const OptimizerSettings& s,
                                                        std::vector<ParameterGroup> groups) {
  return entry(s.name).make(s, std::move(groups));
}

std::vector<ParameterGroup> decay_matrices(const std::vector<torch::Tensor>& parameters) {
  std::vector<ParameterGroup> groups = {{{}, true}, {{}, false}};
  for (const torch::Tensor& parameter : parameters) {
    groups[parameter.dim() >= 2 ? 0 : 1].parameters.push_back(parameter);
  }
  return groups;
}

ivon::IVON<>* as_ivon(torch::optim::Optimizer& optimizer) {
  return dynamic_cast<ivon::IVON<>*>(&optimizer);
}

}  // namespace examples
