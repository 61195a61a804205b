// SPDX-License-Identifier: Apache-2.0
// The first fields of IVONOptions, which lie where programs written for AdamW expect AdamW's
// fields.
//
// LibTorch's tutorials set a learning rate by
// static_cast<torch::optim::AdamOptions&>(group.options()). With options of another class this is
// undefined behaviour. In practice it writes to the bytes where AdamOptions has the field.
// IVONOptions has its learning rate in the same bytes, and behind it unused bytes, so that a write
// to any other field is noticed.
#pragma once

#include <c10/util/Exception.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <ivon/version.hpp>
#include <string>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Holds lr. It must lie directly behind the pointer to the virtual functions, where lr lies in all
/// options of torch::optim. `unused_` covers the fields that follow: betas, eps, weight_decay and
/// amsgrad of AdamOptions and AdamWOptions, and the fields that SGDOptions, RMSpropOptions and
/// AdagradOptions have instead.
///
/// The compiler may assume that a write through a reference to another class does not change this
/// object. So every access copies bytes or comes after a fence.
class OptionsPrefix {
 public:
  OptionsPrefix() { protect(); }
  OptionsPrefix(const OptionsPrefix& other) { copy(other); }
  OptionsPrefix& operator=(const OptionsPrefix& other) {
    if (this != &other) copy(other);
    return *this;
  }
  ~OptionsPrefix() = default;

  double get_lr() const {
    double value;
    std::memcpy(&value, &lr_, sizeof(value));
    return value;
  }
  void set_lr(double value) { std::memcpy(&lr_, &value, sizeof(value)); }

  const double& lr() const {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return lr_;
  }
  double& lr() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return lr_;
  }

  /// Throws, once, if the program wrote to a field other than lr. The message begins with `where`.
  void refuse_foreign_writes(const std::string& where) const {
    unsigned char bytes[kUnused];
    std::memcpy(bytes, unused_, kUnused);
    for (const unsigned char byte : bytes) {
      if (byte == kPattern) continue;
      protect();
      TORCH_CHECK(false, "ivon: ", where,
                  "its options must be written as ivon::IVONOptions, but were written as those of "
                  "another optimizer (static_cast<torch::optim::AdamWOptions&>(options)), which "
                  "they are not; write static_cast<ivon::IVONOptions&>(options), or "
                  "options.set_lr(value) for the learning rate");
    }
  }

 private:
  static constexpr size_t kUnused = 48;
  static constexpr unsigned char kPattern = 0xFF;  // eight such bytes are a NaN, which nobody sets

  void copy(const OptionsPrefix& other) {
    set_lr(other.get_lr());
    std::memcpy(unused_, other.unused_, kUnused);
  }
  void protect() const { std::memset(unused_, kPattern, kUnused); }

  double lr_ = 0.1;
  mutable unsigned char unused_[kUnused];
};

}  // namespace detail
IVON_NAMESPACE_END
