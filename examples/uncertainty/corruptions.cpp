// SPDX-License-Identifier: Apache-2.0
#include "corruptions.hpp"

#include <torch/torch.h>

#include <array>
#include <cmath>
#include <cstddef>

namespace uncertainty {
namespace {

using Strengths = std::array<double, 5>;  // of the severities 1 to 5

double strength(const Strengths& of, int64_t severity) {
  return of.at(static_cast<size_t>(severity - 1));
}

// The weights [k] of a Gaussian at the whole numbers from -radius to radius, with the sum 1.
torch::Tensor gaussian_weights(double sigma) {
  const auto radius = static_cast<int64_t>(std::ceil(3 * sigma));
  const torch::Tensor x = torch::arange(-radius, radius + 1, torch::kFloat);
  return torch::softmax(-x.square() / (2 * sigma * sigma), 0);
}

}  // namespace

torch::Tensor rotated(const torch::Tensor& images, double degrees) {
  const double angle = degrees * M_PI / 180;
  const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
  // Rows: where a pixel of the result comes from. The vertical axis points down.
  const torch::Tensor from = torch::tensor({c, -s, 0.0F, s, c, 0.0F}).view({1, 2, 3});
  const torch::Tensor grid = torch::affine_grid_generator(from.expand({images.size(0), 2, 3}),
                                                          images.sizes(), /*align_corners=*/false);
  return torch::grid_sampler(images, grid, /*interpolation: bilinear*/ 0, /*padding: zeros*/ 0,
                             /*align_corners=*/false);
}

torch::Tensor noisy(const torch::Tensor& images, double sigma, at::Generator& generator) {
  const torch::Tensor noise = torch::empty_like(images).normal_(0, sigma, generator);
  return (images + noise).clamp(0, 1);
}

torch::Tensor blurred(const torch::Tensor& images, int64_t severity) {
  const torch::Tensor weights = gaussian_weights(strength({0.5, 1.0, 1.5, 2.0, 2.5}, severity));
  const int64_t k = weights.size(0);
  const torch::Tensor in_columns =
      torch::conv2d(images, weights.view({1, 1, k, 1}), {}, 1, at::IntArrayRef{k / 2, 0});
  return torch::conv2d(in_columns, weights.view({1, 1, 1, k}), {}, 1, at::IntArrayRef{0, k / 2});
}

torch::Tensor with_less_contrast(const torch::Tensor& images, int64_t severity) {
  const torch::Tensor mean = images.mean({1, 2, 3}, /*keepdim=*/true);
  return mean + (images - mean) * strength({0.6, 0.45, 0.3, 0.2, 0.1}, severity);
}

torch::Tensor occluded(const torch::Tensor& images, int64_t severity, at::Generator& generator) {
  const auto side = static_cast<int64_t>(strength({6, 9, 12, 15, 18}, severity));
  const int64_t n = images.size(0), pixels = images.size(-1);
  // Which rows, or columns, of each image the square covers: [n, pixels] bool.
  const auto covered = [&] {
    const torch::Tensor first =
        torch::randint(0, pixels - side + 1, {n, 1}, generator, torch::kLong);
    const torch::Tensor place = torch::arange(pixels).unsqueeze(0);
    return place.ge(first).logical_and(place.lt(first + side));
  };
  const torch::Tensor rows = covered().view({n, 1, pixels, 1});
  const torch::Tensor columns = covered().view({n, 1, 1, pixels});
  return images.masked_fill(rows.logical_and(columns), 0);
}

const std::vector<Corruption>& corruptions() {
  using Images = torch::Tensor;
  using Generator = at::Generator;
  const auto severity = [](double level) { return static_cast<int64_t>(std::lround(level)); };
  const std::vector<double> severities = {1, 2, 3, 4, 5};
  static const std::vector<Corruption> all = {
      {"rotation",
       "degrees",
       {15, 30, 45, 60, 90},
       [](const Images& x, double level, Generator&) { return rotated(x, level); }},
      {"noise", "standard deviation", {0.1, 0.2, 0.3, 0.4, 0.5}, noisy},
      {"blur", "severity", severities,
       [severity](const Images& x, double level, Generator&) {
         return blurred(x, severity(level));
       }},
      {"contrast", "severity", severities,
       [severity](const Images& x, double level, Generator&) {
         return with_less_contrast(x, severity(level));
       }},
      {"occlusion", "severity", severities,
       [severity](const Images& x, double level, Generator& generator) {
         return occluded(x, severity(level), generator);
       }},
  };
  return all;
}

}  // namespace uncertainty
