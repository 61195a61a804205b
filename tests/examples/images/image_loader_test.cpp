// SPDX-License-Identifier: Apache-2.0
// The loader's order, its errors and its memory; the views of a data set.
#include "common/data/image_loader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/data/image_views.hpp"
#include "common/data/resize.hpp"
#include "small.hpp"

namespace {

using examples::Crop;
using examples::ImageBatch;
using examples::ImageLoader;
using examples::ImageTransform;
using examples::LoaderSettings;
using examples_test::error_of;
using testing::HasSubstr;

constexpr int64_t kFakeImages = 23;

// 23 random images of 12 x 14 pixels; the class is the number modulo 3.
class FakeImages : public examples::ImageData {
 public:
  explicit FakeImages(int64_t channels = 3, std::set<int64_t> bad = {}, int milliseconds = 0)
      : bad_(std::move(bad)), milliseconds_(milliseconds) {
    torch::manual_seed(1);
    pixels = torch::randint(256, {kFakeImages, 12, 14, channels}, torch::kByte);
    classes = {"a", "b", "c"};
    for (int64_t i = 0; i < kFakeImages; ++i) targets.push_back(i % 3);
  }
  int64_t channels() const override { return pixels.size(3); }
  std::string name(int64_t index) const override { return fmt::format("image {}", index); }
  torch::Tensor read(int64_t index, const examples::ChooseBox& choose,
                     int64_t side) const override {
    ++reads;
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds_));
    if (bad_.count(index) > 0) throw std::runtime_error(name(index) + ": is torn");
    if (index == without_memory) throw std::bad_alloc();
    const examples::Box box = choose(12, 14);
    return examples::resized(pixels[index], examples::real_box(box), side, side);
  }

  torch::Tensor pixels;         // uint8 [23, 12, 14, channels]
  int64_t without_memory = -1;  // the image whose reading finds no memory
  mutable std::atomic<int64_t> reads{0};

 private:
  std::set<int64_t> bad_;
  int milliseconds_;
};

ImageTransform loader_augmentation() {
  ImageTransform transform;
  transform.side = 8;
  transform.crop = Crop::kRandomResized;
  transform.flip = transform.rand_augment = true;
  return transform;
}

LoaderSettings loader_settings(int64_t batch, int workers, int64_t ahead) {
  LoaderSettings settings;
  settings.batch = batch;
  settings.workers = workers;
  settings.batches_ahead = ahead;
  return settings;
}

// uint8 [n, 3, 8, 8], what the loader still gives.
torch::Tensor remaining_images(ImageLoader& loader) {
  std::vector<torch::Tensor> all;
  while (const auto batch = loader.next()) all.push_back(batch->images);
  return torch::cat(all);
}

torch::Tensor augmented_images(const torch::Tensor& rows, int64_t epoch, int workers = 2,
                               int64_t ahead = 4) {
  const FakeImages data;
  ImageLoader loader(data, loader_augmentation(), loader_settings(5, workers, ahead));
  loader.start(epoch, rows);
  return remaining_images(loader);
}

TEST(ImageLoader, GivesTheSameForAnyNumberOfThreads) {
  const torch::Tensor rows = torch::arange(kFakeImages).flip(0);
  const torch::Tensor expected = augmented_images(rows, 3, 1, 1);
  for (const int workers : {1, 2, 7}) {
    for (const int64_t ahead : {1, 4}) {
      EXPECT_TRUE(torch::equal(augmented_images(rows, 3, workers, ahead), expected)) << workers;
    }
  }
}

TEST(ImageLoader, BeginsInTheMiddleOfAnEpoch) {
  const torch::Tensor rows = torch::arange(kFakeImages).flip(0);
  EXPECT_TRUE(
      torch::equal(augmented_images(rows.slice(0, 10), 2), augmented_images(rows, 2).slice(0, 10)));
}

TEST(ImageLoader, AugmentsEachEpochInItsOwnWay) {
  const torch::Tensor rows = torch::arange(kFakeImages);
  const torch::Tensor first = augmented_images(rows, 0), second = augmented_images(rows, 1);
  const torch::Tensor same = first.eq(second).flatten(1).all(1);
  EXPECT_LE(same.sum().item<int64_t>(), 2);
}

