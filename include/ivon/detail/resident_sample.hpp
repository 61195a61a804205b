// SPDX-License-Identifier: Apache-2.0
// The training sample that stays in the module from one step() to the next (sample_on_step).
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cstddef>
#include <ivon/detail/sample.hpp>
#include <ivon/detail/shown_samples.hpp>
#include <ivon/version.hpp>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Shown while training, unless something needs the mean for a while. What it shows is a function
/// of mean, Hessian and `Drawing`, so it is drawn again rather than kept where it was overwritten.
class ResidentSample {
 public:
  /// `owner` identifies the optimizer among all of the process.
  ResidentSample(CudaMemory& cuda, const void* owner) : cuda_(cuda), entry_(owner, true) {
    sample_.training = sample_.resident = true;
  }
  ~ResidentSample() { clear(); }
  ResidentSample(const ResidentSample&) = delete;
  ResidentSample& operator=(const ResidentSample&) = delete;

  /// Whether other optimizers see that this one shows a sample.
  bool published() const { return entry_.published(); }
  bool enabled() const { return enabled_; }
  void enable() { enabled_ = true; }

  bool wanted() const { return enabled_ && training_ && mean_needed_ == 0; }
  Sample& sample() { return sample_; }

  /// Throws where step() would find the mean in the module.
  void require_shown() const {
    TORCH_CHECK(training_,
                "ivon: step() needs gradients at a sample, but after eval() the module holds the "
                "mean; call train() before the forward pass");
    TORCH_CHECK(mean_needed_ == 0,
                "ivon: step() needs gradients at a sample, but the module holds the mean; end the "
                "scope of mean_params() before the forward pass");
    for (const DrawnParameter& drawn : sample_.parameters) {
      TORCH_CHECK(drawn.slot->buffers.shown(), "ivon: step() needs gradients at a sample, but ",
                  drawn.ref.describe(),
                  " could not be shown its sample again; call train() before the forward pass");
    }
  }

  /// Leaves in the sample what `keep(slot)` says; the rest shows its mean.
  template <class Keep>
  void retain(const Keep& keep) {
    std::vector<DrawnParameter> kept;
    for (DrawnParameter& drawn : sample_.parameters) {
      if (keep(drawn.slot)) {
        kept.push_back(std::move(drawn));
      } else if (drawn.slot->buffers.shown()) {
        hide(drawn);
      }
    }
    sample_.parameters = std::move(kept);
    sample_.parameters_changed();
  }
  /// Adds a parameter that is not in the sample; `settle` draws and shows it.
  void add(DrawnParameter drawn) {
    drawn.mark_gradient();
    sample_.parameters.push_back(std::move(drawn));
    sample_.parameters_changed();
  }

  void set_training(bool training) {
    training_ = training;
    try {
      settle();
    } catch (...) {
      training_ = false;
      hide();
      throw;
    }
  }
  /// Shows the mean until the matching `release_mean`. Calls nest.
  void need_mean() {
    ++mean_needed_;
    settle();
  }
  /// `scope_shown`: a scope shows a prediction now, and its end settles what follows.
  void release_mean(bool scope_shown) {
    --mean_needed_;
    if (!scope_shown) settle();
  }

  /// Shows the sample or the mean, whichever is wanted.
  void settle() {
    const PlainTensors plain;
    if (wanted()) {
      show();
    } else {
      hide();
    }
  }

  /// The kernels have drawn the next sample where the present one was shown, and in the second
  /// buffers of parameters that were not in it.
  void replace(Sample next) {
    at::autocast::clear_cache();
    bool others = false;  // than before
    for (size_t i = 0; i < sample_.parameters.size(); ++i) {
      DrawnParameter& drawn = sample_.parameters[i];
      if (next.find(drawn.slot, i)) continue;
      hide(drawn);
      others = true;
    }
    sample_ = std::move(next);
    for (DrawnParameter& drawn : sample_.parameters) {
      if (drawn.slot->buffers.shown()) {
        drawn.ref.tensor.unsafeGetTensorImpl()->bump_version();
      } else {
        drawn.slot->buffers.show();
        others = true;
      }
    }
    if (others) publish();
    for (DrawnParameter& drawn : sample_.parameters) drawn.mark_shown();
  }

  /// Gradients that are there now are not of this sample.
  void forget_gradients() {
    for (DrawnParameter& drawn : sample_.parameters) drawn.mark_gradient();
  }

  /// What others wrote into parameters while they showed the sample becomes their mean, and the
  /// sample is drawn anew. Returns what to tell the user; empty if nothing was written.
  std::string absorb_writes() {
    std::string complaint;
    if (absorb_shown(complaint)) settle();
    return complaint;
  }

