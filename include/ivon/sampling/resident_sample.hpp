// SPDX-License-Identifier: Apache-2.0
// The training sample that stays in the module from one step() to the next (sample_on_step).
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cstddef>
#include <ivon/sampling/sample.hpp>
#include <ivon/sampling/shown_samples.hpp>
#include <ivon/version.hpp>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The sample is shown while the program trains, unless something needs the mean for a while. Its
/// values depend only on the mean, the Hessian and the `Drawing`, so a sample that was overwritten
/// is simply drawn again.
class ResidentSample {
 public:
  /// `owner` is an address that belongs to this optimizer alone, such as that of its SamplingCore.
  /// By it the list of all shown samples (shown_samples.hpp) tells the optimizers of a process
  /// apart.
  ResidentSample(CudaMemory& cuda, const void* owner) : cuda_(cuda), entry_(owner, true) {
    sample_.training = sample_.resident = true;
  }
  ~ResidentSample() { clear(); }
  ResidentSample(const ResidentSample&) = delete;
  ResidentSample& operator=(const ResidentSample&) = delete;

  /// Whether the list of all shown samples of the process contains this one.
  bool published() const { return entry_.published(); }
  bool enabled() const { return enabled_; }
  void enable() { enabled_ = true; }

  bool wanted() const { return enabled_ && training_ && mean_needed_ == 0; }
  Sample& sample() { return sample_; }

  /// Throws if the module holds the mean, because step() needs gradients at a sample.
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

  /// Keeps in the sample the parameters for which keep(slot) is true. The others show their mean.
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
  /// Adds a parameter that is not in the sample yet. `settle` then draws and shows it.
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
  /// Shows the mean until the matching call of `release_mean`. Pairs of the two calls may be
  /// nested.
  void need_mean() {
    ++mean_needed_;
    settle();
  }
  /// Undoes one call of `need_mean`. If `scope_shown`, a scope shows a sample for prediction now,
  /// and the end of that scope calls `settle`.
  void release_mean(bool scope_shown) {
    --mean_needed_;
    if (!scope_shown) settle();
  }

  /// Shows the sample if `wanted`, and the mean otherwise.
  void settle() {
    const PlainTensors plain;
    if (wanted()) {
      show();
    } else {
      hide();
    }
  }

  /// Makes `next` the sample that is shown. The kernels have drawn it already: over the present
  /// sample, and for parameters that were not in the present sample into their second buffers.
  void replace(Sample next) {
    at::autocast::clear_cache();
    bool others = false;  // whether the set of shown parameters changes
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

  /// Marks the gradients that exist now, so that they do not count as gradients at this sample.
  void forget_gradients() {
    for (DrawnParameter& drawn : sample_.parameters) drawn.mark_gradient();
  }

  /// If the program wrote to parameters while they showed the sample, what it wrote becomes their
  /// mean, and the sample is drawn again. Returns the message for the user, or an empty string if
  /// nothing was written.
  std::string absorb_writes() {
    std::string complaint;
    if (absorb_shown(complaint)) settle();
    return complaint;
  }

  /// Shows the mean and removes all parameters from the sample.
  void clear() noexcept {
    try {
      if (sample_.parameters.empty()) return;
      std::string complaint;
      absorb_shown(complaint);
    } catch (...) {  // hide() below still restores the means
    }
    hide();
    sample_.parameters.clear();
    sample_.parameters_changed();
  }

 private:
  const ParameterRef& ref(size_t i) const { return sample_.parameters[i].ref; }

  /// Enters the sample's parameters into the list of all shown samples of the process. Throws if
  /// another optimizer shows a sample in one of them.
  void publish() {
    entry_.publish(sample_.parameters.size(),
                   [this](size_t i) -> const ParameterRef& { return ref(i); });
  }

  void show() {
    std::vector<ParameterSlot*> hidden;
    for (DrawnParameter& drawn : sample_.parameters) {
      if (!drawn.slot->buffers.shown()) hidden.push_back(drawn.slot);
    }
    if (hidden.empty()) return;
    prepare_buffers(hidden, [this] {
      std::vector<ParameterRef> refs;
      refs.reserve(sample_.parameters.size());
      for (size_t i = 0; i < sample_.parameters.size(); ++i) refs.push_back(ref(i));
      return refs;
    });
    SampleJob job(cuda_, hidden.size());
    for (DrawnParameter& drawn : sample_.parameters) {
      TwoBuffers& buffers = drawn.slot->buffers;
      if (!buffers.shown()) job.add(drawn.posterior(), buffers.sample(), drawn.drawing);
    }
    publish();
    job.run();
    at::autocast::clear_cache();
    for (DrawnParameter& drawn : sample_.parameters) {
      if (!drawn.slot->buffers.shown()) drawn.slot->buffers.show();
    }
    // Parameters may share a version counter, so the counters are read after all parameters are
    // shown.
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

  // Returns true if a parameter was written or re-pointed. Such parameters show their mean
  // afterwards.
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

  // The elements that differ from the sample were written by the program and become the mean. The
  // other elements keep their mean. Returns the message for the user.
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
      // The program wrote the values of the sample itself, for instance from a checkpoint of this
      // moment.
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
