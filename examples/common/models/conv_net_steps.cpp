// SPDX-License-Identifier: Apache-2.0
#include "common/models/conv_net_steps.hpp"

namespace examples {

TrainingStep plain_step(ConvNet& model, torch::optim::Optimizer& optimizer, const InMemory& train,
                        bool bf16) {
  return [&model, &optimizer, &train, bf16](const torch::Tensor& rows) {
    const auto [images, targets] = train.batch(rows);
    optimizer.zero_grad();
    auto loss = torch::cross_entropy_loss(logits(model, images, bf16), targets);
    loss.backward();
    optimizer.step();
    return loss;
  };
}

TrainingStep ivon_step(ConvNet& model, ivon::IVON<>& optimizer, const InMemory& train, bool bf16) {
  return [&model, &optimizer, &train, bf16](const torch::Tensor& rows) {
    const auto [images, targets] = train.batch(rows);
    optimizer.zero_grad();
    torch::Tensor loss;
    {
      auto sample = optimizer.sampled_params();  // weights drawn from the posterior
      loss = torch::cross_entropy_loss(logits(model, images, bf16), targets);
      loss.backward();
    }  // the posterior mean again
    optimizer.step();
    return loss;
  };
}

}  // namespace examples
