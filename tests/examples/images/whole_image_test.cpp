// SPDX-License-Identifier: Apache-2.0
// Crops that keep all or nearly all of an image (examples/common/data/crops.hpp), the flips of
// image_transform.hpp, and how examples/image_classification chooses between crops.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>
#include <stdexcept>
#include <string>

#include "common/data/crops.hpp"
#include "common/data/image_transform.hpp"
#include "image_classification/data.hpp"
#include "image_classification/network.hpp"

namespace {

using examples::Box;
using examples::Crop;
using examples::ExampleRandom;
using examples::ImageTransform;

// One image of 2 x 2 pixels with one channel: rows 1 2 and 3 4. Other boxes than the whole image
// are refused.
class TwoByTwoImage : public examples::ImageData {
 public:
  TwoByTwoImage() { targets = {0}; }
  int64_t channels() const override { return 1; }
  std::string name(int64_t) const override { return "2 x 2"; }
  torch::Tensor read(int64_t, const examples::ChooseBox& choose, int64_t side) const override {
    EXPECT_EQ(choose(2, 2), (Box{0, 0, 2, 2}));
    EXPECT_EQ(side, 2);
    return torch::tensor({1, 2, 3, 4}, torch::kByte).view({2, 2, 1});
  }
};

// The results of 100 epochs that differ, as numbers of four digits: 1234 is the image as it is.
std::set<int64_t> flipped_two_by_two(bool flip, bool flip_vertical) {
  ImageTransform transform;
  transform.side = 2;
  transform.crop = Crop::kWhole;
  transform.flip = flip;
  transform.flip_vertical = flip_vertical;
  std::set<int64_t> results;
  for (int64_t epoch = 0; epoch < 100; ++epoch) {
    uint8_t out[4] = {};
    transform.apply(TwoByTwoImage(), 0, epoch, out);
    results.insert(1000 * out[0] + 100 * out[1] + 10 * out[2] + out[3]);
  }
  return results;
}

TEST(ImageFlips, ExchangeSidesIndependently) {
  EXPECT_EQ(flipped_two_by_two(false, false), (std::set<int64_t>{1234}));
  EXPECT_EQ(flipped_two_by_two(true, false), (std::set<int64_t>{1234, 2143}));
  EXPECT_EQ(flipped_two_by_two(false, true), (std::set<int64_t>{1234, 3412}));
  EXPECT_EQ(flipped_two_by_two(true, true), (std::set<int64_t>{1234, 2143, 3412, 4321}));
}

TEST(ShiftedCrop, CutsUpToAnEighthOfEachAxis) {
  std::set<int64_t> heights, widths, tops, bottoms;
  double kept = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    ExampleRandom random(1, 0, i);
    const Box box = examples::shifted_crop(24, 47, random);
    heights.insert(box.height);
    widths.insert(box.width);
    tops.insert(box.top);
    bottoms.insert(box.top + box.height);
    EXPECT_TRUE(box.left >= 0 && box.left + box.width <= 47);
    kept += static_cast<double>(box.height) / 4000;
  }
  EXPECT_EQ(heights, (std::set<int64_t>{21, 22, 23, 24}));
  EXPECT_EQ(widths, (std::set<int64_t>{42, 43, 44, 45, 46, 47}));
  EXPECT_EQ(tops, (std::set<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(bottoms, (std::set<int64_t>{21, 22, 23, 24}));
  EXPECT_NEAR(kept, 22.5, 0.1);  // standard deviation of the mean: 0.018
}

TEST(ShiftedCrop, KeepsAllOfSmallImagesAndRefusesOtherParts) {
  ExampleRandom random(1, 2, 3);
  EXPECT_EQ(examples::shifted_crop(7, 1, random), (Box{0, 0, 7, 1}));
  EXPECT_EQ(examples::shifted_crop(90, 80, random, 0), (Box{0, 0, 90, 80}));
  EXPECT_THROW(examples::shifted_crop(9, 9, random, 1), std::invalid_argument);
  EXPECT_THROW(examples::shifted_crop(9, 9, random, -0.1), std::invalid_argument);
}

TEST(CropChoice, OfTestsFollowsSettingAndKindOfData) {
  image_classification::Description about;
  EXPECT_EQ(about.crop(), Crop::kCentred);
  about.files = true;
  EXPECT_EQ(about.crop(), Crop::kCentreShare);
  about.test_crop = "whole";
  EXPECT_EQ(about.crop(), Crop::kWhole);
  EXPECT_EQ(image_classification::test_crop("centre", false), Crop::kCentreShare);
}

TEST(CropChoice, OfTrainingFollowsSettingAndKindOfData) {
  const auto crop = [](const std::string& choice, bool files) {
    image_classification::AugmentationSettings s;
    s.crop = choice;
    return image_classification::training_crop(s, files);
  };
  EXPECT_EQ(crop("auto", true), Crop::kRandomResized);
  EXPECT_EQ(crop("auto", false), Crop::kPadded);
  EXPECT_EQ(crop("shifted", true), Crop::kShifted);
  EXPECT_EQ(crop("whole", true), Crop::kWhole);
  EXPECT_EQ(crop("centred", true), Crop::kCentreShare);
}

}  // namespace
