// SPDX-License-Identifier: Apache-2.0
// Data sets made from another one: some of its images, or all with other channels.
#pragma once

#include <memory>

#include "common/data/image_data.hpp"

namespace examples {

// The images with the numbers `rows` of `data`, in that order.
class ImageSubset : public ImageData {
 public:
  ImageSubset(std::shared_ptr<const ImageData> data, std::vector<int64_t> rows);

  int64_t channels() const override { return data_->channels(); }
  std::string name(int64_t index) const override;
  torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const override;

 private:
  std::shared_ptr<const ImageData> data_;
  std::vector<int64_t> rows_;
};

// `count` images spread evenly over `data`, so that each class keeps its share where the images
// come class by class; all of them if count <= 0 or there are not more.
std::shared_ptr<const ImageData> evenly_spread(std::shared_ptr<const ImageData> data,
                                               int64_t count);

// The images of `data` with 1 channel (the luminance of Rec. 601) or 3 (grey repeated).
std::shared_ptr<const ImageData> with_channels(std::shared_ptr<const ImageData> data,
                                               int64_t channels);

}  // namespace examples
