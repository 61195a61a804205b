// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_views.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <stdexcept>
#include <utility>

namespace examples {
namespace {

// Other channels of the same images.
class ConvertedImages : public ImageData {
 public:
  ConvertedImages(std::shared_ptr<const ImageData> data, int64_t channels)
      : data_(std::move(data)), channels_(channels) {
    classes = data_->classes;
    targets = data_->targets;
  }

  int64_t channels() const override { return channels_; }
  std::string name(int64_t index) const override { return data_->name(index); }

  // Plain loops, because LibTorch's operations on large tensors would start threads of their own
  // within each thread of a loader.
  torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const override {
    const torch::Tensor pixels = data_->read(index, choose, side);
    torch::Tensor result = torch::empty({side, side, channels_}, torch::kByte);
    const uint8_t* in = pixels.data_ptr<uint8_t>();
    auto* out = result.data_ptr<uint8_t>();
    for (int64_t i = 0; i < side * side; ++i) {
      if (channels_ == 3) {
        out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
      } else {
        // 0.299 red + 0.587 green + 0.114 blue in units of 1/65536, rounded.
        const int sum = 19595 * in[3 * i] + 38470 * in[3 * i + 1] + 7471 * in[3 * i + 2];
        out[i] = static_cast<uint8_t>((sum + 32768) >> 16);
      }
    }
    return result;
  }

 private:
  std::shared_ptr<const ImageData> data_;
  int64_t channels_;
};

}  // namespace

ImageSubset::ImageSubset(std::shared_ptr<const ImageData> data, std::vector<int64_t> rows)
    : data_(std::move(data)), rows_(std::move(rows)) {
  classes = data_->classes;
  for (const int64_t row : rows_) targets.push_back(data_->targets.at(static_cast<size_t>(row)));
}

std::string ImageSubset::name(int64_t index) const {
  return data_->name(rows_[static_cast<size_t>(index)]);
}

torch::Tensor ImageSubset::read(int64_t index, const ChooseBox& choose, int64_t side) const {
  return data_->read(rows_[static_cast<size_t>(index)], choose, side);
}

std::shared_ptr<const ImageData> evenly_spread(std::shared_ptr<const ImageData> data,
                                               int64_t count) {
  const int64_t total = data->size();
  if (count <= 0 || count >= total) return data;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < count; ++i) rows.push_back(i * total / count);
  return std::make_shared<ImageSubset>(std::move(data), std::move(rows));
}

std::shared_ptr<const ImageData> with_channels(std::shared_ptr<const ImageData> data,
                                               int64_t channels) {
  if (data->channels() == channels) return data;
  if (channels != 1 && channels != 3) {
    throw std::invalid_argument(fmt::format(
        "channels must be 1 or 3, got {}; give 1 for grey levels or 3 for red, green and blue",
        channels));
  }
  return std::make_shared<ConvertedImages>(std::move(data), channels);
}

}  // namespace examples
