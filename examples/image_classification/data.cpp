// SPDX-License-Identifier: Apache-2.0
#include "data.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "common/data/crops.hpp"
#include "common/data/image_folder.hpp"
#include "common/data/image_views.hpp"
#include "common/data/images_in_memory.hpp"
#include "common/data/packed_images.hpp"

namespace image_classification {
namespace {

namespace fs = std::filesystem;

// Loads the training images of a folder, or its test images.
using Load = std::function<std::unique_ptr<examples::ImagesInMemory>(const fs::path&, bool train)>;

bool holds_any(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (fs::exists(folder / name)) return true;
  }
  return false;
}

bool is_cifar(const fs::path& folder) {
  return holds_any(folder, {"data_batch_1.bin", "train.bin", "test_batch.bin", "test.bin"});
}

bool is_mnist(const fs::path& folder) {
  return holds_any(folder, {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                            "t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"});
}

// The folder of the test images: the first one that has a folder of a training class, because test/
// often holds images without labels, while val/ has classes.
fs::path test_folder(const fs::path& folder, const std::vector<std::string>& classes) {
  for (const char* name : {"test", "val", "validation"}) {
    if (std::any_of(classes.begin(), classes.end(), [&](const std::string& each) {
          return fs::is_directory(folder / name / each);
        })) {
      return folder / name;
    }
  }
  throw std::runtime_error(fmt::format(
      "{0}: has train/, but test/, val/ or validation/ must have folders named after its classes "
      "as well, and none has; put test images into {0}/test/{1} and so on",
      folder.string(), classes.front()));
}

// With --cache, the images of a folder from a packed file. The network sees the central part of a
// test image, so that part of a stored image has the side of the network's inputs.
ImagesPtr maybe_packed(const std::shared_ptr<const examples::ImageFolder>& images,
                       const DataSettings& s, const std::string& name, int64_t side) {
  if (s.cache.empty()) return images;
  fs::create_directories(s.cache);
  const auto shorter =
      static_cast<int64_t>(std::ceil(static_cast<double>(side) / examples::kCentralShare));
  return examples::packed(images, fs::path(s.cache) / name, shorter, workers(s));
}

[[noreturn]] void fail_unknown(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw std::runtime_error(
        fmt::format("--data must name a folder, but '{}' {}; name one with train/ and test/, or "
                    "with the files of CIFAR, MNIST or Fashion-MNIST",
                    folder.string(), fs::exists(folder) ? "is none" : "does not exist"));
  }
  throw std::runtime_error(fmt::format(
      "{0}: holds no images that are known here. It must hold one of these:\n"
      "  train/CLASS/*.jpg and test/CLASS/*.jpg (or val/; JPEG or PNG), one folder for each class\n"
      "  data_batch_1.bin to data_batch_5.bin and test_batch.bin of CIFAR-10's binary version\n"
      "  train.bin and test.bin of CIFAR-100's binary version\n"
      "  train-images-idx3-ubyte and the three other files of MNIST or Fashion-MNIST, plain or "
      ".gz\n"
      "Nothing is downloaded. On Debian, `apt-get install dataset-fashion-mnist` provides\n"
      "/usr/share/datasets/fashion-mnist.",
      folder.string()));
}

DataSets open_in_memory(const fs::path& folder, const Load& load) {
  const std::shared_ptr<const examples::ImagesInMemory> train = load(folder, true);
  return {train, load(folder, false), false, std::max(train->height(), train->width())};
}

DataSets open_files(const fs::path& folder, const DataSettings& s, int64_t side) {
  const auto train = std::make_shared<examples::ImageFolder>(folder / "train");
  const auto test =
      std::make_shared<examples::ImageFolder>(test_folder(folder, train->classes), train->classes);
  return {maybe_packed(train, s, "train.images", side), maybe_packed(test, s, "test.images", side),
          true, 0};
}

}  // namespace

int workers(const DataSettings& s) { return s.workers > 0 ? s.workers : examples::usual_workers(); }

