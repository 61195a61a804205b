// SPDX-License-Identifier: Apache-2.0
// A linear layer that is computed by oneDNN where that is possible.
#pragma once

#include <torch/types.h>

namespace examples {

// x weight' + bias, as at::linear: x [..., inputs], weight [outputs, inputs], bias [outputs] or
// undefined -> [..., outputs]. With gradients.
//
// On CPUs, at::linear multiplies float32 matrices by Intel's MKL, which does not use AVX-512 on
// processors of other makers, and multiplies a vector on one thread. oneDNN, which LibTorch
// contains for convolutions, does better at both and is 2 to 3 times as fast there. Results differ
// from at::linear's by roundings. Inputs that are no matrices, other types and devices, small
// products, autocast and a LibTorch without oneDNN get at::linear itself.
torch::Tensor fast_linear(const torch::Tensor& x, const torch::Tensor& weight,
                          const torch::Tensor& bias = {});

}  // namespace examples
