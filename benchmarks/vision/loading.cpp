// SPDX-License-Identifier: Apache-2.0
#include "loading.hpp"

#include <torch/torch.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

#include "common/data/image_file.hpp"

namespace vision_benchmark {
namespace {

using LoadingClock = std::chrono::steady_clock;

double seconds_since(LoadingClock::time_point begin) {
  return std::chrono::duration<double>(LoadingClock::now() - begin).count();
}

examples::ImageTransform random_crops(int64_t side, bool flip) {
  examples::ImageTransform transform;
  transform.side = side;
  transform.crop = examples::Crop::kRandomResized;
  transform.flip = flip;
  return transform;
}

examples::LoaderSettings loader_settings(const LoadingSettings& s) {
  examples::LoaderSettings settings;
  settings.batch = s.batch;
  settings.workers = s.workers;
  settings.strict = true;
  return settings;
}

std::vector<std::filesystem::path> some_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files = examples::image_files(folder);
  if (files.empty()) {
    throw std::runtime_error(folder.string() + ": must hold JPEG or PNG files, but has none; " +
                             "make_photos.py makes some");
  }
  return files;
}

}  // namespace

Loading::Loading(const LoadingSettings& settings)
    : settings_(settings),
      data_(settings.folder),
      loader_(data_, random_crops(settings.side, /*flip=*/true), loader_settings(settings)) {}

Timed Loading::epochs(int64_t count, const std::function<void(const examples::ImageBatch&)>& use) {
  Timed timed;
  const double waited_before = loader_.waited();
  const auto begin = LoadingClock::now();
  for (int64_t i = 0; i < count; ++i) {
    loader_.start(epoch_++, torch::randperm(data_.size(), torch::kLong));
    while (const std::optional<examples::ImageBatch> batch = loader_.next()) {
      use(*batch);
      timed.images += batch->images.size(0);
    }
  }
  timed.seconds = seconds_since(begin);
  timed.waited = loader_.waited() - waited_before;
  return timed;
}

Timed decode_crops(const std::filesystem::path& folder, int64_t count, int64_t side) {
  const examples::ImageFolder data(some_files(folder));
  const examples::ImageTransform transform = random_crops(side, /*flip=*/false);
  std::vector<uint8_t> out(static_cast<size_t>(side * side * data.channels()));
  const auto begin = LoadingClock::now();
  for (int64_t i = 0; i < count; ++i) {
    transform.apply(data, i % data.size(), /*epoch=*/i / data.size(), out.data());
  }
  return {count, seconds_since(begin), 0};
}

Timed decode_whole(const std::filesystem::path& folder, int64_t count) {
  const std::vector<std::filesystem::path> files = some_files(folder);
  const auto begin = LoadingClock::now();
  for (int64_t i = 0; i < count; ++i) {
    const examples::EncodedImage image(files[static_cast<size_t>(i) % files.size()]);
    image.read({0, 0, image.height(), image.width()}, image.height(), image.width());
  }
  return {count, seconds_since(begin), 0};
}

}  // namespace vision_benchmark
