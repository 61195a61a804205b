// SPDX-License-Identifier: Apache-2.0
#include "data.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <stdexcept>

#include "common/data/image_folder.hpp"
#include "common/data/image_views.hpp"
#include "common/data/images_in_memory.hpp"
#include "common/data/packed_images.hpp"

namespace image_classification {
namespace {

namespace fs = std::filesystem;

bool has_any(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (fs::exists(folder / name)) return true;
  }
  return false;
}

bool is_cifar(const fs::path& folder) {
  return has_any(folder, {"data_batch_1.bin", "train.bin", "test_batch.bin", "test.bin"});
}

bool is_mnist(const fs::path& folder) {
  return has_any(folder, {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                          "t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"});
}

fs::path test_folder(const fs::path& folder) {
  for (const char* name : {"test", "val", "validation"}) {
    if (fs::is_directory(folder / name)) return folder / name;
  }
  return {};
}

// With --cache, the images of a folder from a packed file. The network sees the central 7/8 of a
// test image, so that much of a stored image has the side of the network's inputs.
ImagesPtr maybe_packed(const std::shared_ptr<const examples::ImageFolder>& images,
                       const DataSettings& s, const std::string& name, int64_t side) {
  if (s.cache.empty()) return images;
  fs::create_directories(s.cache);
  return examples::packed(images, fs::path(s.cache) / name, (8 * side + 6) / 7, workers(s));
}

[[noreturn]] void fail_unknown(const fs::path& folder) {
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

}  // namespace

int workers(const DataSettings& s) { return s.workers > 0 ? s.workers : examples::usual_workers(); }

DataSets open_data(const DataSettings& s, int64_t side) {
  const fs::path folder = s.folder;
  DataSets sets;
  if (is_mnist(folder)) {
    sets.train = examples::load_mnist(folder, true);
    sets.test = examples::load_mnist(folder, false);
  } else if (is_cifar(folder)) {
    sets.train = examples::load_cifar_images(folder, true);
    sets.test = examples::load_cifar_images(folder, false);
  } else if (fs::is_directory(folder / "train") && !test_folder(folder).empty()) {
    const auto train = std::make_shared<examples::ImageFolder>(folder / "train");
    const auto test = std::make_shared<examples::ImageFolder>(test_folder(folder), train->classes);
    sets.train = maybe_packed(train, s, "train.images", side);
    sets.test = maybe_packed(test, s, "test.images", side);
    sets.files = true;
  } else {
    fail_unknown(folder);
  }
  sets.train = examples::evenly_spread(sets.train, s.train_limit);
  sets.test = examples::evenly_spread(sets.test, s.test_limit);
  return sets;
}

ImagesPtr open_outside(const fs::path& folder, int64_t channels) {
  ImagesPtr images;
  if (is_mnist(folder)) {
    images = examples::load_mnist(folder, false);
  } else if (is_cifar(folder)) {
    images = examples::load_cifar_images(folder, false);
  } else {
    const std::vector<fs::path> files = examples::image_files(folder);
    if (files.empty()) {
      throw std::runtime_error(
          fmt::format("{}: must hold JPEG or PNG files, but has none", folder.string()));
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
