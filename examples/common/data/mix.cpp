// SPDX-License-Identifier: Apache-2.0
#include "common/data/mix.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string_view>

namespace examples {
namespace {

void require_mixable(const torch::Tensor& inputs, const torch::Tensor& targets, int64_t classes,
                     const MixSettings& settings) {
  if (inputs.dim() != 4 || !inputs.is_floating_point() || targets.dim() != 1 ||
      targets.scalar_type() != torch::kLong || targets.size(0) != inputs.size(0) || classes < 1) {
    throw std::invalid_argument(fmt::format(
        "mix() needs floating-point inputs [n, c, h, w], int64 targets [n] and at least one class, "
        "but the inputs are {} [{}], the targets {} [{}] and there are {} classes",
        c10::toString(inputs.scalar_type()), fmt::join(inputs.sizes(), ", "),
        c10::toString(targets.scalar_type()), fmt::join(targets.sizes(), ", "), classes));
  }
  const auto require = [](bool holds, std::string_view name, double value, std::string_view rule) {
    if (holds) return;
    throw std::invalid_argument(fmt::format("{} must be {}, but is {}", name, rule, value));
  };
  const auto is_alpha = [](double value) { return value >= 0 && std::isfinite(value); };
  constexpr auto kAlphaRule = "0 (off) or a positive number, such as 0.2 or 1";
  require(is_alpha(settings.mixup_alpha), "mixup_alpha", settings.mixup_alpha, kAlphaRule);
  require(is_alpha(settings.cutmix_alpha), "cutmix_alpha", settings.cutmix_alpha, kAlphaRule);
  require(settings.label_smoothing >= 0 && settings.label_smoothing <= 1, "label_smoothing",
          settings.label_smoothing, "0 (none) to 1, such as 0.1");
}

// Uniform in (0, 1].
double above_zero(ExampleRandom& random) { return 1 - random.uniform(); }

// From the standard normal distribution (Box and Muller 1958).
double normal_number(ExampleRandom& random) {
  const double radius = std::sqrt(-2 * std::log(above_zero(random)));
  return radius * std::cos(2 * std::acos(-1.0) * random.uniform());
}

// The logarithm of a number from the Gamma distribution with this shape > 0 and scale 1, by
// rejection (Marsaglia and Tsang 2000, "A simple method for generating gamma variables"). The
// logarithm, because for small shapes the number itself can be too small for a double.
double log_gamma_number(double shape, ExampleRandom& random) {
  if (shape < 1) {  // Gamma(shape + 1) * U^(1 / shape) has the distribution Gamma(shape).
    return log_gamma_number(shape + 1, random) + std::log(above_zero(random)) / shape;
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal_number(random), root = 1 + c * x;
    if (root <= 0) continue;
    const double log_v = 3 * std::log(root);
    if (std::log(above_zero(random)) < x * x / 2 + d * (1 - std::exp(log_v) + log_v)) {
      return std::log(d) + log_v;
    }
  }
}

double area_outside(const Box& box, const torch::Tensor& inputs) {
  return 1 - static_cast<double>(box.height * box.width) /
                 static_cast<double>(inputs.size(2) * inputs.size(3));
}

}  // namespace

double beta_number(double a, double b, ExampleRandom& random) {
  // X / (X + Y) with X of Gamma(a) and Y of Gamma(b).
  const double log_x = log_gamma_number(a, random), log_y = log_gamma_number(b, random);
  return 1 / (1 + std::exp(log_y - log_x));
}

torch::Tensor soft_targets(const torch::Tensor& targets, int64_t classes, double label_smoothing) {
  const double for_all = label_smoothing / static_cast<double>(classes);
  return torch::full({targets.size(0), classes}, for_all, targets.options().dtype(torch::kFloat))
      .scatter_(1, targets.unsqueeze(1), 1 - label_smoothing + for_all);
}

torch::Tensor mixed_with_reverse(const torch::Tensor& values, double lambda) {
  return torch::lerp(values.flip(0), values, lambda);
}

torch::Tensor cut_from_reverse(const torch::Tensor& inputs, const Box& box) {
  const auto inside = [&box](const torch::Tensor& images) {  // a view
    return images.narrow(2, box.top, box.height).narrow(3, box.left, box.width);
  };
  torch::Tensor result = inputs.clone();
  inside(result).copy_(inside(inputs).flip(0));
  return result;
}

Box cutmix_box(int64_t height, int64_t width, double lambda, ExampleRandom& random) {
  const double scale = std::sqrt(1 - lambda);
  struct Interval {
    int64_t first, count;
  };
  const auto interval = [&](int64_t length) {
    const auto half = static_cast<int64_t>(static_cast<double>(length) * scale / 2);
    const int64_t centre = random.below(length);
    const int64_t first = std::max<int64_t>(centre - half, 0);
    return Interval{first, std::min(centre + half, length) - first};
  };
  const Interval rows = interval(height), columns = interval(width);
  return {rows.first, columns.first, rows.count, columns.count};
}

Mixed mix(const torch::Tensor& inputs, const torch::Tensor& targets, int64_t classes,
          const MixSettings& settings, ExampleRandom& random) {
  require_mixable(inputs, targets, classes, settings);
  const torch::NoGradGuard no_grad;
  const torch::Tensor soft = soft_targets(targets, classes, settings.label_smoothing);
  const bool mixup = settings.mixup_alpha > 0, cutmix = settings.cutmix_alpha > 0;
  if (!mixup && !cutmix) return {inputs, soft};
  if (mixup && (!cutmix || random.coin())) {
    const double lambda = beta_number(settings.mixup_alpha, settings.mixup_alpha, random);
    return {mixed_with_reverse(inputs, lambda), mixed_with_reverse(soft, lambda)};
  }
  const double lambda = beta_number(settings.cutmix_alpha, settings.cutmix_alpha, random);
  const Box box = cutmix_box(inputs.size(2), inputs.size(3), lambda, random);
  // The labels' weight is the share of the pixels, which the image's border can change.
  return {cut_from_reverse(inputs, box), mixed_with_reverse(soft, area_outside(box, inputs))};
}

}  // namespace examples
