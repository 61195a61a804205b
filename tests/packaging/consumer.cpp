// SPDX-License-Identifier: Apache-2.0
// What a user's project compiles: trains two weights towards a known answer and fails when they do
// not get there.
#include <torch/torch.h>

#include <cstdio>
#include <ivon/ivon.hpp>

int main() {
  torch::manual_seed(0);
  torch::Tensor weight = torch::zeros({2}, torch::requires_grad());
  const torch::Tensor target = torch::tensor({1.0F, -2.0F});
  ivon::IVON optimizer({weight}, ivon::IVONOptions(0.1).ess(1000).weight_decay(0));
  for (int step = 0; step < 300; ++step) {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      (weight - target).square().sum().backward();
    }
    optimizer.step();
  }
  const double error = (weight.detach() - target).abs().max().item<double>();
  std::printf("ivon %s, LibTorch %s, error %.4f\n", ivon::kVersion, TORCH_VERSION, error);
  return error < 0.1 ? 0 : 1;
}
