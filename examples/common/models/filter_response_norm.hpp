// SPDX-License-Identifier: Apache-2.0
// Filter response normalisation and the thresholded linear unit (Singh and Krishnan 2020, arXiv
// 1911.09737), which take the place of batch norm and ReLU. Each example is normalised on its own,
// so that training and evaluation compute the same and the likelihood of one example does not
// depend on the others of its batch.
//
// Both are bound by memory, so they have gradients written by hand, which read and write the
// activations less often than those of single operations. Second derivatives are not available.
// Both keep channels-last order. Under autocast activations stay in bfloat16, and sums over them
// are made in float32.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace examples {

// y = gamma x / sqrt(nu + 1e-6) + beta, where nu is the mean of x^2 over the pixels of a channel of
// one example.
struct FilterResponseNormImpl : torch::nn::Module {
  explicit FilterResponseNormImpl(int64_t channels);
  // x [n, channels, height, width] -> a new tensor of the same shape, type and memory order
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor gamma, beta;  // [channels], initially 1 and 0
};
TORCH_MODULE(FilterResponseNorm);

// max(y, tau) with a learned threshold for each channel.
struct ThresholdedLinearUnitImpl : torch::nn::Module {
  explicit ThresholdedLinearUnitImpl(int64_t channels);
  // y [n, channels, height, width]. The result overwrites y, so nothing else may need y's values:
  // the results of FilterResponseNorm, of a convolution and of a sum may be passed, but no leaf.
  torch::Tensor forward(const torch::Tensor& y);

  torch::Tensor tau;  // [channels], initially 0
};
TORCH_MODULE(ThresholdedLinearUnit);

}  // namespace examples