  /// Shows the mean and forgets the sample.
  void clear() noexcept {
    try {
      if (sample_.parameters.empty()) return;
      std::string complaint;
      absorb_shown(complaint);
    } catch (...) {  // the means that are in the buffers are put back all the same
    }
    hide();
    sample_.parameters.clear();
    sample_.parameters_changed();
  }

 private:
  const ParameterRef& ref(size_t i) const { return sample_.parameters[i].ref; }

  /// Tells other optimizers which parameters show the sample; throws where they show one.
  void publish() {
    entry_.publish(sample_.parameters.size(),
                   [this](size_t i) -> const ParameterRef& { return ref(i); });
  }

  /// Throws where parameters share memory that did not when it was looked at last. Before
  /// `prepare`.
  void check_memory() const {
    const auto& drawn = sample_.parameters;
    if (std::none_of(drawn.begin(), drawn.end(), [](const DrawnParameter& each) {
          return !each.slot->buffers.shown() && each.slot->buffers.moved();
        })) {
      return;
    }
    std::vector<ParameterRef> refs;
    refs.reserve(drawn.size());
    for (size_t i = 0; i < drawn.size(); ++i) refs.push_back(ref(i));
    check_overlaps(refs);
  }

  void show() {
    check_memory();
    SampleJob job(cuda_, sample_.parameters.size());
    bool any = false;
    for (DrawnParameter& drawn : sample_.parameters) {
      TwoBuffers& buffers = drawn.slot->buffers;
      if (buffers.shown()) continue;
      any = true;
      buffers.prepare();
      job.add(drawn.posterior(), buffers.sample(), drawn.drawing);
    }
    if (!any) return;
    publish();
    job.run();
    at::autocast::clear_cache();
    for (DrawnParameter& drawn : sample_.parameters) {
      if (!drawn.slot->buffers.shown()) drawn.slot->buffers.show();
    }
    // Parameters may share a version counter: read them when all are shown.
    for (DrawnParameter& drawn : sample_.parameters) {
      drawn.version_shown = version_of(drawn.ref.tensor);
    }
  }
  void hide() noexcept {
    bool any = false;
    for (auto drawn = sample_.parameters.rbegin(); drawn != sample_.parameters.rend(); ++drawn) {
      if (!drawn->slot->buffers.shown()) continue;
      hide(*drawn);
      any = true;
    }
    if (any) at::autocast::clear_cache();
    entry_.withdraw();
  }
  static void hide(DrawnParameter& drawn) noexcept {
    const PlainTensors plain;
    drawn.slot->buffers.restore(/*written=*/false);
  }

  // True if anything was written or re-pointed; those parameters are hidden then.
  bool absorb_shown(std::string& complaint) {
    bool any = false;
    for (DrawnParameter& drawn : sample_.parameters) {
      const TwoBuffers& buffers = drawn.slot->buffers;
      if (!buffers.shown()) continue;
      if (version_of(drawn.ref.tensor) == drawn.version_shown && !buffers.moved()) continue;
      const PlainTensors plain;
      const std::string said = absorb(drawn);
      if (complaint.empty()) complaint = said;
      any = true;
    }
    return any;
  }

  // What differs from the sample was written and becomes the mean; the other elements keep theirs.
  std::string absorb(DrawnParameter& drawn) {
    const at::Tensor& param = drawn.ref.tensor;
    TwoBuffers& buffers = drawn.slot->buffers;
    const at::Tensor& mean = buffers.mean();
    if (param.sizes() != mean.sizes() || !param.options().type_equal(mean.options()) ||
        param.device() != mean.device()) {
      hide(drawn);
      return moved_message(drawn.ref);
    }
    const at::Tensor theta = empty_in_memory_order(mean, mean.options().requires_grad(false));
    SampleJob job(cuda_, 1);
    job.add(drawn.posterior(), theta, drawn.drawing);
    job.run();
    const at::Tensor differs = param.ne(theta);
    if (!differs.any().item<bool>()) {
      // The very same values were written, as a checkpoint of this moment holds them.
      hide(drawn);
      return {};
    }
    const at::Tensor new_mean = at::where(differs, param, mean);
    hide(drawn);
    param.copy_(new_mean);
    drawn.mark_gradient();
    return "ivon: " + drawn.ref.describe() +
           " was written while it showed a sample; what was written is its mean now and the sample "
           "was drawn again; call eval() before writing to the module and train() afterwards";
  }

  CudaMemory& cuda_;
  ShownSamples entry_;
  bool enabled_ = false;
  bool training_ = true;
  int mean_needed_ = 0;
  Sample sample_;
};

}  // namespace detail
IVON_NAMESPACE_END
