// SPDX-License-Identifier: Apache-2.0
// One parameter and its second buffer, with which the parameter can show a sample and then the mean
// again.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/Storage.h>

#include <ivon/dispatch/tensors.hpp>
#include <ivon/version.hpp>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

/// The storages of the parameter and of the second buffer exchange their memory. Nothing is copied,
/// and all views and tied aliases of the parameter see the change. A parameter that does not fill
/// its storage (a slice, a flattened RNN weight), or whose elements do not lie densely, is copied
/// instead, with the same result.
///
/// While the mean is shown, the parameter is `mean()` and the second buffer is `sample()`. While a
/// sample is shown, the parameter is `sample()` and the second buffer is `mean()`. Methods must be
/// called under NoGradGuard and outside InferenceMode.
class TwoBuffers {
 public:
  explicit TwoBuffers(at::Tensor parameter) : parameter_(std::move(parameter)) {}

  /// Allocates what `show` needs for the parameter's present layout. Afterwards the next sample can
  /// be written to `sample()`, which has the shape, dtype and device of the parameter. If this
  /// throws, the parameter is unchanged. Returns what `moved()` was before the call.
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
    if (had_moved) prepared_ = parameter_.detach();
    remember_memory();
    return had_moved;
  }
  /// Makes the parameter count as moved, unless it shows a sample.
  void forget_place() {
    if (!shown_) prepared_.reset();
  }

  /// Shows what was written to `sample()`. `prepare` must have been called for the present layout.
  void show() {
    bytes_ = prepared_.storage().nbytes();
    if (switches_) {
      exchange(prepared_.storage(), second_.storage());
      bump_version();
    } else {
      copied_mean_.copy_(parameter_);
      parameter_.copy_(second_);
    }
    shown_ = true;
    remember_memory();
  }

  /// Shows the mean again, bit for bit. If `written`, the program wrote to the parameter while it
  /// showed the sample, so the present values are the sample.
  ///
  /// Returns false if the parameter was resized or re-pointed meanwhile, or if an error occurred. A
  /// parameter that was resized or re-pointed gets back its former storage and shape with the mean;
  /// if the storage itself was resized, it gets the mean in a new storage.
  bool restore(bool written) noexcept {
    if (!shown_) return true;
    try {
      const bool resized = prepared_.storage().nbytes() != bytes_;
      const bool intact = !resized && still_prepared();
      if (resized) {
        parameter_.set_data(switches_ ? second_ : copied_mean_);
        second_.reset();
        copied_mean_.reset();
      } else {
        if (switches_) {
          exchange(prepared_.storage(), second_.storage());
        } else {
          if (written && intact) second_.copy_(parameter_);
          prepared_.copy_(copied_mean_);
        }
        if (!intact) parameter_.set_data(prepared_);
      }
      bump_version();
      shown_ = false;
      remember_memory();
      return intact;
    } catch (...) {
      return false;
    }
  }

  /// Frees the second buffer; the next `prepare` allocates it again. The mean must be shown.
  void free_memory() {
    second_.reset();
    copied_mean_.reset();
    prepared_.reset();
  }

  bool shown() const { return shown_; }
  const at::Tensor& mean() const {
    return !shown_ ? parameter_ : switches_ ? second_ : copied_mean_;
  }
  const at::Tensor& sample() const { return shown_ ? parameter_ : second_; }

  /// Whether the parameter's memory is not as this object left it: it was never prepared, or the
  /// program re-pointed it (set_data), resized it or gave it other memory.
  bool moved() const { return !still_prepared() || memory() != memory_left_; }

  /// Whether the parameter still has the storage and the layout of the last `prepare`.
  bool still_prepared() const {
    const at::Tensor& a = parameter_;
    const at::Tensor& b = prepared_;
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

  // mutable_data_ptr() copies a copy-on-write buffer first, so that its clones keep their values
  // and nothing can fail between the two calls of set_data_ptr().
  static void exchange(const c10::Storage& a, const c10::Storage& b) {
    (void)a.mutable_data_ptr();
    (void)b.mutable_data_ptr();
    at::DataPtr from_a = a.set_data_ptr(at::DataPtr(nullptr, a.device()));
    a.set_data_ptr_noswap(b.set_data_ptr(std::move(from_a)));
  }

  const void* memory() const { return parameter_.storage().unsafeGetStorageImpl()->data(); }
  void remember_memory() { memory_left_ = memory(); }

  // Lets autograd report a backward pass that comes after the buffers were exchanged.
  void bump_version() {
    if (!parameter_.is_inference()) parameter_.unsafeGetTensorImpl()->bump_version();
  }

  at::Tensor parameter_;
  // While the mean is shown, the last sample. While a sample is shown, the mean if the storages
  // were exchanged, else the sample.
  at::Tensor second_;
  at::Tensor copied_mean_;             // the mean while a sample is shown, if values are copied
  at::Tensor prepared_;                // alias of the parameter as it was at the last `prepare`
  const void* memory_left_ = nullptr;  // address of the parameter's memory after the last call
  size_t bytes_ = 0;                   // size of the parameter's storage at the last `show`
  bool switches_ = false;
  bool shown_ = false;
};

}  // namespace detail
IVON_NAMESPACE_END
