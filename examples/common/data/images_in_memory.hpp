// SPDX-License-Identifier: Apache-2.0
// Images of one size that lie in memory: MNIST, Fashion-MNIST, CIFAR.
#pragma once

#include <filesystem>
#include <memory>

#include "common/data/image_data.hpp"

namespace examples {

class ImagesInMemory : public ImageData {
 public:
  // pixels: uint8 [n, height, width, 1 or 3]; targets: int64 [n], 0 to classes.size() - 1. `title`
  // names the whole in messages. Throws std::invalid_argument for other tensors.
  ImagesInMemory(torch::Tensor pixels, const torch::Tensor& targets,
                 std::vector<std::string> classes, std::string title);

  int64_t height() const { return pixels_.size(1); }  // of each image, in pixels
  int64_t width() const { return pixels_.size(2); }
  int64_t channels() const override { return pixels_.size(3); }
  std::string name(int64_t index) const override;
  torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const override;

 private:
  torch::Tensor pixels_;
  std::string title_;
};

// Fashion-MNIST or MNIST from the four IDX files (plain or .gz) of a folder, which do not say which
// of the two they are: the classes have the names of clothes if the folder or the one that it lies
// in has "fashion" in its name, in upper or lower case, and those of digits otherwise. Throws
// std::runtime_error naming the file that cannot be read, and std::invalid_argument naming the file
// of images whose labels do not fit it.
std::unique_ptr<ImagesInMemory> load_mnist(const std::filesystem::path& folder, bool train);

// CIFAR-10 or CIFAR-100 from the files of their binary version. Throws what load_cifar() throws
// (data/cifar.hpp).
std::unique_ptr<ImagesInMemory> load_cifar_images(const std::filesystem::path& folder, bool train);

}  // namespace examples
