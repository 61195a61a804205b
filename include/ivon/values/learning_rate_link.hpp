// SPDX-License-Identifier: Apache-2.0
// Passes a learning rate that a user sets on to the copy in device memory, which captured CUDA
// graphs read.
#pragma once

#include <ivon/version.hpp>
#include <memory>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Its function set() is called for every learning rate that is set in one options object.
class LearningRateListener {
 public:
  LearningRateListener() = default;
  virtual ~LearningRateListener() = default;
  LearningRateListener(const LearningRateListener&) = delete;
  LearningRateListener& operator=(const LearningRateListener&) = delete;

  virtual void set(double learning_rate) = 0;
};

/// The reference from an options object to its listener, which the optimizer owns. It is never
/// copied: a copy of the options has no listener, and an assignment to the options does not change
/// their listener.
class LearningRateLink {
 public:
  LearningRateLink() = default;
  LearningRateLink(const LearningRateLink&) {}
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment)
  LearningRateLink& operator=(const LearningRateLink&) { return *this; }
  ~LearningRateLink() = default;

  void connect(const std::shared_ptr<LearningRateListener>& listener) { listener_ = listener; }
  /// Returns nullptr if there is no listener.
  std::shared_ptr<LearningRateListener> listener() const { return listener_.lock(); }
  void notify(double learning_rate) const {
    if (const auto listener = listener_.lock()) listener->set(learning_rate);
  }

 private:
  std::weak_ptr<LearningRateListener> listener_;
};

}  // namespace detail
IVON_NAMESPACE_END
