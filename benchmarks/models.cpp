// SPDX-License-Identifier: Apache-2.0
#include "models.hpp"

#include <cmath>
#include <stdexcept>

namespace ivon_benchmark {
namespace {

// He et al., CVPR 2016, with bottleneck blocks of 3, 4, 6, 3; batch norms have weight and bias.
Shapes resnet50() {
  Shapes shapes;
  const auto convolution_and_norm = [&](int64_t out, int64_t in, int64_t kernel) {
    shapes.push_back({out, in, kernel, kernel});
    shapes.push_back({out});
    shapes.push_back({out});
  };
  convolution_and_norm(64, 3, 7);
  int64_t channels = 64;
  int64_t width = 64;
  for (const int blocks : {3, 4, 6, 3}) {
    for (int block = 0; block < blocks; ++block) {
      convolution_and_norm(width, channels, 1);
      convolution_and_norm(width, width, 3);
      convolution_and_norm(4 * width, width, 1);
      if (block == 0) convolution_and_norm(4 * width, channels, 1);
      channels = 4 * width;
    }
    width *= 2;
  }
  shapes.push_back({1000, channels});
  shapes.push_back({1000});
  return shapes;
}

// Radford et al. 2019, head tied to the embedding.
Shapes gpt2(int layers, int64_t width) {
  Shapes shapes = {{50257, width}, {1024, width}};
  const auto norm = [&] {
    shapes.push_back({width});
    shapes.push_back({width});
  };
  const auto linear = [&](int64_t in, int64_t out) {
    shapes.push_back({in, out});
    shapes.push_back({out});
  };
  for (int layer = 0; layer < layers; ++layer) {
    norm();
    linear(width, 3 * width);
    linear(width, width);
    norm();
    linear(width, 4 * width);
    linear(4 * width, width);
  }
  norm();
  return shapes;
}

}  // namespace

Shapes shapes_of(const std::string& model) {
  if (model == "resnet50") return resnet50();
  if (model == "gpt2") return gpt2(12, 768);
  if (model == "gpt2-xl") return gpt2(48, 1600);
  if (model == "100x1000") return Shapes(100, {1000});
  size_t parsed = 0;
  double count = 0;
  try {
    count = std::stod(model, &parsed);
  } catch (const std::exception&) {
    parsed = 0;
  }
  if (parsed == 0 || parsed != model.size() || !(count >= 1 && count <= 1e12)) {
    throw std::invalid_argument(
        "model must be resnet50, gpt2, gpt2-xl, 100x1000, noise or a number, got '" + model + "'");
  }
  return {{std::llround(count)}};
}

int64_t count_elements(const Shapes& shapes) {
  int64_t total = 0;
  for (const auto& shape : shapes) {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    total += product;
  }
  return total;
}

}  // namespace ivon_benchmark
