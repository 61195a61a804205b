// SPDX-License-Identifier: Apache-2.0
// Shows samples in the module, restores the mean, and knows which sample is shown, which waits for
// step(), and how many were harvested, which means that their gradients were read and added to the
// sums. It is the part of IVON that does not depend on the estimator. Guards share it with the
// optimizer, so that a guard may outlive the optimizer.
#pragma once

#include <ATen/autocast_mode.h>

#include <cstdint>
#include <ivon/sampling/learning_rate_on_device.hpp>
#include <ivon/sampling/one_caller.hpp>
#include <ivon/sampling/parameter_table.hpp>
#include <ivon/sampling/resident_sample.hpp>
#include <ivon/sampling/sample.hpp>
#include <ivon/sampling/shown_samples.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

class SamplingCore {
 public:
  ParameterTable& parameters() { return parameters_; }
  OneCaller& caller() { return caller_; }

  Sample* live_sample() { return live_ ? &*live_ : nullptr; }
  Sample* pending() { return pending_ ? &*pending_ : nullptr; }
  ResidentSample& resident() { return resident_; }
  CudaMemory& cuda() { return cuda_; }
  LearningRatesOnDevice& learning_rates() { return learning_rates_; }
  int64_t harvested() const { return harvested_; }
  bool has_samples() const { return pending_ || harvested_ > 0; }

  /// Throws while a scope of sampled_params() lives. `call` is the name of the call in the message.
  void refuse_while_live(const char* call) const {
    TORCH_CHECK(!live_, "ivon: ", call,
                " must be called outside a sample, but one is shown; end the scope of "
                "sampled_params() first");
  }

  /// Throws, once, an error that occurred in a function that must not throw, or an error because
  /// the program wrote to parameters while they showed the training sample.
  void report_damage() {
    if (damage_.empty() && !live_) damage_ = resident_.absorb_writes();
    if (damage_.empty()) return;
    const std::string message = std::exchange(damage_, std::string());
    TORCH_CHECK(false, message);
  }

  /// Throws if another optimizer shows a sample in one of `count` parameters. parameter(i) returns
  /// the ParameterRef of the i-th parameter.
  template <class Parameter>
  void refuse_shown_elsewhere(size_t count, const Parameter& parameter) const {
    const uint32_t own = (shown_.published() ? 1U : 0U) + (resident_.published() ? 1U : 0U);
    ShownSamples::refuse_shown_elsewhere(this, own, count, parameter);
  }
  void refuse_shown_elsewhere(const std::vector<ParameterRef>& refs) const {
    refuse_shown_elsewhere(refs.size(), [&](size_t i) -> const ParameterRef& { return refs[i]; });
  }

  /// Shows a sample whose values have been written to the buffers of the slots. Throws, and changes
  /// nothing, if another optimizer shows a sample in one of the parameters.
  void show(Sample sample) {
    const PlainTensors plain;
    shown_.publish(sample.parameters.size(),
                   [&](size_t i) -> const ParameterRef& { return sample.parameters[i].ref; });
    at::autocast::clear_cache();
    size_t shown = 0;
    try {
      for (; shown < sample.parameters.size(); ++shown) {
        sample.parameters[shown].slot->buffers.show();
      }
    } catch (...) {
      while (shown-- > 0) sample.parameters[shown].slot->buffers.restore(false);
      shown_.withdraw();
      throw;
    }
    // Parameters may share a version counter, so the counters are read after all parameters are
    // shown.
    for (DrawnParameter& drawn : sample.parameters) drawn.mark_shown();
    live_ = std::move(sample);
  }

  /// Replaces the sample m + d that a scope shows by m - d. Must not be called for a training
  /// sample.
  void mirror() {
    TORCH_CHECK(live_ && !live_->training,
                "ivon: mirror() must be called while a sample for prediction is shown; draw it "
                "under torch::NoGradGuard");
    const PlainTensors plain;
    at::autocast::clear_cache();
    for (const DrawnParameter& drawn : live_->parameters) {
      at::Tensor parameter = drawn.ref.tensor;
      const at::Tensor mean = drawn.mean();
      parameter.copy_(mean * 2 - parameter.to(mean.scalar_type()));
    }
  }

