// SPDX-License-Identifier: Apache-2.0
// The parameters of one optimizer: the list that its groups gave when they were read last, and a
// slot for each tensor. Every look-up takes constant time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ivon/detail/parameter_list.hpp>
#include <ivon/detail/sample.hpp>
#include <ivon/detail/work_count.hpp>
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

  /// The slot of a tensor, nullptr before its first sight.
  ParameterSlot* find(const at::Tensor& tensor) {
    IVON_DETAIL_COUNT(1);
    const auto found = slots_.find(tensor.unsafeGetTensorImpl());
    return found == slots_.end() ? nullptr : &found->second;
  }

  /// Whether the groups list the very tensors that `list` was given last.
  bool is_list_of(const ParamGroups& groups) const { return list_same_tensors(groups, listed_); }

  /// The entry of a tensor where the groups list it at the place that was read last; else nothing.
  std::optional<ParameterRef> place_of(const at::Tensor& tensor, const ParamGroups& groups) {
    const ParameterSlot* slot = find(tensor);
    if (slot == nullptr || slot->ref.group >= groups.size()) return {};
    const auto& params = groups[slot->ref.group].params();
    if (slot->ref.position >= params.size()) return {};
    if (!params[slot->ref.position].is_same(tensor)) return {};
    return slot->ref;
  }

  /// `added`, none of which the groups list yet, and the parameters of the groups whose storage,
  /// when they were seen first, was that of one of them. Parameters that share memory in another
  /// way are found before the next sample.
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

  /// Takes the parameters of all groups in place of those that were listed before.
  void list(std::vector<ParameterRef> refs, const ParamGroups& groups) {
    refs_.clear();
    listed_slots_.clear();
    listed_.clear();
    for (auto& entry : slots_) entry.second.listed = false;
    may_have_unlisted_ = true;
    append(std::move(refs), groups);
  }
  /// Takes the parameters of more groups.
  void append(std::vector<ParameterRef> refs, const ParamGroups& groups) {
    IVON_DETAIL_COUNT(refs.size());
    for (ParameterRef& ref : refs) {
      listed_slots_.push_back(&take(ref));
      refs_.push_back(std::move(ref));
    }
    append_listed_tensors(groups, listed_);
  }

  /// Frees what is kept for tensors that no group lists and nobody else holds, and the buffers of
  /// those that somebody holds still. Calls forget(key) for each tensor that is no more. To be
  /// called when no sample waits for its step.
  template <class Forget>
  void free_unlisted(const Forget& forget) {
    if (!std::exchange(may_have_unlisted_, false)) return;
    // A slot and its buffers hold the tensor; a sample that it takes part in holds it as well.
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
  std::vector<const at::TensorImpl*> listed_;  // what the groups listed, repetitions included
  std::unordered_map<at::TensorImpl*, ParameterSlot> slots_;
  std::unordered_map<const void*, std::vector<ParameterSlot*>> on_storage_;
  bool may_have_unlisted_ = false;
};

}  // namespace detail
IVON_NAMESPACE_END
