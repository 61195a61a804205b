// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
// arXiv 1604.06174): a part of a network keeps its input only, and computes its activations again
// in the backward pass. Python has torch.utils.checkpoint for it; LibTorch has nothing.
#pragma once

#include <torch/types.h>

#include <functional>

namespace examples {

// function(input), with the gradients of input and of all parameters that `function` uses, in
// memory for its input and output only. In the backward pass `function` runs a second time: it must
// compute the same, and must not change anything else (as batch norm's running statistics). Random
// numbers of LibTorch's default generators (dropout) and autocast are as in the first run.
//
// `function` may be called after checkpointed() has returned, until the backward pass is over: what
// it refers to must live so long, and the parameters must hold the same values. Without gradients,
// or where its output needs none, it is just called. Tensors that `function` uses besides its input
// must be leaves of the autograd graph, as parameters are, or need no gradient. Gradients of
// gradients are not supported: they are an error.
torch::Tensor checkpointed(const std::function<torch::Tensor(const torch::Tensor&)>& function,
                           const torch::Tensor& input);

}  // namespace examples
