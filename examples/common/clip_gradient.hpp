// SPDX-License-Identifier: Apache-2.0
// A bound on the norm of a gradient (Pascanu et al. 2013, arXiv 1211.5063).
#pragma once

#include <torch/types.h>

#include <vector>

namespace examples {

// Multiplies the gradients of `parameters` by min(1, bound / norm), where norm is the Euclidean
// norm of all of them together. As torch::nn::utils::clip_grad_norm_(), but in a few operations for
// all tensors and without waiting for a GPU. Parameters without a gradient are passed over. bound >
// 0.
void clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double bound);

}  // namespace examples
