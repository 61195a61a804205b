// SPDX-License-Identifier: Apache-2.0
#include "data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "common/data/idx.hpp"

namespace fashion_mnist {
namespace {

constexpr int64_t kSide = 28;
constexpr int64_t kClasses = 10;
constexpr double kMean = 0.2860;  // of the training images' pixels, scaled to [0, 1]
constexpr double kStd = 0.3530;

examples::InMemory load_split(const std::filesystem::path& folder, const std::string& prefix,
                              int64_t limit) {
  const auto images_file = examples::find_idx(folder, prefix + "-images-idx3-ubyte");
  const auto labels_file = examples::find_idx(folder, prefix + "-labels-idx1-ubyte");
  torch::Tensor images = examples::read_idx(images_file, 3);
  torch::Tensor labels = examples::read_idx(labels_file, 1);
  if (images.size(1) != kSide || images.size(2) != kSide) {
    throw std::runtime_error(fmt::format("{}: images must be 28 x 28, got {} x {}",
                                         images_file.string(), images.size(1), images.size(2)));
  }
  if (images.size(0) != labels.size(0) || labels.size(0) == 0) {
    throw std::runtime_error(fmt::format("{}: must hold one label per image, got {} for {} images",
                                         labels_file.string(), labels.size(0), images.size(0)));
  }
  const auto largest = labels.max().item<int64_t>();
  if (largest >= kClasses) {
    throw std::runtime_error(
        fmt::format("{}: labels must be 0 to 9, got {}", labels_file.string(), largest));
  }
  const examples::InMemory kept = examples::InMemory{images, labels}.first(limit);
  const torch::Tensor scaled = kept.inputs.unsqueeze(1).to(torch::kFloat).div_(255);
  return {(scaled - kMean).div_(kStd).contiguous(torch::MemoryFormat::ChannelsLast),
          kept.targets.to(torch::kLong)};
}

}  // namespace

Data Data::to(const torch::Device& device) const { return {train.to(device), test.to(device)}; }

Data load(const std::filesystem::path& folder, int64_t train_limit, int64_t test_limit) {
  return {load_split(folder, "train", train_limit), load_split(folder, "t10k", test_limit)};
}

}  // namespace fashion_mnist
