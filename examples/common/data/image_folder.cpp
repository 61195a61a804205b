// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/data/file_error.hpp"
#include "common/data/image_file.hpp"

namespace examples {
namespace {

namespace fs = std::filesystem;

// What a folder holds and is not hidden, in the order of the names.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().native()[0] != '.') entries.push_back(*it);
  }
  if (error) {
    fail_file(folder, fmt::format("cannot be read as a folder of images ({}); check its name and "
                                  "its permissions",
                                  error.message()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_folder(const fs::directory_entry& entry) {
  std::error_code ignored;  // of a link that leads nowhere, for instance
  return entry.is_directory(ignored);
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : entries_of(folder)) {
    if (is_folder(entry)) names.push_back(entry.path().filename().string());
  }
  return names;
}

// Appends the images below `folder`. `visited`: the real paths of the folders that were read
// before; each is read once, because links may lead back to a folder above them.
void add_images_below(const fs::path& folder, std::set<fs::path>& visited,
                      std::vector<fs::path>& files) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (!error && !visited.insert(real).second) return;
  for (const fs::directory_entry& entry : entries_of(folder)) {
    if (is_folder(entry)) {
      add_images_below(entry.path(), visited, files);
    } else if (is_image_name(entry.path()) && entry.is_regular_file(error)) {
      files.push_back(entry.path());
    }
  }
}

}  // namespace

std::vector<fs::path> image_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::set<fs::path> visited;
  add_images_below(folder, visited, files);
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
  for (const std::string& name : found) {
    if (std::find(classes.begin(), classes.end(), name) == classes.end()) unknown.push_back(name);
  }
  if (!unknown.empty()) {
    throw std::runtime_error(
        fmt::format("{}: has folders that are no classes of the training set: {}; remove or rename "
                    "them; the classes are {}",
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
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
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
