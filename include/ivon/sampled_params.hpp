// SPDX-License-Identifier: Apache-2.0
// The guards that hold a model at a sample, or at the mean, for the length of a scope.
#pragma once

#include <exception>
#include <ivon/detail/sampling_core.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <utility>

IVON_NAMESPACE_BEGIN

/// While it lives, the module holds the mean. Made by `IVON::mean_params()`; outside
/// `sample_on_step` the module holds the mean anyway and this does nothing. May be nested, and
/// predictions may be made in it.
class [[nodiscard]] MeanParams {
 public:
  MeanParams() = default;
  explicit MeanParams(std::shared_ptr<detail::SamplingCore> core) : core_(std::move(core)) {
    core_->resident().need_mean();
  }
  ~MeanParams() { restore(); }

  MeanParams(MeanParams&& other) noexcept = default;
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

/// While it lives, the module holds theta ~ q; when it ends, what it held before, bit for bit, on
/// every path. Made by `IVON::sampled_params()`. Stays valid when the optimizer is moved or
/// destroyed.
class [[nodiscard]] SampledParams {
 public:
  /// `afterwards` ends with the scope.
  explicit SampledParams(std::shared_ptr<detail::SamplingCore> core, MeanParams afterwards = {})
      : core_(std::move(core)),
        afterwards_(std::move(afterwards)),
        exceptions_(std::uncaught_exceptions()) {}
  ~SampledParams() { restore(); }

  SampledParams(SampledParams&& other) noexcept = default;
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

  /// Ends the scope now. A second call does nothing.
  void restore() noexcept {
    if (!core_) return;
    core_->end_scope(/*drop=*/std::uncaught_exceptions() > exceptions_);
    core_.reset();
    afterwards_.restore();
  }

 private:
  std::shared_ptr<detail::SamplingCore> core_;
  MeanParams afterwards_;  // with sample_on_step: until the training sample is shown again
  int exceptions_;  // in flight when the scope began: one more means that the scope is unwinding
};

IVON_NAMESPACE_END
