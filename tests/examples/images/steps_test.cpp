// SPDX-License-Identifier: Apache-2.0
// The training steps, the network's inputs and the data of examples/image_classification.
#include "image_classification/steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/data/images_in_memory.hpp"
#include "common/data/png_writer.hpp"
#include "image_classification/data.hpp"
#include "image_classification/network.hpp"
#include "small.hpp"

namespace {

using examples_test::error_of;
using testing::HasSubstr;
namespace ic = image_classification;

// Images with random pixels, of which those with the numbers `broken` cannot be read.
class SomeImages : public examples::ImageData {
 public:
  SomeImages(int64_t count, std::vector<int64_t> broken)
      : pixels_(torch::randint(0, 256, {count, 32, 32, 3}, torch::kByte)),
        broken_(std::move(broken)) {
    classes = {"a", "b"};
    for (int64_t i = 0; i < count; ++i) targets.push_back(i % 2);
  }
  int64_t channels() const override { return 3; }
  std::string name(int64_t index) const override { return "image " + std::to_string(index); }
  torch::Tensor read(int64_t index, const examples::ChooseBox& /*choose*/,
                     int64_t /*side*/) const override {
    if (std::count(broken_.begin(), broken_.end(), index) > 0) {
      throw std::runtime_error(name(index) + ": broken");
    }
    return pixels_[index].clone();
  }

 private:
  torch::Tensor pixels_;
  std::vector<int64_t> broken_;
};

ic::Network network_of(const std::string& model, bool channels_last = true) {
  ic::Description about;
  about.model = model;
  about.side = 32;
  about.classes = {"a", "b"};
  about.mean = ic::kImageNetMean;
  about.deviation = ic::kImageNetDeviation;
  return ic::make_network(about, 1, torch::kCPU, false, channels_last);
}

// The number of steps in which the weights changed, of all steps of an epoch.
std::pair<int, int> changed_steps(const std::string& model, const std::string& optimizer_name,
                                  const examples::ImageData& data, int64_t batch,
                                  int64_t micro_batch = 0) {
  ic::Settings s;
  s.training.batch = batch;
  s.training.micro_batch = micro_batch;
  const ic::Network network = network_of(model);
  network.model->train();
  auto settings = examples::optimizer_settings(optimizer_name);
  settings.ess = 100;
  settings.sample_on_step = false;
  const auto optimizer = examples::make_optimizer(settings, network.model->parameters());
  examples::ImageTransform transform;
  transform.side = 32;
  examples::LoaderSettings loading;
  loading.batch = batch;
  examples::ImageLoader loader(data, transform, loading);
  loader.start(0, torch::arange(data.size()));
  const ic::Stepping stepping{s, network, *optimizer, loader, 1};
  const auto step = optimizer_name == "ivon" ? ic::scoped_step(stepping) : ic::plain_step(stepping);
  const auto weight = [&] { return network.model->parameters().front().detach().clone(); };
  std::pair<int, int> counts = {0, 0};
  for (int64_t first = 0; first < data.size(); first += batch, ++counts.second) {
    const torch::Tensor before = weight();
    const torch::Tensor loss = step({});
    const bool changed = !torch::equal(before, weight());
    EXPECT_EQ(changed, loss.item<float>() != 0);
    if (changed) ++counts.first;
  }
  return counts;
}

TEST(Steps, UnreadableBatchesAndSingleImagesAreSkipped) {
  const SomeImages unreadable(8, {4, 5, 6, 7});
  EXPECT_EQ(changed_steps("lenet", "sgd", unreadable, 4), std::make_pair(1, 2));
  EXPECT_EQ(changed_steps("lenet", "ivon", unreadable, 4), std::make_pair(1, 2));
  const SomeImages nine(9, {});
  EXPECT_EQ(changed_steps("resnet18", "sgd", nine, 4), std::make_pair(2, 3));
  EXPECT_EQ(changed_steps("lenet", "sgd", nine, 4), std::make_pair(3, 3));
  EXPECT_EQ(changed_steps("resnet18", "sgd", nine, 9, 4), std::make_pair(1, 1));
  EXPECT_EQ(changed_steps("resnet18", "sgd", nine, 9, 2), std::make_pair(1, 1));
  EXPECT_EQ(changed_steps("lenet", "sgd", nine, 3, 1), std::make_pair(3, 3));
}

TEST(Network, InputsHaveTheNetworksOrder) {
  const torch::Tensor images = torch::randint(0, 256, {2, 3, 32, 32}, torch::kByte)
                                   .contiguous(torch::MemoryFormat::ChannelsLast);
  const torch::Tensor last = network_of("lenet").inputs(images);
  const torch::Tensor first = network_of("lenet", false).inputs(images);
  EXPECT_TRUE(last.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(first.is_contiguous());
  EXPECT_TRUE(torch::equal(first, last));
  const torch::Tensor mean = torch::tensor(ic::kImageNetMean, torch::kFloat).view({1, -1, 1, 1});
  const torch::Tensor deviation =
      torch::tensor(ic::kImageNetDeviation, torch::kFloat).view({1, -1, 1, 1});
  EXPECT_TRUE(torch::equal(first, (images.to(torch::kFloat) - 255 * mean) / (255 * deviation)));
}

void add_image(const std::filesystem::path& file) {
  std::filesystem::create_directories(file.parent_path());
  examples::write_png(file, torch::zeros({40, 40, 3}, torch::kByte));
}

std::string data_error(const std::filesystem::path& folder) {
  ic::DataSettings s;
  s.folder = folder.string();
  return error_of([&] { ic::open_data(s, 32); });
}

TEST(Data, TestFolderIsTheFirstWithAClass) {
  const examples_test::Folder folder("test_folder");
  EXPECT_THAT(data_error(folder.path / "nowhere"), HasSubstr("does not exist"));
  EXPECT_THAT(data_error(folder.path), HasSubstr("holds no images that are known here"));
  add_image(folder.path / "train/a/1.png");
  EXPECT_THAT(data_error(folder.path), HasSubstr("val"));
  add_image(folder.path / "val/a/1.png");
  EXPECT_THAT(data_error(folder.path), HasSubstr("at least 2 classes"));
  add_image(folder.path / "train/b/1.png");
  add_image(folder.path / "val/b/1.png");
  add_image(folder.path / "test/images/1.png");
  ic::DataSettings s;
  s.folder = folder.path.string();
  EXPECT_EQ(ic::open_data(s, 32).test->name(0), (folder.path / "val/a/1.png").string());
  EXPECT_NE(error_of([&] { ic::open_outside(folder.path / "nowhere", 3); }), "");
}

TEST(Data, SmallImagesAreNotFramed) {
  ic::Settings s;
  s.training.model = "resnet50";
  EXPECT_THAT(error_of([&] { ic::open_training_data(s); }),
              HasSubstr("--side is 224, but the images have 28 pixels"));
  s.training.side = 32;
  EXPECT_EQ(error_of([&] { ic::open_training_data(s); }), "");
  s.training.side = 0;
  s.augmentation.crop = "whole";
  EXPECT_NE(error_of([&] { ic::open_training_data(s); }), "");
  s.training.test_crop = "whole";
  EXPECT_EQ(error_of([&] { ic::open_training_data(s); }), "");
}

}  // namespace
