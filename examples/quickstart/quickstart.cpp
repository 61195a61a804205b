// SPDX-License-Identifier: Apache-2.0
// Quickstart: learn whether a point lies inside the unit circle, then ask how sure the network is.
#include <torch/torch.h>

#include <cstdio>
#include <ivon/ivon.hpp>

int main() {
  torch::set_num_threads(1);  // tensors this small gain nothing from more
  torch::manual_seed(1);
  const auto x = torch::randn({1000, 2});
  const auto inside = (x.norm(2, 1) < 1).to(torch::kLong);
  torch::nn::Sequential model(torch::nn::Linear(2, 32), torch::nn::Tanh(),
                              torch::nn::Linear(32, 2));

  ivon::IVON optimizer(model->parameters(),
                       ivon::IVONOptions::like_adamw(/*lr=*/1e-2, /*ess=*/1000));
  for (int step = 0; step < 3000; ++step) {
    optimizer.zero_grad();
    torch::cross_entropy_loss(model->forward(x), inside).backward();
    optimizer.step();  // AdamW's step; then the model holds weights drawn from the posterior
  }
  optimizer.eval();  // the model holds the posterior mean

  const auto points = torch::tensor({{0.0, 0.0}, {1.0, 0.0}, {2.0, 0.0}}).to(torch::kFloat);
  const auto p = ivon::predict(
      optimizer, [&] { return model->forward(points); }, /*samples=*/64);
  for (int i = 0; i < 3; ++i) {
    std::printf("at (%d, 0): inside with probability %.3f, entropy %.3f nats\n", i,
                p.probs[i][1].item<double>(), p.entropy[i].item<double>());
  }
}
