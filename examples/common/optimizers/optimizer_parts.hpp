// SPDX-License-Identifier: Apache-2.0
// What the optimizers of this folder share: checks of options, parameter groups, the closure, the
// tensors that a step changes, and loading.
#pragma once

#include <fmt/format.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/serialize.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace examples {

// Throws std::invalid_argument unless `value` is finite and at least 0.
inline void require_not_negative(const char* optimizer, const char* option, double value) {
  if (std::isfinite(value) && value >= 0) return;
  throw std::invalid_argument(
      fmt::format("{}: {} must be finite and at least 0, got {}; set another {}", optimizer, option,
                  value, option));
}

// Throws std::invalid_argument unless `value` is finite and above 0.
inline void require_positive(const char* optimizer, const char* option, double value) {
  if (std::isfinite(value) && value > 0) return;
  throw std::invalid_argument(
      fmt::format("{}: {} must be finite and above 0, got {}; set another {}", optimizer, option,
                  value, option));
}

// Throws std::invalid_argument unless 0 <= value < 1.
inline void require_decay(const char* optimizer, const char* option, double value) {
  if (value >= 0 && value < 1) return;
  throw std::invalid_argument(
      fmt::format("{}: {} must be at least 0 and below 1, got {}; set "
                  "another {}",
                  optimizer, option, value, option));
}

// Adds a parameter group. LibTorch's own function would replace the options of the group by the
// optimizer's defaults, as of LibTorch 2.13, because it knows only its own types of options.
// `check(options)` throws if they are out of range. Throws std::invalid_argument for options of
// another optimizer. After an error the optimizer is as it was.
template <class Options, class Check>
void add_group(torch::optim::Optimizer& optimizer, const torch::optim::OptimizerParamGroup& group,
               const char* name, Check&& check) {
  if (group.has_options()) {
    const auto* options = dynamic_cast<const Options*>(&group.options());
    if (options == nullptr) {
      throw std::invalid_argument(fmt::format(
          "{0}: the options of a parameter group must be {0}Options, got those of another "
          "optimizer; make them {0}Options",
          name));
    }
    check(*options);
  }
  optimizer.add_param_group(group);
  if (group.has_options()) optimizer.param_groups().back().set_options(group.options().clone());
}

// The loss that `closure` returns, computed with gradients; undefined without a closure.
inline torch::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure) {
  if (closure == nullptr) return {};
  const at::AutoGradMode with_gradients(true);
  return closure();
}

// The parameters of a group that have a gradient. All three lists have the same length.
template <class State>
struct Updated {
  std::vector<torch::Tensor> parameters, gradients;
  std::vector<State*> states;

  // One tensor of each state, selected by its accessor: buffers(&LionParamState::exp_avg).
  std::vector<torch::Tensor> buffers(torch::Tensor& (State::*accessor)() noexcept) const {
    std::vector<torch::Tensor> list;
    list.reserve(states.size());
    for (State* state : states) list.push_back((state->*accessor)());
    return list;
  }
};

// Collects them. `make_state(parameter)` returns the State of a parameter that gets its first
// gradient. Throws std::invalid_argument for a sparse gradient.
template <class State, class MakeState>
Updated<State> updated_parameters(torch::optim::Optimizer& optimizer,
                                  const torch::optim::OptimizerParamGroup& group, const char* name,
                                  MakeState&& make_state) {
  Updated<State> updated;
  for (const torch::Tensor& parameter : group.params()) {
    const torch::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    if (gradient.layout() != torch::kStrided) {
      throw std::invalid_argument(fmt::format(
          "{}: gradients must be dense, got a sparse one for a parameter with {} elements; make "
          "its layer with sparse(false)",
          name, parameter.numel()));
    }
    auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
    if (state == nullptr) state = std::make_unique<State>(make_state(parameter));
    updated.parameters.push_back(parameter);
    updated.gradients.push_back(gradient);
    updated.states.push_back(static_cast<State*>(state.get()));
  }
  return updated;
}

// Replaces the optimizer's state and options by those in `archive`. LibTorch's own function keeps
// the state of a parameter that has none in the archive; here it has none afterwards either. After
// an error the state is as it was.
template <class State, class Options>
void load_state(torch::optim::Optimizer& optimizer, torch::serialize::InputArchive& archive) {
  auto previous = std::move(optimizer.state());
  optimizer.state().clear();
  try {
    torch::optim::serialize<State, Options>(archive, optimizer);
  } catch (...) {
    optimizer.state() = std::move(previous);
    throw;
  }
}

}  // namespace examples