TEST(ImageLoader, GivesPixelsTargetsAndRowsInOrder) {
  const FakeImages data;
  ImageTransform transform;
  transform.side = 6;
  ImageLoader loader(data, transform, loader_settings(5, 3, 2));
  const torch::Tensor rows = torch::arange(kFakeImages).flip(0);
  EXPECT_FALSE(loader.next().has_value());  // before start()
  loader.start(0, rows);
  for (int64_t first = 0; first < kFakeImages; first += 5) {
    const auto batch = loader.next();
    ASSERT_TRUE(batch.has_value());
    const torch::Tensor expected = rows.slice(0, first, first + 5);  // 3 in the last one
    EXPECT_TRUE(torch::equal(batch->rows, expected));
    EXPECT_TRUE(torch::equal(batch->targets, expected % 3));
    const torch::Tensor centres = data.pixels.index_select(0, expected).slice(1, 3, 9);
    EXPECT_TRUE(torch::equal(batch->images, centres.slice(2, 4, 10).permute({0, 3, 1, 2})));
    EXPECT_TRUE(batch->images.is_contiguous(torch::MemoryFormat::ChannelsLast));
  }
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_FALSE(loader.next().has_value());
}

TEST(ImageLoader, LeavesUnreadableImagesOutAndNamesThemOnce) {
  const FakeImages data(3, {2, 7});
  ImageLoader loader(data, {}, loader_settings(5, 2, 2));
  testing::internal::CaptureStderr();
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    loader.start(epoch, torch::arange(kFakeImages));
    const auto batch = loader.next();
    EXPECT_TRUE(torch::equal(batch->rows, torch::tensor({0, 1, 3, 4}, torch::kLong)));
    EXPECT_TRUE(torch::equal(batch->targets, batch->rows % 3));
    EXPECT_TRUE(batch->images.is_contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_EQ(batch->images.size(0), 4);
    EXPECT_EQ(remaining_images(loader).size(0), kFakeImages - 5 - 1);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "\nleft out: image 2: is torn\n\nleft out: image 7: is torn\n");
  EXPECT_EQ(loader.unreadable(), 2);
}

TEST(ImageLoader, StrictlyAnUnreadableImageIsAnError) {
  const FakeImages data(3, {7});
  LoaderSettings settings = loader_settings(5, 2, 2);
  settings.strict = true;
  ImageLoader loader(data, {}, settings);
  loader.start(0, torch::arange(kFakeImages));
  EXPECT_EQ(loader.next()->rows.numel(), 5);
  EXPECT_EQ(error_of([&] { loader.next(); }), "image 7: is torn");
}

TEST(ImageLoader, ABatchOfWhichNoneCanBeReadIsEmpty) {
  const FakeImages data(3, {0, 1});
  ImageLoader loader(data, {}, loader_settings(2, 2, 2));
  loader.start(0, torch::arange(kFakeImages));
  testing::internal::CaptureStderr();
  EXPECT_EQ(loader.next()->rows.numel(), 0);
  EXPECT_EQ(loader.next()->rows.numel(), 2);
  testing::internal::GetCapturedStderr();
}

TEST(ImageLoader, OtherErrorsOfItsThreadsEndTheEpoch) {
  FakeImages data;
  data.without_memory = 7;
  ImageLoader loader(data, {}, loader_settings(5, 3, 2));
  loader.start(0, torch::arange(kFakeImages));
  EXPECT_EQ(loader.next()->rows.numel(), 5);
  for (int times = 0; times < 2; ++times) EXPECT_THROW(loader.next(), std::bad_alloc);
  EXPECT_EQ(loader.unreadable(), 0);
  loader.start(1, torch::arange(7));
  EXPECT_EQ(remaining_images(loader).size(0), 7);
}

TEST(ImageLoader, ABatchThatDoesNotFitIntoMemoryIsAnError) {
  const FakeImages data;
  ImageTransform transform;
  transform.side = int64_t{1} << 31;
  ImageLoader loader(data, transform, loader_settings(5, 3, 2));
  loader.start(0, torch::arange(kFakeImages));
  EXPECT_THROW(loader.next(), c10::Error);
}

TEST(ImageLoader, KeepsRowsThatTheCallerChanges) {
  const FakeImages data(3, {}, 1);
  ImageLoader loader(data, {}, loader_settings(5, 1, 1));
  torch::Tensor rows = torch::arange(kFakeImages);
  loader.start(0, rows);
  rows.zero_();
  loader.next();
  EXPECT_EQ(loader.next()->rows[4].item<int64_t>(), 9);
}

