// SPDX-License-Identifier: Apache-2.0
#include "common/data/fashion_mnist.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "common/data/idx.hpp"

namespace examples {
namespace {

constexpr int64_t kFashionSide = 28;
constexpr int64_t kFashionClasses = 10;
constexpr double kFashionMean = 0.2860;  // of the training images' pixels, scaled to [0, 1]
constexpr double kFashionStd = 0.3530;

InMemory load_fashion_split(const std::filesystem::path& folder, const std::string& prefix,
                            int64_t limit) {
  const auto images_file = find_idx(folder, prefix + "-images-idx3-ubyte");
  const auto labels_file = find_idx(folder, prefix + "-labels-idx1-ubyte");
  torch::Tensor images = read_idx(images_file, 3);
  torch::Tensor labels = read_idx(labels_file, 1);
  if (images.size(1) != kFashionSide || images.size(2) != kFashionSide) {
    throw std::runtime_error(fmt::format("{}: images must be 28 x 28, got {} x {}",
                                         images_file.string(), images.size(1), images.size(2)));
  }
  if (images.size(0) != labels.size(0) || labels.size(0) == 0) {
    throw std::runtime_error(fmt::format("{}: must hold one label per image, got {} for {} images",
                                         labels_file.string(), labels.size(0), images.size(0)));
  }
  const auto largest = labels.max().item<int64_t>();
  if (largest >= kFashionClasses) {
    throw std::runtime_error(
        fmt::format("{}: labels must be 0 to 9, got {}", labels_file.string(), largest));
  }
  const InMemory kept = InMemory{images, labels}.first(limit);
  return {kept.inputs.unsqueeze(1).to(torch::kFloat).div_(255), kept.targets.to(torch::kLong)};
}

}  // namespace

FashionMnist FashionMnist::to(const torch::Device& device) const {
  return {train.to(device), test.to(device)};
}

FashionMnist load_fashion_mnist(const std::filesystem::path& folder, int64_t train_limit,
                                int64_t test_limit) {
  FashionMnist data = load_fashion_mnist_grey(folder, train_limit, test_limit);
  for (InMemory* part : {&data.train, &data.test}) part->inputs = standardised(part->inputs);
  return data;
}

FashionMnist load_fashion_mnist_grey(const std::filesystem::path& folder, int64_t train_limit,
                                     int64_t test_limit) {
  return {load_fashion_split(folder, "train", train_limit),
          load_fashion_split(folder, "t10k", test_limit)};
}

torch::Tensor standardised(const torch::Tensor& grey) {
  return (grey - kFashionMean).div_(kFashionStd).contiguous(torch::MemoryFormat::ChannelsLast);
}

torch::Tensor grey_levels(const torch::Tensor& standardised) {
  return (standardised * kFashionStd).add_(kFashionMean);
}

}  // namespace examples
