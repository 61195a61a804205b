// SPDX-License-Identifier: Apache-2.0
// A small convolutional GAN on Fashion-MNIST, after DCGAN: two optimizers, the non-saturating loss
// (binary cross entropy), Adam with rate 2e-4 and betas (0.5, 0.999), batches of 64.
#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kGanLatent = 64;

// Brings the standardised images to -1 ... 1, the range of the generator.
torch::Tensor gan_pixels(const torch::Tensor& images) {
  static const double darkest = fashion_mnist().train.inputs.min().item<double>();
  static const double range = fashion_mnist().train.inputs.max().item<double>() - darkest;
  return (images - darkest) * (2 / range) - 1;
}

torch::nn::Conv2d gan_halve(int64_t in, int64_t out) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, /*kernel_size=*/4).stride(2).padding(1));
}

torch::nn::ConvTranspose2d gan_double(int64_t in, int64_t out) {
  return torch::nn::ConvTranspose2d(
      torch::nn::ConvTranspose2dOptions(in, out, /*kernel_size=*/4).stride(2).padding(1));
}

torch::nn::LeakyReLU gan_leaky() {
  return torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(0.2));
}

struct GanMoments {
  torch::Tensor mean, covariance;  // [k] and [k, k], float64
};

// Measures generated images against the test images: the Frechet distance between normal
// distributions fitted to features, which are the last hidden layer of a classifier. The classifier
// has a fixed seed and is the same in all runs.
class GanJudge {
 public:
  GanJudge() {
    torch::manual_seed(0);
    features_ = torch::nn::Sequential(gan_halve(1, 8), torch::nn::ReLU(), gan_halve(8, 16),
                                      torch::nn::ReLU(), torch::nn::Flatten(),
                                      torch::nn::Linear(16 * 7 * 7, 48), torch::nn::ReLU());
    torch::nn::Linear head(48, 10);
    std::vector<torch::Tensor> parameters = features_->parameters();
    for (const torch::Tensor& parameter : head->parameters()) parameters.push_back(parameter);
    torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(1e-3));
    const FashionMnist& data = fashion_mnist();
    Batches batches(data.train.size(), /*batch_size=*/128, /*seed=*/0);
    for (int step = 0; step < 600; ++step) {
      const examples::InMemory batch = data.train.batch(batches.next());
      optimizer.zero_grad();
      const torch::Tensor logits = head->forward(features_->forward(gan_pixels(batch.inputs)));
      torch::nn::functional::cross_entropy(logits, batch.targets).backward();
      optimizer.step();
    }
    const torch::NoGradGuard no_grad;
    test_ = moments(features_->forward(gan_pixels(data.test.inputs)));
    const auto [values, vectors] = torch::linalg_eigh(test_.covariance, "L");
    root_ = (vectors * values.clamp_min(0).sqrt()).mm(vectors.t());
  }

  // `images` are blocks of images in -1 ... 1. Not a number if one of them has such a pixel.
  double distance(const std::vector<torch::Tensor>& images) {
    std::vector<torch::Tensor> features;
    for (const torch::Tensor& block : images) features.push_back(features_->forward(block));
    const GanMoments other = moments(torch::cat(features));
    if (!torch::isfinite(other.covariance).all().item<bool>()) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    // The trace of (A B)^(1/2) is that of (A^(1/2) B A^(1/2))^(1/2), whose argument is symmetric.
    const torch::Tensor product = root_.mm(other.covariance).mm(root_);
    const torch::Tensor roots = torch::linalg_eigvalsh(product, "L").clamp_min(0).sqrt();
    return ((test_.mean - other.mean).square().sum() + test_.covariance.trace() +
            other.covariance.trace() - 2 * roots.sum())
        .item<double>();
  }

 private:
  static GanMoments moments(const torch::Tensor& features) {
    const torch::Tensor values = features.to(torch::kDouble);
    const torch::Tensor centred = values - values.mean(0);
    return {values.mean(0), centred.t().mm(centred) / static_cast<double>(values.size(0) - 1)};
  }

  torch::nn::Sequential features_;
  GanMoments test_;
  torch::Tensor root_;  // of the covariance of the test images
};

torch::Tensor gan_loss(const torch::Tensor& scores, double label) {
  return torch::nn::functional::binary_cross_entropy_with_logits(scores,
                                                                 torch::full_like(scores, label));
}

}  // namespace

Result train_gan(const Run& run) {
  static GanJudge judge;  // before the seed of this run is set, as it sets its own
  torch::manual_seed(run.seed);
  torch::nn::Sequential generator(torch::nn::Linear(kGanLatent, 32 * 7 * 7),
                                  torch::nn::Unflatten(torch::nn::UnflattenOptions(1, {32, 7, 7})),
                                  torch::nn::BatchNorm2d(32), torch::nn::ReLU(), gan_double(32, 16),
                                  torch::nn::BatchNorm2d(16), torch::nn::ReLU(), gan_double(16, 1),
                                  torch::nn::Tanh());
  torch::nn::Sequential discriminator(gan_halve(1, 16), gan_leaky(), gan_halve(16, 32), gan_leaky(),
                                      torch::nn::Flatten(), torch::nn::Linear(32 * 7 * 7, 1));
  const FashionMnist& data = fashion_mnist();
  const int64_t batch_size = 64;
  Batches batches(data.train.size(), batch_size, run.seed);
  // The noise has generators of its own, so that it is the same for all optimizers.
  const at::Generator noise = at::make_generator<at::CPUGeneratorImpl>(2 * run.seed);
  const at::Generator final_noise = at::make_generator<at::CPUGeneratorImpl>(2 * run.seed + 1);
  const auto usual = torch::optim::AdamOptions(2e-4).betas(std::make_tuple(0.5, 0.999));
  const auto discriminator_optimizer =
      run.contender.make(discriminator->parameters(), usual, /*examples=*/0);
  const auto generator_optimizer =
      run.contender.make(generator->parameters(), usual, /*examples=*/0);

  const int64_t steps = run.scaled(2'800);
  const int64_t between = std::max<int64_t>(1, steps / 20);
  double total = 0;
  int measured = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const torch::Tensor real = gan_pixels(data.train.inputs.index_select(0, batches.next()));
    const torch::Tensor fake = generator->forward(torch::randn({batch_size, kGanLatent}, noise));
    discriminator_optimizer->zero_grad();
    (gan_loss(discriminator->forward(real), 1) + gan_loss(discriminator->forward(fake.detach()), 0))
        .backward();
    discriminator_optimizer->step();
    generator_optimizer->zero_grad();
    gan_loss(discriminator->forward(fake), 1).backward();
    generator_optimizer->step();

    // A GAN goes up and down, so the figure is the mean over the end and three points before it.
    const int64_t left = steps - 1 - step;
    if (left % between != 0 || left / between >= 4) continue;
    discriminator_optimizer->eval();
    generator_optimizer->eval();
    {
      // As is usual for DCGAN, the generator stays in training mode: batch normalisation takes the
      // statistics of the 1,000 images of a block.
      const torch::NoGradGuard no_grad;
      std::vector<torch::Tensor> images;
      for (int block = 0; block < 10; ++block) {
        images.push_back(generator->forward(torch::randn({1000, kGanLatent}, final_noise)));
      }
      total += judge.distance(images);
      ++measured;
    }
    discriminator_optimizer->train();
    generator_optimizer->train();
  }
  Result result;
  result.merit = total / measured;  // the Frechet distance
  return result;
}

}  // namespace drop_in
