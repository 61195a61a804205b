// SPDX-License-Identifier: Apache-2.0
#include "common/clip_gradient.hpp"

#include <torch/torch.h>

namespace examples {

void clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double bound) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const torch::Tensor& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  if (gradients.empty()) return;
  const torch::Tensor norm = at::stack(at::_foreach_norm(gradients)).norm();
  // The small number keeps a gradient of zeros from becoming 0 / 0.
  at::_foreach_mul_(gradients, (bound / (norm + 1e-6)).clamp_max(1));
}

}  // namespace examples
