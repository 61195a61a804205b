// SPDX-License-Identifier: Apache-2.0
#include "steps.hpp"

#include <torch/torch.h>

#include <vector>

#include "common/clip_gradient.hpp"
#include "common/optimizers.hpp"

namespace gpt2 {
namespace {

void clip_gradient(const Stepping& stepping) {
  if (stepping.gradient_clip > 0) {
    examples::clip_gradient_norm(stepping.parameters, stepping.gradient_clip);
  }
}

// Adds the gradient of the mean loss over all rows and returns that loss, in as many forward passes
// as the step accumulates.
torch::Tensor backward(const Stepping& stepping, const torch::Tensor& rows) {
  torch::Tensor total = torch::zeros({}, rows.device());
  for (const torch::Tensor& some : rows.chunk(stepping.accumulate)) {
    const double share = static_cast<double>(some.size(0)) / static_cast<double>(rows.size(0));
    const torch::Tensor loss = stepping.loss(some);
    (loss * share).backward();
    total += loss.detach() * share;
  }
  return total;
}

}  // namespace

examples::TrainingStep plain_step(const Stepping& stepping) {
  return [stepping](const torch::Tensor& rows) {
    stepping.optimizer.zero_grad();
    torch::Tensor loss = backward(stepping, rows);
    clip_gradient(stepping);
    stepping.optimizer.step();
    return loss;
  };
}

examples::TrainingStep one_sample_step(const Stepping& stepping) {
  ivon::IVON<>& ivon = *examples::as_ivon(stepping.optimizer);
  return [stepping, &ivon](const torch::Tensor& rows) {
    ivon.zero_grad();
    torch::Tensor loss;
    {
      auto sample = ivon.sampled_params();  // weights drawn from the posterior
      loss = backward(stepping, rows);
    }  // the posterior mean again
    clip_gradient(stepping);
    ivon.step();
    return loss;
  };
}

examples::TrainingStep fresh_samples_step(const Stepping& stepping) {
  ivon::IVON<>& ivon = *examples::as_ivon(stepping.optimizer);
  return [stepping, &ivon](const torch::Tensor& rows) {
    torch::Tensor total = torch::zeros({}, rows.device());
    for (const torch::Tensor& some : rows.chunk(stepping.accumulate)) {
      ivon.zero_grad();
      {
        auto sample = ivon.sampled_params();
        const torch::Tensor loss = stepping.loss(some);
        loss.backward();
        total += loss.detach() / static_cast<double>(stepping.accumulate);
      }
      clip_gradient(stepping);
    }
    ivon.step();  // averages over the samples
    return total;
  };
}

}  // namespace gpt2