DataSets open_data(const DataSettings& s, int64_t side) {
  const fs::path folder = s.folder;
  DataSets sets;
  if (is_mnist(folder)) {
    sets = open_in_memory(folder, examples::load_mnist);
  } else if (is_cifar(folder)) {
    sets = open_in_memory(folder, examples::load_cifar_images);
  } else if (fs::is_directory(folder / "train")) {
    sets = open_files(folder, s, side);
  } else {
    fail_unknown(folder);
  }
  if (const auto& classes = sets.train->classes; classes.size() < 2) {
    throw std::runtime_error(
        fmt::format("{}: must have at least 2 classes, but has only {}; add a folder of images for "
                    "each other class to {}",
                    folder.string(), fmt::join(classes, ", "), (folder / "train").string()));
  }
  sets.train = examples::evenly_spread(sets.train, s.train_limit);
  sets.test = examples::evenly_spread(sets.test, s.test_limit);
  return sets;
}

DataSets open_training_data(const Settings& s) {
  const int64_t side = image_side(s.training);
  DataSets sets = open_data(s.data, side);
  const bool usual_crop = s.augmentation.crop == "auto" || s.training.test_crop == "auto";
  if (usual_crop && sets.pixels > 0 && 2 * side > 3 * sets.pixels) {
    throw std::invalid_argument(
        fmt::format("--side is {}, but the images have {} pixels and would lie in a black frame; "
                    "give --side {}, or --crop whole --test-crop whole to enlarge them",
                    side, sets.pixels, (sets.pixels + 31) / 32 * 32));
  }
  return sets;
}

ImagesPtr open_outside(const fs::path& folder, int64_t channels) {
  if (folder.empty()) return nullptr;
  ImagesPtr images;
  if (is_mnist(folder)) {
    images = examples::load_mnist(folder, false);
  } else if (is_cifar(folder)) {
    images = examples::load_cifar_images(folder, false);
  } else {
    if (!fs::is_directory(folder)) {
      throw std::runtime_error(fmt::format(
          "--outside must name a folder of JPEG or PNG files, or of a data set, but '{}' {}",
          folder.string(), fs::exists(folder) ? "is no folder" : "does not exist"));
    }
    const std::vector<fs::path> files = examples::image_files(folder);
    if (files.empty()) {
      throw std::runtime_error(fmt::format(
          "{}: must hold at least 1 JPEG or PNG file (.jpg, .jpeg, .png), but has none; name "
          "another folder with --outside",
          folder.string()));
    }
    images = std::make_shared<examples::ImageFolder>(files);
  }
  return examples::with_channels(images, channels);
}

examples::Crop training_crop(const AugmentationSettings& s, bool files) {
  if (s.crop == "centred") return test_crop("auto", files);
  if (s.crop == "whole") return examples::Crop::kWhole;
  if (s.crop == "shifted") return examples::Crop::kShifted;
  if (s.crop == "padded") return examples::Crop::kPadded;
  if (s.crop == "resized") return examples::Crop::kRandomResized;
  return files ? examples::Crop::kRandomResized : examples::Crop::kPadded;
}

examples::Crop test_crop(const std::string& choice, bool files) {
  if (choice == "whole") return examples::Crop::kWhole;
  return files || choice == "centre" ? examples::Crop::kCentreShare : examples::Crop::kCentred;
}

examples::ImageTransform training_transform(const AugmentationSettings& s, examples::Crop crop,
                                            int64_t side, int64_t seed) {
  examples::ImageTransform transform;
  transform.side = side;
  transform.crop = crop;
  transform.flip = s.flip;
  transform.flip_vertical = s.flip_vertical;
  transform.rand_augment = s.rand_augment > 0;
  transform.augment.magnitude = s.rand_augment;
  transform.seed = static_cast<uint64_t>(seed);
  return transform;
}

std::unique_ptr<examples::ImageLoader> test_loader(const examples::ImageData& data,
                                                   examples::Crop crop, int64_t side,
                                                   const DataSettings& s, int64_t batch) {
  examples::ImageTransform transform;
  transform.side = side;
  transform.crop = crop;
  examples::LoaderSettings settings;
  settings.batch = batch;
  settings.workers = workers(s);
  settings.strict = s.strict;
  auto loader = std::make_unique<examples::ImageLoader>(data, transform, settings);
  loader->start(0, torch::arange(data.size()));
  return loader;
}

}  // namespace image_classification
