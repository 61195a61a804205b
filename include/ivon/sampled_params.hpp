// SPDX-License-Identifier: Apache-2.0
// The guards that hold a model at a sample, or at the mean, for the length of a scope.
#pragma once

#include <exception>
#include <ivon/sampling/sampling_core.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <utility>

IVON_NAMESPACE_BEGIN

/// While this guard lives, the module holds the posterior mean. IVON::mean_params() makes it.
/// Without `sample_on_step` the module holds the mean outside samples anyway, and the guard does
/// nothing. Guards may be nested, and predictions may be made while a guard lives.
class [[nodiscard]] MeanParams {
 public:
  /// Makes a guard that does nothing.
  MeanParams() = default;
  /// Shows the mean in the module; for IVON::mean_params(), which programs call.
  explicit MeanParams(std::shared_ptr<detail::SamplingCore> core) : core_(std::move(core)) {
    core_->resident().need_mean();
  }
  /// Ends the scope as restore() does.
  ~MeanParams() { restore(); }

  /// Takes over the scope of `other`, which does nothing from then on.
  MeanParams(MeanParams&& other) noexcept = default;
  /// Ends this scope as restore() does and takes over that of `other`.
  MeanParams& operator=(MeanParams&& other) noexcept {
    if (this != &other) {
      restore();
      core_ = std::move(other.core_);
    }
    return *this;
  }
  MeanParams(const MeanParams&) = delete;
  MeanParams& operator=(const MeanParams&) = delete;

  /// Ends the scope now: the module holds the training sample again. A second call does nothing.
  void restore() noexcept {
    if (!core_) return;
    core_->end_mean();
    core_.reset();
  }

 private:
  std::shared_ptr<detail::SamplingCore> core_;
};

/// While this guard lives, the module holds a sample theta ~ q. When it ends, also by an exception,
/// the module gets back bit for bit what it held before. IVON::sampled_params() makes it. The guard
/// stays valid if the optimizer is moved or destroyed.
class [[nodiscard]] SampledParams {
 public:
  /// Takes charge of a sample that is shown already; for IVON::sampled_params(), which programs
  /// call. The guard `afterwards` ends together with this one.
  explicit SampledParams(std::shared_ptr<detail::SamplingCore> core, MeanParams afterwards = {})
      : core_(std::move(core)),
        afterwards_(std::move(afterwards)),
        exceptions_(std::uncaught_exceptions()) {}
  /// Ends the scope as restore() does. Does not throw.
  ~SampledParams() { restore(); }

  /// Takes over the scope of `other`, which does nothing from then on.
  SampledParams(SampledParams&& other) noexcept = default;
  /// Ends this scope as restore() does and takes over that of `other`.
  SampledParams& operator=(SampledParams&& other) noexcept {
    if (this != &other) {
      restore();
      core_ = std::move(other.core_);
      afterwards_ = std::move(other.afterwards_);
      exceptions_ = other.exceptions_;
    }
    return *this;
  }
  SampledParams(const SampledParams&) = delete;
  SampledParams& operator=(const SampledParams&) = delete;

  /// Replaces the sample m + d, where m is the mean, by its mirror image m - d. Both have the same
  /// distribution, and the errors that are odd in d cancel in an average over the two (antithetic
  /// sampling). Only for predictions: throws c10::Error if the sample is a training sample, or if
  /// this guard has ended.
  void mirror() {
    TORCH_CHECK(core_, "ivon: mirror() must be called while the guard lives, but it has ended");
    const detail::OneCaller::Call call(core_->caller(), "mirror()");
    core_->mirror();
  }

  /// Ends the scope now. A second call does nothing.
  void restore() noexcept {
    if (!core_) return;
    core_->end_scope(/*drop=*/std::uncaught_exceptions() > exceptions_);
    core_.reset();
    afterwards_.restore();
  }

 private:
  std::shared_ptr<detail::SamplingCore> core_;
  // Ends after the sample's scope. With sample_on_step the module then shows the training sample.
  MeanParams afterwards_;
  // The number of exceptions in flight when the scope began. If there are more when it ends, an
  // exception is leaving the scope.
  int exceptions_;
};

IVON_NAMESPACE_END