  /// Ends the scope of sampled_params() and shows the mean again. A training sample with gradients
  /// then waits for step(), unless `drop`, which means that an exception is leaving the scope. This
  /// function does not throw. It records an error, which the next call reports (`report_damage`).
  void end_scope(bool drop) noexcept {
    if (!live_) return;
    const OneCaller::Call call(caller_, "the end of a sample's scope", OneCaller::WaitForOthers());
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
    shown_.withdraw();
  }

  /// Ends what resident().need_mean() began. Does not throw.
  void end_mean() noexcept {
    const OneCaller::Call call(caller_, "the end of a scope of the mean",
                               OneCaller::WaitForOthers());
    guarded([&] { resident_.release_mean(live_.has_value()); });
  }

  /// Discards a recorded error, because load() has replaced what it was about.
  void forget_damage() { damage_.clear(); }

  /// Counts the pending sample as harvested, because its gradients are in the sums of the slots
  /// now.
  void count_harvested() {
    pending_.reset();
    ++harvested_;
  }
  /// Must be called before sums are written to the slots.
  void begin_sums() { any_sums_ = true; }
  /// Forgets every sample since the last step.
  void drop_samples() {
    pending_.reset();
    harvested_ = 0;
    if (!any_sums_) return;
    parameters_.for_each_slot([](ParameterSlot& slot) { slot.has_sums = false; });
    any_sums_ = false;
  }

  /// A copy of the sums, which replaces them if the closure of step() throws.
  struct Sums {
    int64_t harvested = 0;
    struct Entry {
      ParameterSlot* slot;
      at::Tensor parameter;  // keeps the tensor, and so the slot, alive
      at::Tensor gradient_sum, statistic_sum;
    };
    std::vector<Entry> entries;
  };
  Sums copy_sums() {
    Sums sums{harvested_, {}};
    if (!any_sums_) return sums;
    parameters_.for_each_slot([&](ParameterSlot& slot) {
      if (!slot.has_sums) return;
      sums.entries.push_back(
          {&slot, slot.ref.tensor, slot.gradient_sum.clone(), slot.statistic_sum.clone()});
    });
    return sums;
  }
  void return_to(const Sums& sums) {
    drop_samples();
    harvested_ = sums.harvested;
    for (const Sums::Entry& entry : sums.entries) {
      any_sums_ = true;
      entry.slot->has_sums = true;
      entry.slot->gradient_sum = entry.gradient_sum;
      entry.slot->statistic_sum = entry.statistic_sum;
    }
  }

 private:
  // Calls work(). If it throws, records the error for report_damage().
  template <class Work>
  void guarded(const Work& work) noexcept {
    try {
      work();
    } catch (const std::exception& error) {
      damage_ = std::string("ivon: the end of a sample failed: ") + error.what();
    }
  }

  void restore_all() noexcept {
    // In reverse order, so that parameters that share memory get back what they held, too.
    for (auto drawn = live_->parameters.rbegin(); drawn != live_->parameters.rend(); ++drawn) {
      if (drawn->slot->buffers.restore(drawn->written) || !damage_.empty()) continue;
      damage_ = moved_message(drawn->ref);
    }
    for (DrawnParameter& drawn : live_->parameters) {
      drawn.version_restored = version_of(drawn.ref.tensor);
    }
  }

  OneCaller caller_;
  ParameterTable parameters_;
  CudaMemory cuda_;
  LearningRatesOnDevice learning_rates_;
  ShownSamples shown_{this, /*resident=*/false};
  ResidentSample resident_{cuda_, this};  // is destroyed before the slots that it uses
  std::optional<Sample> live_;            // the sample that a scope shows now
  std::optional<Sample> pending_;         // its scope ended; its gradients were not read yet
  int64_t harvested_ = 0;                 // number of samples in the sums of the slots
  bool any_sums_ = false;                 // whether a slot may have sums
  std::string damage_;
};

}  // namespace detail
IVON_NAMESPACE_END
