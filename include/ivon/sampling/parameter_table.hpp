// SPDX-License-Identifier: Apache-2.0
// Keeps the parameters of one optimizer as its groups listed them when they were last read, and one
// slot with data for each tensor. Every look-up takes constant time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ivon/sampling/parameter_list.hpp>
#include <ivon/sampling/sample.hpp>
#include <ivon/sampling/work_count.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

using ParamGroups = std::vector<torch::optim::OptimizerParamGroup>;

class ParameterTable {
 public:
  /// The distinct parameters of all groups, frozen ones included, and the slot of each.
  const std::vector<ParameterRef>& refs() const { return refs_; }
  const std::vector<ParameterSlot*>& slots() const { return listed_slots_; }

  /// Returns the slot of a tensor, or nullptr if no group has listed the tensor so far.
  ParameterSlot* find(const at::Tensor& tensor) {
    IVON_DETAIL_COUNT(1);
    const auto found = slots_.find(tensor.unsafeGetTensorImpl());
    return found == slots_.end() ? nullptr : &found->second;
  }

  /// Whether the groups still list exactly the tensors that this table was given.
  bool is_list_of(const ParamGroups& groups) const { return list_same_tensors(groups, listed_); }

  /// Returns the entry of a tensor if the groups still list the tensor at the place in the entry,
  /// and nothing otherwise.
  std::optional<ParameterRef> place_of(const at::Tensor& tensor, const ParamGroups& groups) {
    const ParameterSlot* slot = find(tensor);
    if (slot == nullptr || slot->ref.group >= groups.size()) return {};
    const auto& params = groups[slot->ref.group].params();
    if (slot->ref.position >= params.size()) return {};
    if (!params[slot->ref.position].is_same(tensor)) return {};
    return slot->ref;
  }

  /// Returns the parameters `added`, which the groups do not list yet, and all parameters of the
  /// groups that had the storage of one of them when they were first listed. Parameters that came
  /// to share memory in another way are found before the next sample.
  std::vector<ParameterRef> with_neighbours(const std::vector<ParameterRef>& added,
                                            const ParamGroups& groups) {
    std::vector<ParameterRef> refs = added;
    std::unordered_set<const void*> looked_at;
    for (const ParameterRef& ref : added) {
      const void* storage = ref.tensor.storage().unsafeGetStorageImpl();
      const auto slots = on_storage_.find(storage);
      if (slots == on_storage_.end() || !looked_at.insert(storage).second) continue;
      IVON_DETAIL_COUNT(slots->second.size());
      for (const ParameterSlot* slot : slots->second) {
        if (const auto place = place_of(slot->ref.tensor, groups)) refs.push_back(*place);
      }
    }
    return refs;
  }

  /// Replaces the list by the parameters of all groups.
  void list(std::vector<ParameterRef> refs, const ParamGroups& groups) {
    refs_.clear();
    listed_slots_.clear();
    listed_.clear();
    for (auto& entry : slots_) entry.second.listed = false;
    may_have_unlisted_ = true;
    append(std::move(refs), groups);
  }
  /// Adds the parameters of further groups to the list.
  void append(std::vector<ParameterRef> refs, const ParamGroups& groups) {
    IVON_DETAIL_COUNT(refs.size());
    for (ParameterRef& ref : refs) {
      listed_slots_.push_back(&take(ref));
      refs_.push_back(std::move(ref));
    }
    append_listed_tensors(groups, listed_);
  }

  /// Removes the slots of tensors that no group lists and nobody else holds, and frees the buffers
  /// of unlisted tensors that somebody else still holds. Calls forget(key) for each tensor whose
  /// slot is removed. Must not be called while a sample waits for its step.
  template <class Forget>
  void free_unlisted(const Forget& forget) {
    if (!std::exchange(may_have_unlisted_, false)) return;
    // The slot holds one reference to the tensor, and its buffers hold another. A sample that
    // contains the tensor would hold one more.
    constexpr size_t kOwnReferences = 2;
    for (auto entry = slots_.begin(); entry != slots_.end();) {
      ParameterSlot& slot = entry->second;
      if (slot.listed || slot.buffers.shown()) {
        ++entry;
      } else if (slot.ref.tensor.use_count() > kOwnReferences) {
        slot.free_memory();
        ++entry;
      } else {
        auto& neighbours = on_storage_[slot.first_storage];
        neighbours.erase(std::remove(neighbours.begin(), neighbours.end(), &slot),
                         neighbours.end());
        if (neighbours.empty()) on_storage_.erase(slot.first_storage);
        forget(entry->first);
        entry = slots_.erase(entry);
      }
    }
  }

  template <class Visit>
  void for_each_slot(const Visit& visit) {
    for (auto& entry : slots_) visit(entry.second);
  }

 private:
  ParameterSlot& take(const ParameterRef& ref) {
    const auto [entry, is_new] = slots_.try_emplace(ref.tensor.unsafeGetTensorImpl(), ref);
    ParameterSlot& slot = entry->second;
    if (is_new) on_storage_[slot.first_storage].push_back(&slot);
    slot.ref = ref;
    slot.listed = true;
    return slot;
  }

  std::vector<ParameterRef> refs_;
  std::vector<ParameterSlot*> listed_slots_;
  std::vector<const at::TensorImpl*> listed_;  // tensors that the groups listed, with repetitions
  std::unordered_map<at::TensorImpl*, ParameterSlot> slots_;
  std::unordered_map<const void*, std::vector<ParameterSlot*>> on_storage_;
  bool may_have_unlisted_ = false;
};

}  // namespace detail
IVON_NAMESPACE_END
