// SPDX-License-Identifier: Apache-2.0
// The parameters and options of an optimizer as its groups list them at this moment.
#pragma once

#include <torch/optim/optimizer.h>

#include <ivon/detail/parameter_checks.hpp>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/options.hpp>
#include <ivon/version.hpp>
#include <string>
#include <unordered_map>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The distinct tensors of each group, numbered in order. C++ `parameters()` lists tied weights
/// twice: within a group the second mention is skipped, in another group it is an error.
inline std::vector<std::vector<ParameterRef>> list_parameters(
    const std::vector<torch::optim::OptimizerParamGroup>& groups) {
  std::vector<std::vector<ParameterRef>> lists(groups.size());
  std::unordered_map<at::TensorImpl*, ParameterRef> seen;
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const at::Tensor& tensor : groups[g].params()) {
      const ParameterRef ref{tensor, g, static_cast<int64_t>(seen.size())};
      TORCH_CHECK(tensor.defined(), "ivon: ", ref.describe(),
                  " is an undefined tensor; pass initialised parameters");
      const auto [earlier, is_new] = seen.try_emplace(tensor.unsafeGetTensorImpl(), ref);
      TORCH_CHECK(is_new || earlier->second.group == g, "ivon: ", earlier->second.describe(),
                  " is in group ", g, " too; list it in one group only");
      if (is_new) lists[g].push_back(ref);
    }
  }
  return lists;
}

inline std::vector<ParameterRef> flattened(const std::vector<std::vector<ParameterRef>>& lists) {
  std::vector<ParameterRef> refs;
  for (const auto& list : lists) refs.insert(refs.end(), list.begin(), list.end());
  return refs;
}

/// Whether the groups still list the very tensors of `listed`, repetitions included.
inline bool list_same_tensors(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                              const std::vector<const at::TensorImpl*>& listed) {
  size_t i = 0;
  for (const auto& group : groups) {
    for (const at::Tensor& tensor : group.params()) {
      if (i == listed.size() || tensor.unsafeGetTensorImpl() != listed[i++]) return false;
    }
    if (i == listed.size() || listed[i++] != nullptr) return false;  // the group's end
  }
  return i == listed.size();
}

/// What `list_same_tensors` compares with: addresses, and nullptr after each group.
inline std::vector<const at::TensorImpl*> listed_tensors(
    const std::vector<torch::optim::OptimizerParamGroup>& groups) {
  std::vector<const at::TensorImpl*> listed;
  for (const auto& group : groups) {
    for (const at::Tensor& tensor : group.params()) listed.push_back(tensor.unsafeGetTensorImpl());
    listed.push_back(nullptr);
  }
  return listed;
}

/// The options of a group, complete: what it does not set is the optimizer's. Throws where they are
/// of another optimizer or differ where all groups must agree.
inline IVONOptions complete_options(const torch::optim::OptimizerOptions& group_options,
                                    const IVONOptions& defaults, size_t group) {
  const std::string where = "parameter group " + std::to_string(group) + ": ";
  const auto* typed = dynamic_cast<const IVONOptions*>(&group_options);
  TORCH_CHECK(typed, "ivon: ", where,
              "its options must be ivon::IVONOptions, got those of another optimizer; pass "
              "std::make_unique<ivon::IVONOptions>(...)");
  IVONOptions options = *typed;
  options.inherit(defaults);
  options.validate(where);
  TORCH_CHECK(options.mc_samples() == defaults.mc_samples(), "ivon: ", where,
              "mc_samples must be the optimizer's ", defaults.mc_samples(), ", got ",
              options.mc_samples(), "; all groups are sampled together");
  TORCH_CHECK(options.sample_on_step() == defaults.sample_on_step(), "ivon: ", where,
              "sample_on_step must be the optimizer's ",
              defaults.sample_on_step() ? "true" : "false",
              ", got the opposite; all groups are sampled together");
  TORCH_CHECK(options.capturable() == defaults.capturable(), "ivon: ", where,
              "capturable must be the optimizer's ", defaults.capturable() ? "true" : "false",
              ", got the opposite; one graph holds all groups");
  return options;
}

inline PosteriorScale posterior_scale(const IVONOptions& options) {
  return {options.ess(), options.weight_decay(), options.hess_init()};
}

}  // namespace detail
IVON_NAMESPACE_END
