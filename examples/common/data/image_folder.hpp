// SPDX-License-Identifier: Apache-2.0
// Image files in folders: one folder for each class, as ImageNet is usually laid out.
#pragma once

#include <filesystem>

#include "common/data/image_data.hpp"

namespace examples {

class ImageFolder : public ImageData {
 public:
  // The JPEG and PNG files below the folders of `folder`, which are the classes, both in the order
  // of their names. `classes`: those of the training set, so that numbers agree; empty: the folders
  // that there are. Throws std::runtime_error, saying what to put where, if `folder` has no
  // folders, if a class has no image, or if there is a folder that is not among the classes.
  explicit ImageFolder(const std::filesystem::path& folder, std::vector<std::string> classes = {});

  // Files without classes: all targets are 0.
  explicit ImageFolder(std::vector<std::filesystem::path> files);

  int64_t channels() const override { return 3; }
  std::string name(int64_t index) const override;
  torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const override;

  const std::vector<std::filesystem::path>& files() const { return files_; }

 private:
  void add_class(const std::filesystem::path& folder, int64_t target);

  std::vector<std::filesystem::path> files_;  // of each image
};

// The JPEG and PNG files below `folder`, by their names' endings, in the order of their paths.
// Links are followed, each folder is read once, and files and folders whose names begin with a dot
// are left out. Throws std::runtime_error naming the folder that cannot be read.
std::vector<std::filesystem::path> image_files(const std::filesystem::path& folder);

}  // namespace examples
