// SPDX-License-Identifier: Apache-2.0
// The guards that hold a model at a sample, or at the mean, for the length of a scope.
#pragma once

#include <exception>
#include <ivon/detail/sampling_core.hpp>
#include <memory>
#include <utility>

namespace ivon {

/// While it lives, the module holds theta ~ q; when it ends, the mean again, bit for bit, on every
/// path. Made by `IVON::sampled_params()`. Stays valid when the optimizer is moved or destroyed.
class [[nodiscard]] SampledParams {
 public:
  explicit SampledParams(std::shared_ptr<detail::SamplingCore> core)
      : core_(std::move(core)), exceptions_(std::uncaught_exceptions()) {}
  ~SampledParams() { restore(); }

  SampledParams(SampledParams&& other) noexcept = default;
  SampledParams& operator=(SampledParams&& other) noexcept {
    if (this != &other) {
      restore();
      core_ = std::move(other.core_);
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
  }

 private:
  std::shared_ptr<detail::SamplingCore> core_;
  int exceptions_;  // in flight when the scope began: one more means that the scope is unwinding
};

/// While it lives, the module holds the mean. Made by `IVON::mean_params()`; outside
/// `sample_on_step` the module holds the mean anyway and this does nothing.
class [[nodiscard]] MeanParams {
 public:
  MeanParams() = default;
  ~MeanParams() {}  // NOLINT(modernize-use-equals-default): a guard is no unused variable
  MeanParams(MeanParams&&) noexcept {}
  MeanParams& operator=(MeanParams&&) noexcept { return *this; }
  MeanParams(const MeanParams&) = delete;
  MeanParams& operator=(const MeanParams&) = delete;
};

}  // namespace ivon
