// SPDX-License-Identifier: Apache-2.0
// Lists the parameters and options of an optimizer as its groups hold them at this moment.
#pragma once

#include <torch/optim/optimizer.h>

#include <ivon/options.hpp>
#include <ivon/sampling/parameter_checks.hpp>
#include <ivon/sampling/work_count.hpp>
#include <ivon/version.hpp>
#include <string>
#include <unordered_map>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

[[noreturn]] inline void refuse_second_group(const ParameterRef& ref, size_t second_group) {
  TORCH_CHECK(false, "ivon: ", ref.describe(), " is in group ", second_group,
              " too; list it in one group only");
}

/// Returns the distinct tensors of each group, numbered in order. In C++, parameters() of a module
/// lists tied weights twice. A repetition within a group is skipped; a tensor that is listed in two
/// groups is an error. `first_group` and `first_index` are the numbers of the first group and the
/// first tensor.
inline std::vector<std::vector<ParameterRef>> list_parameters(
    const std::vector<torch::optim::OptimizerParamGroup>& groups, size_t first_group = 0,
    int64_t first_index = 0) {
  std::vector<std::vector<ParameterRef>> lists(groups.size());
  struct Place {
    size_t group;
    int64_t index;
  };
  std::unordered_map<at::TensorImpl*, Place> seen;
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto& tensors = groups[g].params();
    IVON_DETAIL_COUNT(tensors.size());
    for (size_t position = 0; position < tensors.size(); ++position) {
      const at::Tensor& tensor = tensors[position];
      const Place here{first_group + g, first_index + static_cast<int64_t>(seen.size())};
      TORCH_CHECK(tensor.defined(),
                  "ivon: ", ParameterRef{tensor, here.group, here.index, position}.describe(),
                  " is an undefined tensor; pass initialised parameters");
      const auto [earlier, is_new] = seen.try_emplace(tensor.unsafeGetTensorImpl(), here);
      if (is_new) {
        lists[g].push_back({tensor, here.group, here.index, position});
      } else if (earlier->second.group != here.group) {
        refuse_second_group({tensor, earlier->second.group, earlier->second.index, 0}, here.group);
      }
    }
  }
  return lists;
}

inline std::vector<ParameterRef> flattened(const std::vector<std::vector<ParameterRef>>& lists) {
  std::vector<ParameterRef> refs;
  for (const auto& list : lists) refs.insert(refs.end(), list.begin(), list.end());
  return refs;
}

/// Whether the groups list exactly the tensors of `listed`, in the same order and with the same
/// repetitions.
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

/// Appends to `listed` what `list_same_tensors` compares with: the address of each tensor, and
/// nullptr after each group.
inline void append_listed_tensors(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                                  std::vector<const at::TensorImpl*>& listed) {
  for (const auto& group : groups) {
    for (const at::Tensor& tensor : group.params()) listed.push_back(tensor.unsafeGetTensorImpl());
    listed.push_back(nullptr);
  }
}

/// Returns the options of a group. Throws if the group has none or those of another optimizer. The
/// message begins with `where`.
inline const IVONOptions& ivon_options_of(const torch::optim::OptimizerParamGroup& group,
                                          const std::string& where) {
  TORCH_CHECK(group.has_options(), "ivon: ", where,
              "it must have options, got none; pass std::make_unique<ivon::IVONOptions>(...)");
  const auto* options = dynamic_cast<const IVONOptions*>(&group.options());
  TORCH_CHECK(options, "ivon: ", where,
              "its options must be ivon::IVONOptions, got those of another optimizer; pass "
              "std::make_unique<ivon::IVONOptions>(...)");
  return *options;
}

inline std::string group_name(size_t number) {
  return "parameter group " + std::to_string(number) + ": ";
}

/// Returns the options of a group; those that the group does not set come from `defaults`. Throws
/// if they are the options of another optimizer, or if an option differs that must be equal in all
/// groups.
inline IVONOptions complete_options(const torch::optim::OptimizerParamGroup& group,
                                    const IVONOptions& defaults, size_t number) {
  const std::string where = group_name(number);
  const IVONOptions& group_options = ivon_options_of(group, where);
  group_options.refuse_foreign_writes(where);
  IVONOptions options = group_options;
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

}  // namespace detail
IVON_NAMESPACE_END