TEST(ImageLoader, MayEndWhileItReads) {
  const FakeImages data(3, {}, 20);
  {
    ImageLoader loader(data, {}, loader_settings(4, 3, 5));
    loader.start(0, torch::arange(kFakeImages));
    while (data.reads == 0) std::this_thread::yield();
  }
  EXPECT_LT(data.reads, kFakeImages);
}

TEST(ImageLoader, AnotherStartDropsWhatIsUnread) {
  const FakeImages data(3, {}, 2);
  ImageLoader loader(data, loader_augmentation(), loader_settings(5, 3, 4));
  loader.start(0, torch::arange(kFakeImages));
  loader.next();
  const torch::Tensor rows = torch::arange(kFakeImages).flip(0);
  loader.start(1, rows);
  EXPECT_TRUE(torch::equal(remaining_images(loader), augmented_images(rows, 1)));
}

TEST(ImageLoader, HoldsNoMoreBatchesThanAllowed) {
  const FakeImages data;
  ImageLoader loader(data, {}, loader_settings(3, 4, 2));
  loader.start(0, torch::arange(kFakeImages));
  for (const int64_t most : {6, 9, 12}) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (data.reads < most && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(data.reads, most);
    loader.next();
  }
}

TEST(ImageLoader, RefusesWrongSettingsAndRows) {
  const FakeImages data;
  EXPECT_THAT(error_of([&] { ImageLoader(data, {}, loader_settings(5, 0, 4)); }),
              HasSubstr("got 5, 0 and 4"));
  ImageTransform no_side;
  no_side.side = 0;
  EXPECT_THAT(error_of([&] { ImageLoader(data, no_side, {}); }),
              HasSubstr("images must be >= 1, got 0"));
  ImageLoader loader(data, {}, loader_settings(5, 1, 1));
  EXPECT_THAT(error_of([&] {
                loader.start(0, torch::tensor({3, 23}, torch::kLong));
              }),
              HasSubstr("must be 0 to 22, got 3 to 23"));
  EXPECT_THAT(error_of([&] { loader.start(0, torch::tensor({3}, torch::kInt)); }),
              HasSubstr("must be int64 [n] on the CPU"));
  loader.start(0, torch::empty({0}, torch::kLong));
  EXPECT_FALSE(loader.next().has_value());
}

TEST(ImageViews, EvenlySpreadKeepsTheSharesOfTheClasses) {
  const auto data = std::make_shared<FakeImages>();
  data->targets.assign(kFakeImages, 2);
  std::fill_n(data->targets.begin(), 16, 0);  // 16 of one class, 7 of another
  const auto some = examples::evenly_spread(data, 10);
  EXPECT_EQ(some->targets, (std::vector<int64_t>{0, 0, 0, 0, 0, 0, 0, 2, 2, 2}));
  EXPECT_EQ(some->classes, data->classes);
  EXPECT_EQ(some->name(9), "image 20");
  const auto whole = [](int64_t, int64_t) { return examples::Box{0, 0, 12, 12}; };
  EXPECT_TRUE(torch::equal(some->read(9, whole, 12), data->read(20, whole, 12)));
  for (const int64_t count : {int64_t{0}, kFakeImages, int64_t{99}}) {
    EXPECT_EQ(examples::evenly_spread(data, count), data);
  }
}

TEST(ImageViews, WithChannelsRepeatsGreyOrTakesTheLuminance) {
  const auto whole = [](int64_t, int64_t) { return examples::Box{0, 0, 12, 12}; };
  const auto grey = std::make_shared<FakeImages>(1);
  const torch::Tensor colours = examples::with_channels(grey, 3)->read(4, whole, 12);
  EXPECT_TRUE(torch::equal(colours, grey->read(4, whole, 12).expand({12, 12, 3})));
  const auto rgb = std::make_shared<FakeImages>(3);
  const torch::Tensor luminance = examples::with_channels(rgb, 1)->read(4, whole, 12);
  const torch::Tensor weights = torch::tensor({0.299, 0.587, 0.114}, torch::kDouble);
  const torch::Tensor real = rgb->read(4, whole, 12).to(torch::kDouble).matmul(weights);
  EXPECT_LE((luminance.select(2, 0) - real).abs().max().item<double>(), 0.51);
  EXPECT_EQ(examples::with_channels(rgb, 3), rgb);
  EXPECT_THAT(error_of([&] { examples::with_channels(rgb, 2); }),
              HasSubstr("channels must be 1 or 3, got 2"));
}

}  // namespace
