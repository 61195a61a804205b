// SPDX-License-Identifier: Apache-2.0
// Batches of images, read ahead by several threads.
#pragma once

#include <torch/types.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/data/image_data.hpp"
#include "common/data/image_transform.hpp"

namespace examples {

struct ImageBatch {
  torch::Tensor images;   // uint8 [n, channels, side, side] in channels-last order, on the CPU
  torch::Tensor targets;  // int64 [n]
  torch::Tensor rows;     // int64 [n], the number of each image in the data set
};

struct LoaderSettings {
  int64_t batch = 50;         // images of a batch, >= 1; the last one of an epoch may have fewer
  int workers = 2;            // threads that read, >= 1
  int64_t batches_ahead = 4;  // that are held in memory at most, >= 1
  bool strict = false;        // an image that cannot be read is an error of next()
};

// The order of the batches and their contents do not depend on the number of threads. Not to be
// called by several threads at once.
class ImageLoader {
 public:
  // `data` must outlive the loader. Throws std::invalid_argument for settings or a side out of
  // range, and std::runtime_error if no thread can be started; fewer than `workers` are enough.
  ImageLoader(const ImageData& data, const ImageTransform& transform,
              const LoaderSettings& settings);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  // Begins to read the images with the numbers `rows` (int64 on the CPU), in that order, with the
  // augmentation of that epoch. What an earlier start() left unread is dropped. Throws
  // std::invalid_argument for other tensors and for numbers that are no image's.
  void start(int64_t epoch, const torch::Tensor& rows);

  // Waits for the next batch and returns it; nothing after the last one. An image that cannot be
  // read is left out: it is named once on stderr and counted; a batch of which none can be read is
  // empty. Throws std::runtime_error for such an image if settings.strict. All other exceptions of
  // the reading threads, such as those for too little memory, are thrown here: they end the epoch,
  // and each further call throws them again until start().
  std::optional<ImageBatch> next();

  // The number of different images that could not be read so far.
  int64_t unreadable() const { return static_cast<int64_t>(unreadable_.size()); }

  // Seconds that next() has waited so far.
  double waited() const { return waited_; }

 private:
  struct Batch {
    torch::Tensor images, targets, rows;
    std::vector<std::string> errors;  // of each image; empty: it was read
    int64_t unfinished = 0;           // images
  };

  void work();
  std::shared_ptr<Batch> batch_of(int64_t image);
  void read_one(Batch& batch, int64_t place, int64_t epoch) const;
  ImageBatch checked(const Batch& batch);

  const ImageData& data_;
  const ImageTransform transform_;
  const LoaderSettings settings_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable to_do_, done_;
  std::deque<std::shared_ptr<Batch>> ahead_;  // the first is the one that next() waits for
  torch::Tensor rows_;                        // of the epoch
  int64_t epoch_ = 0;
  int64_t next_image_ = 0;  // place in rows_ of the image that a thread takes next
  int64_t next_batch_ = 0;  // that next() returns
  int64_t starts_ = 0;      // calls of start()
  bool stopping_ = false;
  std::exception_ptr failure_;  // of a thread since start(), but for unreadable images

  std::set<int64_t> unreadable_;  // rows
  double waited_ = 0;
  std::vector<std::thread> threads_;
};

// The number of reading threads where the user does not say one: one for each core, 8 at most.
int usual_workers();

}  // namespace examples
