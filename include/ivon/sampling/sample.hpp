// SPDX-License-Identifier: Apache-2.0
// Describes one sample of the weights: its parameters, how each was drawn, and whether each was
// written or got a gradient since.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <cstdint>
#include <ivon/dispatch/passes.hpp>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/sampling/gradient.hpp>
#include <ivon/sampling/parameter_checks.hpp>
#include <ivon/sampling/two_buffers.hpp>
#include <ivon/sampling/work_count.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// What the optimizer keeps for one tensor besides the tensor's state.
struct ParameterSlot {
  explicit ParameterSlot(const ParameterRef& place)
      : ref(place),
        first_storage(place.tensor.storage().unsafeGetStorageImpl()),
        buffers(place.tensor) {}

  ParameterRef ref;           // the tensor and its place when the groups were last read
  bool listed = true;         // whether the groups listed it then
  const void* first_storage;  // c10::StorageImpl when the tensor was first listed
  TwoBuffers buffers;
  GradientMark used;         // the last gradient that was read
  bool has_sums = false;     // whether the two sums below hold values
  at::Tensor gradient_sum;   // over the harvested samples; allocated for the first one
  at::Tensor statistic_sum;  // of Estimator::statistic over the harvested samples
  StreamMark stream;         // of the tensors in this slot and in the state
  at::Tensor
      step_on_device;  // capturable: int64 step count, then the two doubles of cuda::StepScalars

  void allocate_sums(const at::Tensor& hess) {
    if (gradient_sum.defined() && gradient_sum.options().type_equal(hess.options()) &&
        gradient_sum.sizes() == hess.sizes() && gradient_sum.strides() == hess.strides()) {
      return;
    }
    gradient_sum = at::empty_like(hess);
    statistic_sum = at::empty_like(hess);
    has_sums = false;
  }
  /// Frees the buffers and the sums; the next use allocates them again. The parameter must hold its
  /// posterior mean when this is called, not a sample.
  void free_memory() {
    buffers.free_memory();
    gradient_sum.reset();
    statistic_sum.reset();
    has_sums = false;
  }
};

/// Allocates the second buffers, which the next sample of these parameters is written to. If the
/// memory of a parameter has moved since the last call, checks that no two parameters of `refs()`
/// share memory, and throws c10::Error if two do. After such an error the next call checks again.
template <class Refs>
void prepare_buffers(const std::vector<ParameterSlot*>& slots, const Refs& refs) {
  bool moved = false;
  for (ParameterSlot* slot : slots) moved |= slot->buffers.prepare();
  if (!moved) return;
  try {
    check_overlaps(refs());
  } catch (...) {
    for (ParameterSlot* slot : slots) slot->buffers.forget_place();
    throw;
  }
}

/// One parameter in one sample.
struct DrawnParameter {
  DrawnParameter(ParameterRef r, ParameterSlot* s, Drawing d, const IVONParamState& state)
      : ref(std::move(r)),
        slot(s),
        drawing(d),
        hess(state.hess()),
        wide_mean(state.mean()),
        prior_mean(state.prior_mean()),
        prior_precision(state.prior_precision()) {}
  /// A sample of a Posterior, whose mean is `center_`.
  DrawnParameter(ParameterRef r, ParameterSlot* s, Drawing d, at::Tensor center_)
      : ref(std::move(r)), slot(s), drawing(d), center(std::move(center_)) {}

  ParameterRef ref;
  ParameterSlot* slot;
  Drawing drawing;
  at::Tensor hess;       // of the parameter's state
  at::Tensor wide_mean;  // of the parameter's state; defined for bfloat16 and float16
  at::Tensor prior_mean, prior_precision;  // of the parameter's state
  at::Tensor center;                       // the mean of a Posterior; else undefined
  GradientMark gradient_before;
  int64_t version_shown = 0;     // version counter of the parameter after it was shown
  int64_t version_restored = 0;  // version counter of the parameter after it was restored
  bool written = false;  // by the program while shown; then theta is what the parameter held last
  bool written_after = false;  // by the program between the scope's end and the harvest
  bool got_gradient = false;   // its gradient changed while shown

  PosteriorTensors posterior() const {
    return {slot->buffers.mean(), wide_mean, hess, prior_mean, prior_precision};
  }
  /// Returns the mean of the distribution that the sample was drawn from.
  at::Tensor mean() const { return center.defined() ? center : aten::full_mean(posterior()); }

  void mark_shown() {
    version_shown = version_of(ref.tensor);
    mark_gradient();
  }
  void mark_gradient() { gradient_before = GradientMark(gradient_of(ref.tensor)); }
  void notice_outside_write() {
    written_after = version_of(ref.tensor) != version_restored || slot->buffers.moved();
  }
  /// Remembers that the present gradient has been read.
  void mark_used() const { slot->used = GradientMark(gradient_of(ref.tensor)); }

  /// Tells from what the estimator's statistic is computed. The noise is better than theta in three
  /// cases: theta is bfloat16 or float16, whose rounding error is too large; m was written since
  /// the sample ended; or a GPU computes, which makes the noise again faster than it reads theta.
  /// If the program wrote another theta, only theta is right.
  StatisticFrom statistic_from() const {
    const bool noise_is_better =
        wide_mean.defined() || written_after || cuda_runtime(hess.device()) != nullptr;
    return !written && noise_is_better ? StatisticFrom::kNoise : StatisticFrom::kTheta;
  }
};

struct Sample {
  bool training = false;
  bool resident = false;  // the training sample of sample_on_step
  bool zeroed = false;    // whether the optimizer's zero_grad() ran while the sample was shown
  std::vector<DrawnParameter> parameters;

  /// Returns the entry of a slot, or nullptr if there is none. `hint` is the index where the entry
  /// probably is. Call `parameters_changed` after adding or removing entries.
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

  /// Finds the parameters that got a gradient since they were shown, and returns whether there are
  /// any. Sets `complaint` if a gradient was added to one that an earlier sample already used. With
  /// a resident sample the program may first zero the gradient in place, so that it is written
  /// twice. Several backward passes look the same, so `complaint` is set only if it was written
  /// once.
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
      places_;  // filled by the first look-up whose hint is wrong
};

/// Returns the message about a parameter whose storage changed while it showed a sample.
inline std::string moved_message(const ParameterRef& ref) {
  return "ivon: " + ref.describe() +
         " was resized or re-pointed while it showed a sample; its mean was put back and the "
         "sample dropped; change a model's parameters outside sampled_params(), and with "
         "sample_on_step before the optimizer is built";
}

}  // namespace detail
IVON_NAMESPACE_END
