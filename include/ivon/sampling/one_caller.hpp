// SPDX-License-Identifier: Apache-2.0
// Lets only one thread at a time call an optimizer. A second thread that calls it meanwhile gets an
// error.
#pragma once

#include <c10/util/Exception.h>

#include <atomic>
#include <ivon/version.hpp>
#include <thread>

IVON_NAMESPACE_BEGIN
namespace detail {

class OneCaller {
 public:
  struct WaitForOthers {};

  /// Reserves the optimizer for this thread until the call ends. A thread may make a call inside
  /// another one, for instance in the closure of step().
  class Call {
   public:
    /// `name` is the name of the call in error messages. Throws if another thread is inside a call.
    Call(OneCaller& caller, const char* name) : caller_(caller), outermost_(caller.enter(name)) {
      if (outermost_ || caller.is_mine()) return;
      const char* other = caller.name_.load(std::memory_order_relaxed);
      TORCH_CHECK(false, "ivon: ", name, " was called while another thread is inside ",
                  other != nullptr ? other : "a call",
                  " of the same optimizer; use an optimizer and its model from one thread at a "
                  "time, and predict in another thread with a copy of both (docs/threads.md)");
    }
    /// For destructors of guards, which must not throw: waits until no other thread is inside a
    /// call.
    Call(OneCaller& caller, const char* name, WaitForOthers) noexcept
        : caller_(caller), outermost_(caller.enter(name)) {
      while (!outermost_ && !caller.is_mine()) {
        std::this_thread::yield();
        outermost_ = caller.enter(name);
      }
    }
    ~Call() {
      if (outermost_) caller_.leave();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    OneCaller& caller_;
    bool outermost_;
  };

 private:
  // Returns true, and marks this thread as inside, if no thread was inside a call.
  bool enter(const char* name) noexcept {
    std::thread::id nobody;
    if (!thread_.compare_exchange_strong(nobody, std::this_thread::get_id(),
                                         std::memory_order_acquire)) {
      return false;
    }
    name_.store(name, std::memory_order_relaxed);
    return true;
  }
  bool is_mine() const noexcept {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  void leave() noexcept { thread_.store(std::thread::id(), std::memory_order_release); }

  std::atomic<std::thread::id> thread_{};  // the thread that is inside a call
  std::atomic<const char*> name_{nullptr};
};

}  // namespace detail
IVON_NAMESPACE_END
