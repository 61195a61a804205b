// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/data/image_file.hpp"

namespace examples {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders_in(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) {
    throw std::runtime_error(fmt::format("{}: cannot be read as a folder of images ({})",
                                         folder.string(), error.message()));
  }
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name[0] != '.') names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<fs::path> image_files(const fs::path& folder) {
  std::vector<fs::path> files;
  const auto options = fs::directory_options::skip_permission_denied |
                       fs::directory_options::follow_directory_symlink;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, options)) {
    if (entry.is_regular_file() && is_image_name(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

ImageFolder::ImageFolder(const fs::path& folder, std::vector<std::string> known) {
  const std::vector<std::string> found = folders_in(folder);
  if (found.empty()) {
    throw std::runtime_error(fmt::format(
        "{}: must have one folder of JPEG or PNG files for each class, such as {}/cat/1.jpg, but "
        "has no folders",
        folder.string(), folder.string()));
  }
  classes = known.empty() ? found : std::move(known);
  std::vector<std::string> unknown;
  std::set_difference(found.begin(), found.end(), classes.begin(), classes.end(),
                      std::back_inserter(unknown));
  if (!unknown.empty()) {
    throw std::runtime_error(
        fmt::format("{}: has folders that are no classes of the training set: {}; the classes are "
                    "{}",
                    folder.string(), fmt::join(unknown, ", "), fmt::join(classes, ", ")));
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    add_class(folder / classes[i], static_cast<int64_t>(i));
  }
}

ImageFolder::ImageFolder(std::vector<fs::path> files) : files_(std::move(files)) {
  targets.assign(files_.size(), 0);
}

void ImageFolder::add_class(const fs::path& folder, int64_t target) {
  if (!fs::is_directory(folder)) {
    throw std::runtime_error(fmt::format(
        "{}: must be a folder with at least 1 JPEG or PNG file, because the training set has this "
        "class; add it",
        folder.string()));
  }
  const std::vector<fs::path> files = image_files(folder);
  if (files.empty()) {
    throw std::runtime_error(fmt::format(
        "{}: must have at least 1 JPEG or PNG file, because its name is a class; remove "
        "the folder or add images",
        folder.string()));
  }
  files_.insert(files_.end(), files.begin(), files.end());
  targets.resize(files_.size(), target);
}

std::string ImageFolder::name(int64_t index) const {
  return files_[static_cast<size_t>(index)].string();
}

torch::Tensor ImageFolder::read(int64_t index, const ChooseBox& choose, int64_t side) const {
  const EncodedImage image(files_[static_cast<size_t>(index)]);
  return image.read(choose(image.height(), image.width()), side, side);
}

}  // namespace examples
