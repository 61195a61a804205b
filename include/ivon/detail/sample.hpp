// SPDX-License-Identifier: Apache-2.0
// A sample of the weights: which parameters it covers, how it was drawn, what became of it.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <cstdint>
#include <ivon/detail/gradient_mark.hpp>
#include <ivon/detail/parameter_checks.hpp>
#include <ivon/detail/passes.hpp>
#include <ivon/detail/plain_tensors.hpp>
#include <ivon/detail/two_buffers.hpp>
#include <ivon/detail/work_count.hpp>
#include <ivon/version.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// What is kept for one tensor of the optimizer.
struct ParameterSlot {
  explicit ParameterSlot(const ParameterRef& place)
      : ref(place),
        first_storage(place.tensor.storage().unsafeGetStorageImpl()),
        buffers(place.tensor) {}

  ParameterRef ref;           // the tensor and its place when the groups were read last
  bool listed = true;         // the groups listed it then
  const void* first_storage;  // c10::StorageImpl at first sight
  TwoBuffers buffers;
  GradientMark used;          // the gradient that was read last
  bool has_sums = false;      // the two below hold something
  at::Tensor gradient_sum;    // over harvested samples; allocated by the first
  at::Tensor statistic_sum;   // likewise, of Estimator::statistic
  StreamMark stream;          // of all that is kept for this tensor
  at::Tensor step_on_device;  // capturable: int64 step count and the two doubles of cuda::Rates

  void allocate_sums(const at::Tensor& hess) {
    if (gradient_sum.defined() && gradient_sum.options().type_equal(hess.options()) &&
        gradient_sum.sizes() == hess.sizes() && gradient_sum.strides() == hess.strides()) {
      return;
    }
    gradient_sum = at::empty_like(hess);
    statistic_sum = at::empty_like(hess);
    has_sums = false;
  }
  /// Frees what the next use allocates again. The tensor shows its mean.
  void free_memory() {
    buffers.free_memory();
    gradient_sum.reset();
    statistic_sum.reset();
    has_sums = false;
  }
};

/// One parameter in one sample.
struct DrawnParameter {
  DrawnParameter(ParameterRef r, ParameterSlot* s, Drawing d, at::Tensor hess_, at::Tensor wide)
      : ref(std::move(r)),
        slot(s),
        drawing(d),
        hess(std::move(hess_)),
        wide_mean(std::move(wide)) {}

  ParameterRef ref;
  ParameterSlot* slot;
  Drawing drawing;
  at::Tensor hess;       // of the parameter's state
  at::Tensor wide_mean;  // likewise; defined for bfloat16 and float16
  GradientMark gradient_before;
  int64_t version_shown = 0;     // of the parameter, once shown
  int64_t version_restored = 0;  // of the parameter, once restored
  bool written = false;          // by the user while shown: theta is what it held at the end
  bool written_after = false;    // by the user between the scope's end and the harvest
  bool got_gradient = false;     // its gradient changed while shown

  PosteriorTensors posterior() const { return {slot->buffers.mean(), wide_mean, hess}; }

  void mark_shown() {
    version_shown = version_of(ref.tensor);
    mark_gradient();
  }
  void mark_gradient() { gradient_before = GradientMark(gradient_of(ref.tensor)); }
  void notice_outside_write() {
    written_after = version_of(ref.tensor) != version_restored || slot->buffers.moved();
  }
  /// The gradient that is there now has been read.
  void mark_used() const { slot->used = GradientMark(gradient_of(ref.tensor)); }

  /// theta - m is exact to a rounding of theta, too coarse in half precision; m may have been
  /// written since; and a GPU makes noise faster than it reads theta. The noise itself is exact,
  /// unless the user wrote another theta.
  StatisticFrom statistic_from() const {
    const bool noise_is_better =
        wide_mean.defined() || written_after || cuda_runtime(hess.device()) != nullptr;
    return !written && noise_is_better ? StatisticFrom::kNoise : StatisticFrom::kTheta;
  }
};

struct Sample {
  bool training = false;
  bool resident = false;  // of sample_on_step
  bool zeroed = false;    // the optimizer's zero_grad() ran while shown
  std::vector<DrawnParameter> parameters;

  /// The entry of a slot, nullptr if there is none; `hint`: where it probably is. Call
  /// `parameters_changed` after entries were added or removed.
  DrawnParameter* find(const ParameterSlot* slot, size_t hint) {
    IVON_DETAIL_COUNT(1);
    if (hint < parameters.size() && parameters[hint].slot == slot) return &parameters[hint];
    if (places_.size() != parameters.size()) {
      IVON_DETAIL_COUNT(parameters.size());
      places_.clear();
      for (size_t i = 0; i < parameters.size(); ++i) places_[parameters[i].slot] = i;
    }
    const auto found = places_.find(slot);
    return found == places_.end() ? nullptr : &parameters[found->second];
  }

  /// Finds the parameters that got a gradient since they were shown; true if there are any. Sets
  /// `complaint` where a gradient was added to one that was used already. Between the steps of a
  /// resident sample it may have been zeroed in place first, which is a second write; then nothing
  /// is said, although several backward passes look the same.
  bool notice_gradients(std::string& complaint) {
    bool any = false;
    for (DrawnParameter& drawn : parameters) {
      const at::Tensor& gradient = gradient_of(drawn.ref.tensor);
      drawn.got_gradient = gradient.defined() && !drawn.gradient_before.unchanged(gradient);
      any |= drawn.got_gradient;
      const bool added_to_used = drawn.got_gradient && !zeroed &&
                                 drawn.slot->used.same_tensor(gradient) &&
                                 drawn.gradient_before.same_version(drawn.slot->used) &&
                                 (!resident || drawn.slot->used.written_once(gradient));
      if (added_to_used && complaint.empty()) {
        complaint = "ivon: the gradient of " + drawn.ref.describe() +
                    " was added to one that an earlier sample already used; call the optimizer's "
                    "zero_grad() before each sample";
      }
    }
    return any;
  }
  void parameters_changed() { places_.clear(); }

 private:
  std::unordered_map<const ParameterSlot*, size_t>
      places_;  // made by the first look-up that misses
};

/// What to say of a parameter whose storage changed while it showed a sample.
inline std::string moved_message(const ParameterRef& ref) {
  return "ivon: " + ref.describe() +
         " was resized or re-pointed while it showed a sample; its mean was put back and the "
         "sample dropped; change a model's parameters outside sampled_params(), and with "
         "sample_on_step before the optimizer is built";
}

}  // namespace detail
IVON_NAMESPACE_END
