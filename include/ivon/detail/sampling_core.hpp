// SPDX-License-Identifier: Apache-2.0
// Shows samples in the module, restores the mean, and knows what became of each sample. The part of
// IVON that does not depend on the estimator; guards share it, so that they outlive the optimizer.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <cstdint>
#include <ivon/detail/gradient_mark.hpp>
#include <ivon/detail/parameter_checks.hpp>
#include <ivon/detail/two_buffers.hpp>
#include <ivon/kernels/coefficients.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ivon::detail {

/// The library computes on ordinary tensors without gradients, wherever it is called from.
struct PlainTensors {
  c10::InferenceMode no_inference{false};
  at::NoGradGuard no_grad;
};

/// What the core keeps for one tensor of the optimizer.
struct ParameterSlot {
  explicit ParameterSlot(const at::Tensor& tensor) : parameter(tensor), buffers(tensor) {}

  at::Tensor parameter;  // keeps the address that is the key
  TwoBuffers buffers;
  GradientMark used;         // the gradient that the last harvest read
  at::Tensor gradient_sum;   // over harvested samples; defined while there is one
  at::Tensor statistic_sum;  // likewise, of Estimator::statistic

  void add_sums(const at::Tensor& gradient, const at::Tensor& statistic) {
    // Out of place, so that `copy_sums` need not copy.
    gradient_sum = gradient_sum.defined() ? gradient_sum + gradient : gradient;
    statistic_sum = statistic_sum.defined() ? statistic_sum + statistic : statistic;
  }
};

/// One parameter in one sample.
struct DrawnParameter {
  DrawnParameter(ParameterRef r, ParameterSlot* s, const NoiseKey& n, const PosteriorScale& p)
      : ref(std::move(r)), slot(s), noise(n), scale(p) {}

  ParameterRef ref;
  ParameterSlot* slot;
  NoiseKey noise;
  PosteriorScale scale;  // at the time of drawing: with `noise` and h it makes theta - m again
  GradientMark gradient_before;
  int64_t version_shown = 0;     // of the parameter, once shown
  int64_t version_restored = 0;  // of the parameter, once restored
  bool written = false;          // by the user while shown: theta is what it held at the end
  bool written_after = false;    // by the user between the scope's end and the harvest
  bool got_gradient = false;     // its gradient changed while shown

  void notice_outside_write() { written_after = version_of(ref.tensor) != version_restored; }
};

struct Sample {
  bool training = false;
  bool zeroed = false;  // the optimizer's zero_grad() ran while shown
  std::vector<DrawnParameter> parameters;
};

class SamplingCore {
 public:
  /// The slot of a tensor, nullptr before its first sight.
  ParameterSlot* find(const at::Tensor& tensor) {
    const auto found = slots_.find(tensor.unsafeGetTensorImpl());
    return found == slots_.end() ? nullptr : &found->second;
  }
  void add(const at::Tensor& tensor) { slots_.try_emplace(tensor.unsafeGetTensorImpl(), tensor); }

  bool live() const { return live_.has_value(); }
  Sample* live_sample() { return live_ ? &*live_ : nullptr; }
  Sample* pending() { return pending_ ? &*pending_ : nullptr; }
  int64_t harvested() const { return harvested_; }
  bool has_samples() const { return pending_ || harvested_ > 0; }
  /// Whether `tensor` holds a sample at this moment.
  bool shows_sample_in(const at::Tensor& tensor) const {
    if (!live_) return false;
    for (const DrawnParameter& drawn : live_->parameters) {
      if (drawn.ref.tensor.is_same(tensor)) return true;
    }
    return false;
  }

  /// Throws where a scope lives; `call` names what was asked for.
  void refuse_while_live(const char* call) const {
    TORCH_CHECK(!live_, "ivon: ", call,
                " must be called outside a sample, but one is shown; end the scope of "
                "sampled_params() first");
  }

  /// Reports once what went wrong where nothing could be thrown.
  void report_damage() {
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
    for (DrawnParameter& drawn : sample.parameters) {
      drawn.version_shown = version_of(drawn.ref.tensor);
      drawn.gradient_before = GradientMark(drawn.ref.tensor.grad());
    }
    live_ = std::move(sample);
  }

  /// Shows the mean again. `drop`: an exception is leaving the scope. Does not throw; what should
  /// be known is said by the next call (`report_damage`).
  void end_scope(bool drop) noexcept {
    if (!live_) return;
    try {
      const PlainTensors plain;
      for (DrawnParameter& drawn : live_->parameters) {
        drawn.written = version_of(drawn.ref.tensor) != drawn.version_shown;
      }
      restore_all();
      at::autocast::clear_cache();
      if (live_->training && !drop && notice_gradients() && damage_.empty()) {
        pending_ = std::move(live_);
      }
    } catch (const std::exception& error) {
      damage_ = std::string("ivon: the end of a sample failed: ") + error.what();
    }
    live_.reset();
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
    for (auto& entry : slots_) {
      entry.second.gradient_sum.reset();
      entry.second.statistic_sum.reset();
    }
  }

  /// The sums at one moment, to come back to when a closure throws.
  struct Sums {
    int64_t harvested = 0;
    std::unordered_map<at::TensorImpl*, std::pair<at::Tensor, at::Tensor>> tensors;
  };
  Sums copy_sums() const {
    Sums sums{harvested_, {}};
    for (const auto& [key, slot] : slots_) {
      if (slot.gradient_sum.defined()) {
        sums.tensors[key] = {slot.gradient_sum, slot.statistic_sum};
      }
    }
    return sums;
  }
  void return_to(const Sums& sums) {
    drop_samples();
    harvested_ = sums.harvested;
    for (const auto& [key, tensors] : sums.tensors) {
      ParameterSlot& slot = slots_.at(key);
      std::tie(slot.gradient_sum, slot.statistic_sum) = tensors;
    }
  }

 private:
  void restore_all() noexcept {
    for (DrawnParameter& drawn : live_->parameters) {
      if (drawn.slot->buffers.restore(drawn.written) || !damage_.empty()) continue;
      damage_ =
          "ivon: " + drawn.ref.describe() +
          " was resized or re-pointed while it showed a sample; its mean was put back and the "
          "sample dropped; change a model's parameters outside sampled_params()";
    }
    for (DrawnParameter& drawn : live_->parameters) {
      drawn.version_restored = version_of(drawn.ref.tensor);
    }
  }

  // Finds the parameters that got a gradient; true if there are any.
  bool notice_gradients() {
    bool any = false;
    for (DrawnParameter& drawn : live_->parameters) {
      const at::Tensor& gradient = drawn.ref.tensor.grad();
      drawn.got_gradient = gradient.defined() && !drawn.gradient_before.unchanged(gradient);
      any |= drawn.got_gradient;
      const bool added_to_used = drawn.got_gradient && !live_->zeroed &&
                                 drawn.slot->used.same_tensor(gradient) &&
                                 drawn.gradient_before.same_version(drawn.slot->used);
      if (added_to_used && damage_.empty()) {
        damage_ = "ivon: the gradient of " + drawn.ref.describe() +
                  " was added to one that an earlier sample already used; call zero_grad() before "
                  "each sample";
      }
    }
    return any;
  }

  std::unordered_map<at::TensorImpl*, ParameterSlot> slots_;
  std::optional<Sample> live_;     // shown now
  std::optional<Sample> pending_;  // ended with gradients that were not read yet
  int64_t harvested_ = 0;          // samples in the slots' sums
  std::string damage_;
};

}  // namespace ivon::detail
