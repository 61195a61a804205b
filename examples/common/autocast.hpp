// SPDX-License-Identifier: Apache-2.0
// Autocast as a scope, which LibTorch has in Python only: inside it, convolutions and matrix
// products run in bfloat16, and what needs the range or precision of float32 stays there. bfloat16
// needs no scaling of the loss.
#pragma once

#include <ATen/autocast_mode.h>

namespace examples {

class Autocast {
 public:
  // Nothing changes unless `enabled`.
  Autocast(at::DeviceType device, bool enabled)
      : device_(device),
        was_enabled_(at::autocast::is_autocast_enabled(device)),
        was_dtype_(at::autocast::get_autocast_dtype(device)) {
    at::autocast::increment_nesting();
    if (!enabled) return;
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  }
  ~Autocast() {
    at::autocast::set_autocast_enabled(device_, was_enabled_);
    at::autocast::set_autocast_dtype(device_, was_dtype_);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool was_enabled_;
  at::ScalarType was_dtype_;
};

}  // namespace examples
