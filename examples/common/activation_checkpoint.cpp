// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing as one node of the autograd graph. Its inputs are the function's input
// and all parameters that the function uses, so that it behaves as the function's own graph would,
// also in torch::autograd::grad() and with parameters that need no gradient.
#include "common/activation_checkpoint.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/custom_class.h>
#include <torch/torch.h>

#include <cstddef>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <unordered_set>
#include <utility>
#include <vector>

namespace examples {
namespace {

using torch::autograd::variable_list;

at::Generator checkpoint_generator(const at::Device& device) {
  return at::globalContext().defaultGenerator(device);
}

torch::Tensor checkpoint_generator_state(const at::Device& device) {
  at::Generator generator = checkpoint_generator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_checkpoint_generator_state(const at::Device& device, const torch::Tensor& state) {
  at::Generator generator = checkpoint_generator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// In its scope a device's default generator repeats what it drew from `state` on; afterwards it
// goes on as if nothing had been drawn. Without a state nothing changes.
class CheckpointRandom {
 public:
  CheckpointRandom(const at::Device& device, const torch::Tensor& state) : device_(device) {
    if (!state.defined()) return;
    before_ = checkpoint_generator_state(device);
    set_checkpoint_generator_state(device, state);
  }
  ~CheckpointRandom() {
    if (before_.defined()) set_checkpoint_generator_state(device_, before_);
  }
  CheckpointRandom(const CheckpointRandom&) = delete;
  CheckpointRandom& operator=(const CheckpointRandom&) = delete;

 private:
  at::Device device_;
  torch::Tensor before_;
};

struct CheckpointAutocast {
  bool enabled = false, cache = false;
  at::ScalarType dtype = at::kFloat;
};

CheckpointAutocast current_autocast(at::DeviceType device) {
  return {at::autocast::is_autocast_enabled(device), at::autocast::is_autocast_cache_enabled(),
          at::autocast::get_autocast_dtype(device)};
}

void set_autocast(at::DeviceType device, const CheckpointAutocast& to) {
  at::autocast::set_autocast_enabled(device, to.enabled);
  at::autocast::set_autocast_cache_enabled(to.cache);
  at::autocast::set_autocast_dtype(device, to.dtype);
}

// In its scope autocast is as it was when the state was taken, but without the cache of converted
// parameters: it could hold results of the graph of the first run, which is gone.
class CheckpointAutocastScope {
 public:
  CheckpointAutocastScope(at::DeviceType device, CheckpointAutocast state)
      : device_(device), before_(current_autocast(device)) {
    state.cache = false;
    set_autocast(device, state);
  }
  ~CheckpointAutocastScope() { set_autocast(device_, before_); }
  CheckpointAutocastScope(const CheckpointAutocastScope&) = delete;
  CheckpointAutocastScope& operator=(const CheckpointAutocastScope&) = delete;

 private:
  at::DeviceType device_;
  CheckpointAutocast before_;
};

// What the second run needs, besides the input, in order to be as the first one.
struct CheckpointRun : torch::CustomClassHolder {
  std::function<torch::Tensor(const torch::Tensor&)> function;
  torch::Tensor output;      // of the first run, until the node has taken it
  torch::Tensor cpu_random;  // the CPU generator's state; undefined if nothing was drawn
  torch::Tensor gpu_random;  // the state of the input's CUDA device; undefined on the CPU
  CheckpointAutocast autocast;
};

// A leaf with the values of `input`, which requires a gradient if `input` does.
torch::Tensor checkpoint_leaf(const torch::Tensor& input) {
  return input.detach().set_requires_grad(input.requires_grad());
}

// The leaves, without `input`, on which `output` depends.
variable_list checkpoint_parameters(const torch::Tensor& output, const torch::Tensor& input) {
  variable_list parameters;
  std::unordered_set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open = {output.grad_fn().get()};
  while (!open.empty()) {
    torch::autograd::Node* const node = open.back();
    open.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    if (const auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(node)) {
      if (!leaf->variable.is_same(input)) parameters.push_back(leaf->variable);
    }
    for (const torch::autograd::Edge& edge : node->next_edges()) {
      open.push_back(edge.function.get());
    }
  }
  return parameters;
}

struct CheckpointNode : torch::autograd::Function<CheckpointNode> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const c10::intrusive_ptr<CheckpointRun>& run,
                               const torch::Tensor& input, at::TensorList parameters) {
    variable_list saved = {input};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(saved);
    context->saved_data["run"] = torch::IValue::make_capsule(run);
    return std::exchange(run->output, torch::Tensor());
  }

  static variable_list backward(torch::autograd::AutogradContext* context,
                                variable_list gradients) {
    if (torch::GradMode::is_enabled()) {
      throw std::logic_error(
          "activation checkpointing: gradients of gradients are not supported, but the backward "
          "pass was started with create_graph; call the function without checkpointed()");
    }
    const variable_list saved = context->get_saved_variables();
    const auto run =
        c10::static_intrusive_pointer_cast<CheckpointRun>(context->saved_data["run"].toCapsule());
    variable_list inputs = saved;
    inputs[0] = checkpoint_leaf(saved[0]);
    const torch::Tensor output = run_again(*run, inputs[0]);
    variable_list result(inputs.size() + 1);  // the first is for `run`, which has no gradient
    variable_list wanted;
    std::vector<size_t> places;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].requires_grad() || !context->needs_input_grad(i)) continue;
      wanted.push_back(inputs[i]);
      places.push_back(i + 1);
    }
    if (wanted.empty()) return result;
    const variable_list found = torch::autograd::grad(
        {output}, wanted, {gradients[0]}, /*retain_graph=*/std::nullopt, /*create_graph=*/false,
        /*allow_unused=*/true);
    for (size_t i = 0; i < found.size(); ++i) result[places[i]] = found[i];
    return result;
  }

  static torch::Tensor run_again(const CheckpointRun& run, const torch::Tensor& input) {
    const torch::AutoGradMode with_gradients(true);
    const CheckpointRandom cpu(at::kCPU, run.cpu_random);
    const CheckpointRandom gpu(input.device(), run.gpu_random);
    const CheckpointAutocastScope autocast(input.device().type(), run.autocast);
    return run.function(input);
  }
};

}  // namespace

torch::Tensor checkpointed(const std::function<torch::Tensor(const torch::Tensor&)>& function,
                           const torch::Tensor& input) {
  if (!torch::GradMode::is_enabled()) return function(input);
  const auto run = c10::make_intrusive<CheckpointRun>();
  run->function = function;
  run->autocast = current_autocast(input.device().type());
  run->cpu_random = checkpoint_generator_state(at::kCPU);
  if (input.is_cuda()) run->gpu_random = checkpoint_generator_state(input.device());
  variable_list parameters;
  {
    // The first run makes a graph too, which tells the parameters, and which ends with this block.
    const torch::Tensor leaf = checkpoint_leaf(input);
    const torch::Tensor output = function(leaf);
    if (!output.requires_grad()) return output;  // nothing of it will be computed again
    parameters = checkpoint_parameters(output, leaf);
    run->output = output.detach();
  }
  if (torch::equal(run->cpu_random, checkpoint_generator_state(at::kCPU))) run->cpu_random.reset();
  return CheckpointNode::apply(run, input, at::TensorList(parameters));
}

}  // namespace examples
