// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_loader.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace examples {

int usual_workers() {
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
}

ImageLoader::ImageLoader(const ImageData& data, const ImageTransform& transform,
                         const LoaderSettings& settings)
    : data_(data),
      transform_(transform),
      settings_(settings),
      rows_(torch::empty({0}, torch::kLong)) {
  if (settings.batch < 1 || settings.workers < 1 || settings.batches_ahead < 1) {
    throw std::invalid_argument(fmt::format(
        "a loader must have a batch, workers and batches_ahead >= 1, got {}, {} and {}; "
        "give at least 1",
        settings.batch, settings.workers, settings.batches_ahead));
  }
  if (transform.side < 1) {
    throw std::invalid_argument(fmt::format(
        "the side of a loader's images must be >= 1, got {}; give at least 1", transform.side));
  }
  threads_.reserve(static_cast<size_t>(settings.workers));
  try {
    for (int i = 0; i < settings.workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::exception& error) {
    if (!threads_.empty()) return;
    throw std::runtime_error(fmt::format(
        "no thread can be started that reads images: {}; end other programs", error.what()));
  }
}

ImageLoader::~ImageLoader() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  to_do_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ImageLoader::start(int64_t epoch, const torch::Tensor& rows) {
  if (rows.dim() != 1 || rows.scalar_type() != torch::kLong || !rows.device().is_cpu()) {
    throw std::invalid_argument(
        fmt::format("the rows of a loader must be int64 [n] on the CPU, got {} with {} dimensions; "
                    "use .cpu().to(torch::kLong).flatten()",
                    c10::toString(rows.scalar_type()), rows.dim()));
  }
  if (rows.numel() > 0 &&
      (rows.min().item<int64_t>() < 0 || rows.max().item<int64_t>() >= data_.size())) {
    throw std::invalid_argument(fmt::format(
        "the rows of a loader must be 0 to {}, got {} to {}; take numbers of the data set's images",
        data_.size() - 1, rows.min().item<int64_t>(), rows.max().item<int64_t>()));
  }
  // A copy, because the threads read it while the caller may change the tensor.
  const torch::Tensor own = rows.clone(torch::MemoryFormat::Contiguous);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    rows_ = own;
    epoch_ = epoch;
    ++starts_;
    failure_ = nullptr;
    next_image_ = next_batch_ = 0;
    ahead_.clear();  // threads that still fill one of these batches hold it themselves
  }
  to_do_.notify_all();
}

void ImageLoader::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    to_do_.wait(lock, [this] {
      const bool has_room = next_image_ < (next_batch_ + settings_.batches_ahead) * settings_.batch;
      const bool has_work = next_image_ < rows_.numel() && has_room && failure_ == nullptr;
      return stopping_ || has_work;
    });
    if (stopping_) return;
    const int64_t image = next_image_++, epoch = epoch_, start = starts_;
    std::shared_ptr<Batch> batch;
    std::exception_ptr failure;
    try {
      batch = batch_of(image);
      lock.unlock();
      read_one(*batch, image % settings_.batch, epoch);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!lock.owns_lock()) lock.lock();
    if (failure != nullptr) {
      if (start == starts_ && failure_ == nullptr) failure_ = failure;
      done_.notify_all();  // the batch remains unfinished
    } else if (--batch->unfinished == 0) {
      done_.notify_all();
    }
  }
}

// The batch that this image of the epoch belongs to, made if it is the first one. The caller has
// locked mutex_.
std::shared_ptr<ImageLoader::Batch> ImageLoader::batch_of(int64_t image) {
  const auto place_in_ahead = static_cast<size_t>(image / settings_.batch - next_batch_);
  if (place_in_ahead == ahead_.size()) {
    const int64_t n = std::min(settings_.batch, rows_.numel() - image);
    auto batch = std::make_shared<Batch>();
    batch->images =
        torch::empty({n, transform_.side, transform_.side, data_.channels()}, torch::kByte);
    batch->targets = torch::empty({n}, torch::kLong);
    batch->rows = rows_.slice(0, image, image + n);
    batch->errors.resize(static_cast<size_t>(n));
    batch->unfinished = n;
    ahead_.push_back(std::move(batch));
  }
  return ahead_[place_in_ahead];
}

void ImageLoader::read_one(Batch& batch, int64_t place, int64_t epoch) const {
  const int64_t row = batch.rows.data_ptr<int64_t>()[place];
  const int64_t bytes = transform_.side * transform_.side * data_.channels();
  try {
    batch.targets.data_ptr<int64_t>()[place] = data_.targets[static_cast<size_t>(row)];
    transform_.apply(data_, row, epoch, batch.images.data_ptr<uint8_t>() + place * bytes);
  } catch (const std::runtime_error& error) {  // the image cannot be read
    batch.errors[static_cast<size_t>(place)] = error.what();
  }
}

std::optional<ImageBatch> ImageLoader::next() {
  const auto begin = std::chrono::steady_clock::now();
  std::shared_ptr<Batch> batch;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (next_batch_ * settings_.batch >= rows_.numel()) return {};
    const auto is_ready = [this] { return !ahead_.empty() && ahead_.front()->unfinished == 0; };
    done_.wait(lock, [&] { return is_ready() || failure_ != nullptr; });
    if (!is_ready()) std::rethrow_exception(failure_);
    batch = ahead_.front();
    ahead_.pop_front();
    ++next_batch_;
  }
  to_do_.notify_all();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return checked(*batch);
}

ImageBatch ImageLoader::checked(const Batch& batch) {
  std::vector<int64_t> good;
  for (size_t i = 0; i < batch.errors.size(); ++i) {
    const std::string& error = batch.errors[i];
    if (error.empty()) {
      good.push_back(static_cast<int64_t>(i));
      continue;
    }
    if (settings_.strict) throw std::runtime_error(error);
    const bool is_new = unreadable_.insert(batch.rows.data_ptr<int64_t>()[i]).second;
    if (is_new) fmt::print(stderr, "\nleft out: {}\n", error);
  }
  const torch::Tensor images = batch.images.permute({0, 3, 1, 2});
  if (good.size() == batch.errors.size()) return {images, batch.targets, batch.rows};
  const torch::Tensor kept = torch::tensor(good, torch::kLong);
  return {images.index_select(0, kept).contiguous(torch::MemoryFormat::ChannelsLast),
          batch.targets.index_select(0, kept), batch.rows.index_select(0, kept)};
}

}  // namespace examples
