// SPDX-License-Identifier: Apache-2.0
// Lists the parameters of eager modules (torch::nn::Module) and of TorchScript modules
// (torch::jit::Module) in one form.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <ivon/version.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// A parameter of a module. A tensor that the module has under several names (a tied weight) is one
/// parameter with several names.
struct ModuleParameter {
  at::Tensor tensor;
  std::vector<std::string> names;  // at least one, in the module's order
};

// The items of torch::nn::Module::named_parameters() have key() and value(), those of
// torch::jit::Module::named_parameters() have the members name and value.
template <class Item>
auto name_and_tensor(const Item& item)
    -> decltype(std::pair<std::string, at::Tensor>(item.key(), item.value())) {
  return {item.key(), item.value()};
}
template <class Item>
auto name_and_tensor(const Item& item)
    -> decltype(std::pair<std::string, at::Tensor>(item.name, item.value)) {
  return {item.name, item.value};
}

/// Returns the distinct parameters of a module in the order of its named_parameters().
template <class Module>
std::vector<ModuleParameter> module_parameters(const Module& module) {
  std::vector<ModuleParameter> parameters;
  std::unordered_map<const at::TensorImpl*, size_t> places;
  for (const auto& item : module.named_parameters()) {
    auto [name, tensor] = name_and_tensor(item);
    const auto [place, is_new] =
        places.try_emplace(tensor.unsafeGetTensorImpl(), parameters.size());
    if (is_new) parameters.push_back({std::move(tensor), {}});
    parameters[place->second].names.push_back(std::move(name));
  }
  return parameters;
}

}  // namespace detail
IVON_NAMESPACE_END
