// SPDX-License-Identifier: Apache-2.0
// Image files as batches and one by one, with the time that it takes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/data/image_folder.hpp"
#include "common/data/image_loader.hpp"

namespace vision_benchmark {

struct LoadingSettings {
  std::string folder;  // with one folder of image files for each class
  int64_t side = 224;  // of the random resized crops, in pixels
  int64_t batch = 64;  // images
  int workers = 2;     // reading threads

  bool operator==(const LoadingSettings& other) const {
    return folder == other.folder && side == other.side && batch == other.batch &&
           workers == other.workers;
  }
};

struct Timed {
  int64_t images = 0;
  double seconds = 0;
  double waited = 0;  // seconds of those in which the next batch was waited for
};

// Epochs of shuffled batches: random resized crop, random flip. The threads are kept.
class Loading {
 public:
  // Throws std::runtime_error for a folder without classes.
  explicit Loading(const LoadingSettings& settings);

  const LoadingSettings& settings() const { return settings_; }

  // Hands every batch of so many epochs to `use`.
  Timed epochs(int64_t count, const std::function<void(const examples::ImageBatch&)>& use);

 private:
  LoadingSettings settings_;
  examples::ImageFolder data_;
  examples::ImageLoader loader_;
  int64_t epoch_ = 0;  // the next one
};

// Reads the files below `folder` in turns, `count` in all, on the calling thread. Throws
// std::runtime_error if there is none or one is damaged.
Timed decode_crops(const std::filesystem::path& folder, int64_t count, int64_t side);
Timed decode_whole(const std::filesystem::path& folder, int64_t count);

}  // namespace vision_benchmark
