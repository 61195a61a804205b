// SPDX-License-Identifier: Apache-2.0
// Shows samples in the module, restores the mean, and knows what became of each sample. The part of
// IVON that does not depend on the estimator; guards share it, so that they outlive the optimizer.
#pragma once

#include <ATen/autocast_mode.h>

#include <cstdint>
#include <ivon/detail/resident_sample.hpp>
#include <ivon/detail/sample.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

class SamplingCore {
 public:
  /// The slot of a tensor, nullptr before its first sight.
  ParameterSlot* find(const at::Tensor& tensor) {
    const auto found = slots_.find(tensor.unsafeGetTensorImpl());
    return found == slots_.end() ? nullptr : &found->second;
  }
  void add(const at::Tensor& tensor) { slots_.try_emplace(tensor.unsafeGetTensorImpl(), tensor); }

  Sample* live_sample() { return live_ ? &*live_ : nullptr; }
  Sample* pending() { return pending_ ? &*pending_ : nullptr; }
  ResidentSample& resident() { return resident_; }
  CudaMemory& cuda() { return cuda_; }
  int64_t harvested() const { return harvested_; }
  bool has_samples() const { return pending_ || harvested_ > 0; }

  /// Throws where a scope lives; `call` names what was asked for.
  void refuse_while_live(const char* call) const {
    TORCH_CHECK(!live_, "ivon: ", call,
                " must be called outside a sample, but one is shown; end the scope of "
                "sampled_params() first");
  }

  /// Reports once what went wrong where nothing could be thrown, or what others did to the module.
  void report_damage() {
    if (damage_.empty() && !live_) damage_ = resident_.absorb_writes();
    if (damage_.empty()) return;
    const std::string message = std::exchange(damage_, std::string());
    TORCH_CHECK(false, message);
  }

  /// Shows a sample whose values lie in the slots' buffers.
  void show(Sample sample) {
    const PlainTensors plain;
    at::autocast::clear_cache();
    size_t shown = 0;
    try {
      for (; shown < sample.parameters.size(); ++shown) {
        sample.parameters[shown].slot->buffers.show();
      }
    } catch (...) {
      while (shown-- > 0) sample.parameters[shown].slot->buffers.restore(false);
      throw;
    }
    // Parameters may share a version counter: read them when all are shown.
    for (DrawnParameter& drawn : sample.parameters) drawn.mark_shown();
    live_ = std::move(sample);
  }

  /// Shows the mean again. `drop`: an exception is leaving the scope. Does
  /// not throw; what should be known is said by the next call (`report_damage`).
  void end_scope(bool drop) noexcept {
    if (!live_) return;
    guarded([&] {
      const PlainTensors plain;
      for (DrawnParameter& drawn : live_->parameters) {
        drawn.written = version_of(drawn.ref.tensor) != drawn.version_shown;
      }
      restore_all();
      at::autocast::clear_cache();
      if (live_->training && !drop && live_->notice_gradients(damage_) && damage_.empty()) {
        pending_ = std::move(live_);
      }
    });
    live_.reset();
  }

  /// Ends what resident().need_mean() began. Does not throw.
  void end_mean() noexcept {
    guarded([&] { resident_.release_mean(); });
  }

  /// The pending sample's sums are in the slots.
  void count_harvested() {
    pending_.reset();
    ++harvested_;
  }
  /// Forgets every sample since the last step.
  void drop_samples() {
    pending_.reset();
    harvested_ = 0;
    for (auto& entry : slots_) entry.second.has_sums = false;
  }

  /// The sums at one moment, to come back to when a closure throws.
  struct Sums {
    int64_t harvested = 0;
    std::unordered_map<at::TensorImpl*, std::pair<at::Tensor, at::Tensor>> tensors;
  };
  Sums copy_sums() const {
    Sums sums{harvested_, {}};
    for (const auto& [key, slot] : slots_) {
      if (slot.has_sums) {
        sums.tensors[key] = {slot.gradient_sum.clone(), slot.statistic_sum.clone()};
      }
    }
    return sums;
  }
  void return_to(const Sums& sums) {
    drop_samples();
    harvested_ = sums.harvested;
    for (const auto& [key, tensors] : sums.tensors) {
      ParameterSlot& slot = slots_.at(key);
      slot.has_sums = true;
      slot.gradient_sum = tensors.first;
      slot.statistic_sum = tensors.second;
    }
  }

 private:
  template <class Work>
  void guarded(const Work& work) noexcept {
    try {
      work();
    } catch (const std::exception& error) {
      damage_ = std::string("ivon: the end of a sample failed: ") + error.what();
    }
  }

  void restore_all() noexcept {
    for (DrawnParameter& drawn : live_->parameters) {
      if (drawn.slot->buffers.restore(drawn.written) || !damage_.empty()) continue;
      damage_ = moved_message(drawn.ref);
    }
    for (DrawnParameter& drawn : live_->parameters) {
      drawn.version_restored = version_of(drawn.ref.tensor);
    }
  }

  std::unordered_map<at::TensorImpl*, ParameterSlot> slots_;
  CudaMemory cuda_;
  ResidentSample resident_{cuda_};  // ends before the slots that it refers to
  std::optional<Sample> live_;      // shown by a scope now
  std::optional<Sample> pending_;   // ended with gradients that were not read yet
  int64_t harvested_ = 0;           // samples in the slots' sums
  std::string damage_;
};

}  // namespace detail
IVON_NAMESPACE_END
