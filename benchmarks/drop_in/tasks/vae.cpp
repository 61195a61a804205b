// SPDX-License-Identifier: Apache-2.0
// A variational autoencoder on Fashion-MNIST, after the well-known example of PyTorch: layers
// 784-400-20-400-784, the loss of an image is the sum over its pixels of the binary cross entropy
// plus the Kullback-Leibler divergence, so that gradients are large; Adam with a constant rate.
#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kVaeLatent = 20;

struct VaeModel : torch::nn::Module {
  VaeModel() {
    register_module("encoder", encoder);
    register_module("decoder", decoder);
  }

  // Returns the negative evidence lower bound in nats, summed over the images. `pixels` [n, 784]
  // are in 0 ... 1; `noise` [n, kVaeLatent] is standard normal.
  torch::Tensor loss(const torch::Tensor& pixels, const torch::Tensor& noise) {
    const std::vector<torch::Tensor> code = encoder->forward(pixels).chunk(2, /*dim=*/1);
    const torch::Tensor& mean = code[0];
    const torch::Tensor& log_variance = code[1];
    const torch::Tensor latent = mean + noise * torch::exp(0.5 * log_variance);
    const torch::Tensor divergence =
        -0.5 * torch::sum(1 + log_variance - mean.square() - log_variance.exp());
    const torch::Tensor reconstruction = torch::nn::functional::binary_cross_entropy_with_logits(
        decoder->forward(latent), pixels,
        torch::nn::functional::BinaryCrossEntropyWithLogitsFuncOptions().reduction(torch::kSum));
    return reconstruction + divergence;
  }

  torch::nn::Sequential encoder = torch::nn::Sequential(
      torch::nn::Linear(784, 400), torch::nn::ReLU(), torch::nn::Linear(400, 2 * kVaeLatent));
  torch::nn::Sequential decoder = torch::nn::Sequential(
      torch::nn::Linear(kVaeLatent, 400), torch::nn::ReLU(), torch::nn::Linear(400, 784));
};

}  // namespace

Result train_vae(const Run& run) {
  torch::manual_seed(run.seed);
  VaeModel model;
  const FashionMnist& data = fashion_mnist();
  // The images are standardised; this brings their pixels back to 0 ... 1.
  const double darkest = data.train.inputs.min().item<double>();
  const double range = data.train.inputs.max().item<double>() - darkest;
  const auto pixels = [&](const torch::Tensor& images) {
    return ((images.flatten(1) - darkest) / range).clamp(0, 1);
  };
  const int64_t batch_size = 128;
  Batches batches(data.train.size(), batch_size, run.seed);
  // The noise has a generator of its own, so that it is the same for all optimizers.
  const at::Generator noise = at::make_generator<at::CPUGeneratorImpl>(run.seed);
  const auto optimizer = run.contender.make(model.parameters(), torch::optim::AdamOptions(1e-3),
                                            static_cast<double>(data.train.size()));
  const int64_t steps = run.scaled(5'500);
  for (int64_t step = 0; step < steps; ++step) {
    const torch::Tensor images = pixels(data.train.inputs.index_select(0, batches.next()));
    optimizer->zero_grad();
    const torch::Tensor loss = model.loss(images, torch::randn({batch_size, kVaeLatent}, noise));
    (loss / static_cast<double>(batch_size)).backward();
    optimizer->step();
  }

  optimizer->eval();
  model.eval();
  const torch::NoGradGuard no_grad;
  const at::Generator test_noise = at::make_generator<at::CPUGeneratorImpl>(uint64_t{1});
  double total = 0;
  for (const torch::Tensor& images : data.test.inputs.split(500)) {
    const torch::Tensor draw = torch::randn({images.size(0), kVaeLatent}, test_noise);
    total += model.loss(pixels(images), draw).item<double>();
  }
  Result result;
  // The negative evidence lower bound of a test image in nats.
  result.merit = total / static_cast<double>(data.test.size());
  return result;
}

}  // namespace drop_in
