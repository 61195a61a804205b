// SPDX-License-Identifier: Apache-2.0
// One parameter and the second buffer that lets it show a sample and then the mean again.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/Storage.h>

#include <ivon/noise.hpp>
#include <ivon/version.hpp>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The parameter's own storage switches between two buffers of equal size: no copy, and every view
/// and tied alias follows. A parameter that does not fill its storage (a slice, a flattened RNN
/// weight) or whose elements do not lie densely is copied to and fro instead, with the same result.
///
/// Hidden, the parameter is `mean()` and the second buffer `sample()`; shown, the parameter is
/// `sample()` and the second buffer `mean()`. Methods are called under NoGradGuard and outside
/// InferenceMode.
class TwoBuffers {
 public:
  explicit TwoBuffers(at::Tensor parameter) : parameter_(std::move(parameter)) {}

  /// Allocates what `show` needs for the parameter's present layout; afterwards `sample()` takes
  /// the next sample: shape, dtype and device of the parameter. May throw; the parameter is as it
  /// was. Returns `moved()` as it was before.
  bool prepare() {
    const bool had_moved = moved();
    switches_ = fills_storage(parameter_);
    const bool fits = second_.defined() && second_.options().type_equal(parameter_.options()) &&
                      second_.device() == parameter_.device() &&
                      second_.sizes() == parameter_.sizes() &&
                      (!has_memory_order(parameter_) || second_.strides() == parameter_.strides());
    if (!fits)
      second_ = empty_in_memory_order(parameter_, parameter_.options().requires_grad(false));
    if (switches_) {
      copied_mean_.reset();
    } else if (!copied_mean_.defined() || !copied_mean_.is_same_size(second_) ||
               !copied_mean_.options().type_equal(second_.options())) {
      copied_mean_ = at::empty_like(second_);
    }
    if (had_moved) as_it_was_ = parameter_.detach();
    remember_memory();
    return had_moved;
  }
  /// The parameter counts as moved, unless it shows a sample.
  void forget_place() {
    if (!shown_) as_it_was_.reset();
  }

  /// Shows what was written to `sample()`; `prepare` has been called for the present layout.
  void show() {
    bytes_ = as_it_was_.storage().nbytes();
    if (switches_) {
      exchange(as_it_was_.storage(), second_.storage());
      bump_version();
    } else {
      copied_mean_.copy_(parameter_);
      parameter_.copy_(second_);
    }
    shown_ = true;
    remember_memory();
  }

  /// Shows the mean again, bit for bit. `written`: the parameter was written while shown, so what
  /// it holds is the sample. False where the parameter had been resized or re-pointed meanwhile: it
  /// has its old storage and shape with the mean back then, or, when the storage itself was
  /// resized, the mean in a storage of its own.
  bool restore(bool written) noexcept {
    if (!shown_) return true;
    try {
      const bool resized = as_it_was_.storage().nbytes() != bytes_;
      const bool intact = !resized && as_it_was();
      if (resized) {
        parameter_.set_data(switches_ ? second_ : copied_mean_);
        second_.reset();
        copied_mean_.reset();
      } else {
        if (switches_) {
          exchange(as_it_was_.storage(), second_.storage());
        } else {
          if (written && intact) second_.copy_(parameter_);
          as_it_was_.copy_(copied_mean_);
        }
        if (!intact) parameter_.set_data(as_it_was_);
      }
      bump_version();
      shown_ = false;
      remember_memory();
      return intact;
    } catch (...) {
      return false;
    }
  }

  /// Frees the second buffer, while the mean is shown; the next `prepare` allocates it again.
  void free_memory() {
    second_.reset();
    copied_mean_.reset();
    as_it_was_.reset();
  }

  bool shown() const { return shown_; }
  const at::Tensor& mean() const {
    return !shown_ ? parameter_ : switches_ ? second_ : copied_mean_;
  }
  const at::Tensor& sample() const { return shown_ ? parameter_ : second_; }

  /// Whether the parameter's memory is not the one that this object left it with: never prepared,
  /// or re-pointed, resized or given other memory by others.
  bool moved() const { return !as_it_was() || memory() != memory_left_; }

  /// Whether the parameter still has the storage and the layout of the last `prepare`.
  bool as_it_was() const {
    const at::Tensor& a = parameter_;
    const at::Tensor& b = as_it_was_;
    return b.defined() &&
           a.storage().unsafeGetStorageImpl() == b.storage().unsafeGetStorageImpl() &&
           a.scalar_type() == b.scalar_type() && a.storage_offset() == b.storage_offset() &&
           a.sizes() == b.sizes() && a.strides() == b.strides();
  }

 private:
  static bool fills_storage(const at::Tensor& tensor) {
    return tensor.is_non_overlapping_and_dense() && tensor.storage_offset() == 0 &&
           tensor.numel() * static_cast<int64_t>(tensor.element_size()) ==
               static_cast<int64_t>(tensor.storage().nbytes());
  }

  // mutable_data_ptr materialises a copy-on-write buffer, so that its clones keep what they have
  // and nothing can fail between the two switches.
  static void exchange(const c10::Storage& a, const c10::Storage& b) {
    (void)a.mutable_data_ptr();
    (void)b.mutable_data_ptr();
    at::DataPtr from_a = a.set_data_ptr(at::DataPtr(nullptr, a.device()));
    a.set_data_ptr_noswap(b.set_data_ptr(std::move(from_a)));
  }

  const void* memory() const { return parameter_.storage().unsafeGetStorageImpl()->data(); }
  void remember_memory() { memory_left_ = memory(); }

  // Autograd then reports a backward pass that comes after the switch.
  void bump_version() {
    if (!parameter_.is_inference()) parameter_.unsafeGetTensorImpl()->bump_version();
  }

  at::Tensor parameter_;
  at::Tensor second_;                  // hidden: the last sample; shown and switched: the mean
  at::Tensor copied_mean_;             // copying route: the mean while a sample is shown
  at::Tensor as_it_was_;               // alias of the parameter as it was at `prepare`
  const void* memory_left_ = nullptr;  // of the parameter's storage, after the last call
  size_t bytes_ = 0;                   // while shown: size of the parameter's storage at `show`
  bool switches_ = false;
  bool shown_ = false;
};

}  // namespace detail
IVON_NAMESPACE_END
