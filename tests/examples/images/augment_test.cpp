// SPDX-License-Identifier: Apache-2.0
// Augmentation of an image: examples/common/data/image_operations.hpp and rand_augment.hpp against
// torchvision (golden/augment/augment.json), and the distributions of the boxes of crops.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/data/crops.hpp"
#include "common/data/rand_augment.hpp"

namespace {

using examples::Augmentation;
using examples::Box;
using examples::ExampleRandom;
using examples::ImageView;
using nlohmann::json;

// An image that owns its pixels.
struct AugmentImage {
  AugmentImage(int64_t h, int64_t w, int64_t c, std::vector<uint8_t> levels)
      : pixels(std::move(levels)), height(h), width(w), channels(c) {}
  ImageView view() { return {pixels.data(), height, width, channels}; }
  std::vector<uint8_t> pixels;
  int64_t height, width, channels;
};

std::vector<uint8_t> from_hex(const std::string& digits) {
  std::vector<uint8_t> result;
  for (size_t i = 0; i < digits.size(); i += 2) {
    result.push_back(static_cast<uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return result;
}

const json& augment_golden() {
  static const json record = [] {
    std::ifstream in(IVON_TEST_GOLDEN_DIR "/augment/augment.json");
    return json::parse(in);
  }();
  return record;
}

AugmentImage golden_image(const std::string& name) {
  const json& image = augment_golden()["images"][name];
  return {image["height"], image["width"], image["channels"], from_hex(image["levels"])};
}

const Augmentation& augmentation(const std::string& name) {
  for (const Augmentation& a : examples::augmentations()) {
    if (a.name == name) return a;
  }
  throw std::invalid_argument("no augmentation " + name);
}

// A ramp of levels of 20 x 20 pixels without symmetries, three channels.
AugmentImage ramp_image() {
  std::vector<uint8_t> levels;
  for (int i = 0; i < 20 * 20 * 3; ++i) levels.push_back(static_cast<uint8_t>(i * 7 % 251));
  return {20, 20, 3, levels};
}

// Expects that the image has these levels, but for one level more on the border if `border` is 1.
void expect_levels(const AugmentImage& image, const std::vector<uint8_t>& expected, int border,
                   const std::string& what) {
  ASSERT_EQ(image.pixels.size(), expected.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto pixel = static_cast<int64_t>(i) / image.channels;
    const auto row = pixel / image.width, column = pixel % image.width;
    const bool inside = row % (image.height - 1) > 0 && column % (image.width - 1) > 0;
    const int more = image.pixels[i] - expected[i];
    EXPECT_TRUE(more == 0 || (more == border && !inside)) << what << ", byte " << i;
  }
}

TEST(ImageOperations, AreTorchvisionsBitForBit) {
  ASSERT_EQ(augment_golden()["operations"].size(), 85U);
  std::set<std::string> names;
  for (const json& record : augment_golden()["operations"]) {
    AugmentImage image = golden_image(record["image"]);
    const auto name = record["operation"].get<std::string>();
    names.insert(name);
    augmentation(name).apply(image.view(), record["magnitude"]);
    // torchvision's sharpness lowers some levels of the image's border by one.
    expect_levels(image, from_hex(record["levels"]), name == "Sharpness" ? 1 : 0, record.dump());
  }
  EXPECT_EQ(names.size(), examples::kAugmentations);
}

TEST(ImageOperations, GeometricOnesMoveInTheDirectionsThatTheyName) {
  const auto moved = [](const char* name, double magnitude) {
    AugmentImage image(3, 3, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9});
    augmentation(name).apply(image.view(), magnitude);
    return image.pixels;
  };
  using Levels = std::vector<uint8_t>;
  EXPECT_EQ(moved("TranslateX", 1), (Levels{0, 1, 2, 0, 4, 5, 0, 7, 8}));
  EXPECT_EQ(moved("TranslateY", -1.9), (Levels{4, 5, 6, 7, 8, 9, 0, 0, 0}));
  EXPECT_EQ(moved("Rotate", 90), (Levels{3, 6, 9, 2, 5, 8, 1, 4, 7}));
  EXPECT_EQ(moved("ShearX", 0.9), (Levels{1, 2, 3, 5, 6, 0, 9, 0, 0}));
  EXPECT_EQ(moved("TranslateX", 5), Levels(9, 0));
}

TEST(ImageOperations, LeaveImagesWithoutContrastAlone) {
  for (const char* name : {"AutoContrast", "Equalize", "Contrast", "Sharpness", "Identity"}) {
    AugmentImage flat(4, 5, 1, std::vector<uint8_t>(20, 77));
    augmentation(name).apply(flat.view(), 0.5);
    EXPECT_EQ(flat.pixels, std::vector<uint8_t>(20, 77)) << name;
  }
  for (const Augmentation& a : examples::augmentations()) {  // smaller than any neighbourhood
    AugmentImage pixel(1, 1, 3, {10, 20, 30});
    EXPECT_NO_THROW(a.apply(pixel.view(), a.magnitude(0.3, pixel.view()))) << a.name;
  }
}

TEST(RandAugment, MagnitudesAndSignsAreTorchvisions) {
  const json& golden = augment_golden();
  for (const json& record : golden["magnitudes"]) {
    const double strength = record["setting"].get<double>() / 30;
    const ImageView image = {nullptr, 80, 100, 3};
    for (const Augmentation& a : examples::augmentations()) {
      const double expected = record["values"][a.name];
      EXPECT_NEAR(a.magnitude(strength, image), expected, 1e-6 * (1 + expected)) << a.name;
    }
  }
  std::vector<std::string> signed_names;
  for (const Augmentation& a : examples::augmentations()) {
    if (a.either_sign) signed_names.emplace_back(a.name);
  }
  EXPECT_EQ(signed_names, golden["signed"].get<std::vector<std::string>>());
}

TEST(RandAugment, ChoosesEachOperationAndSignEquallyOften) {
  // What each operation makes of the image, with how often it should be the result, of 28.
  std::map<std::vector<uint8_t>, int> expected, counts;
  for (const Augmentation& a : examples::augmentations()) {
    for (const double sign : {1.0, -1.0}) {
      AugmentImage image = ramp_image();
      const double magnitude = a.magnitude(0.3, image.view());
      a.apply(image.view(), a.either_sign ? sign * magnitude : magnitude);
      ++expected[image.pixels];
    }
  }
  constexpr int kTries = 28 * 400;
  for (uint64_t i = 0; i < kTries; ++i) {
    AugmentImage image = ramp_image();
    ExampleRandom random(1, 2, i);
    examples::rand_augment(image.view(), {1, 9}, random);
    ++counts[image.pixels];
  }
  EXPECT_EQ(counts.size(), expected.size());
  EXPECT_GE(expected.size(), 22U);
  for (const auto& [levels, parts] : expected) {  // 5 standard deviations
    EXPECT_NEAR(counts[levels], parts * 400, 5 * std::sqrt(parts * 400));
  }
}

TEST(RandAugment, AppliesSeveralAndFollowsTheSeed) {
  const auto result = [](uint64_t example, int64_t operations) {
    AugmentImage image = ramp_image();
    ExampleRandom random(5, 0, example);
    examples::rand_augment(image.view(), {operations, 15}, random);
    return image.pixels;
  };
  std::set<std::vector<uint8_t>> different;
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(result(i, 2), result(i, 2));
    different.insert(result(i, 2));
  }
  EXPECT_GT(different.size(), 60U);  // one operation has at most 28 results
  EXPECT_EQ(result(3, 0), ramp_image().pixels);
}

TEST(RandAugment, RejectsOtherImagesAndSettings) {
  ExampleRandom random(1, 1, 1);
  std::vector<uint8_t> pixels(16);
  const ImageView rgba = {pixels.data(), 2, 2, 4}, empty = {pixels.data(), 0, 2, 3};
  const ImageView grey = {pixels.data(), 4, 4, 1};
  EXPECT_THROW(examples::rand_augment(rgba, {}, random), std::invalid_argument);
  EXPECT_THROW(examples::rand_augment(empty, {}, random), std::invalid_argument);
  EXPECT_THROW(examples::rand_augment(grey, {2, 31}, random), std::invalid_argument);
  EXPECT_THROW(examples::rand_augment(grey, {-1, 9}, random), std::invalid_argument);
}

// Expects that the values come from the distribution with the distribution function `cdf`, by the
// test of Kolmogorov and Smirnov, which rejects true samples less often than once in 10^5 times.
template <class Cdf>
void expect_distribution(std::vector<double> values, const Cdf& cdf) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    distance = std::max(distance, std::abs(cdf(values[i]) - (static_cast<double>(i) + 0.5) / n));
  }
  EXPECT_LT(distance, 2.5 / std::sqrt(n));
}

bool is_inside(const Box& box, int64_t height, int64_t width) {
  return box.top >= 0 && box.left >= 0 && box.height >= 1 && box.width >= 1 &&
         box.top + box.height <= height && box.left + box.width <= width;
}

TEST(Crops, RandomResizedCropIsUniformInAreaAndLogRatio) {
  // Areas up to 3/4 of a large square fit at every ratio, so that no try is rejected: a smaller
  // area is seen as often as its share of the range says.
  constexpr int64_t kSide = 2000;
  const double widest = std::log(4.0 / 3);
  std::vector<double> areas, ratios;
  for (uint64_t i = 0; i < 20000; ++i) {
    ExampleRandom random(3, 1, i);
    const Box box = examples::random_resized_crop(kSide, kSide, random);
    ASSERT_TRUE(is_inside(box, kSide, kSide));
    const auto h = static_cast<double>(box.height), w = static_cast<double>(box.width);
    const double area = h * w / (kSide * kSide), log_ratio = std::log(w / h);
    ASSERT_GT(area, 0.0795);
    ASSERT_LT(std::abs(log_ratio), widest + 0.005);
    if (area > 0.75) continue;
    areas.push_back(area);
    ratios.push_back(log_ratio);
  }
  expect_distribution(areas, [](double area) { return (area - 0.08) / (0.75 - 0.08); });
  expect_distribution(ratios, [&](double r) { return (r + widest) / (2 * widest); });
}

TEST(Crops, RandomResizedCropTakesASmallestArea) {
  std::vector<double> tops;
  for (uint64_t i = 0; i < 2000; ++i) {
    ExampleRandom random(3, 2, i);
    const Box box = examples::random_resized_crop(600, 600, random, 0.5);
    EXPECT_GE(static_cast<double>(box.height * box.width), 0.498 * 600 * 600);
    tops.push_back((static_cast<double>(box.top) + 0.5) / static_cast<double>(601 - box.height));
  }
  expect_distribution(tops, [](double share) { return share; });
  ExampleRandom random(1, 1, 1);
  EXPECT_EQ(examples::random_resized_crop(1, 1, random, 1), (Box{0, 0, 1, 1}));
  EXPECT_THROW(examples::random_resized_crop(9, 9, random, 0), std::invalid_argument);
  EXPECT_THROW(examples::random_resized_crop(9, 9, random, 1.1), std::invalid_argument);
}

TEST(Crops, RandomResizedCropReachesTheLastRowAndColumn) {
  std::set<std::pair<int64_t, int64_t>> places;
  for (uint64_t i = 0; i < 1000; ++i) {
    ExampleRandom random(3, 3, i);
    const Box box = examples::random_resized_crop(4, 4, random);
    if (box.height == 2 && box.width == 2) places.insert({box.top, box.left});
  }
  EXPECT_EQ(places.size(), 9U);
}

TEST(Crops, LongImagesGetTheLargestCentralBox) {
  ExampleRandom random(1, 1, 1);
  EXPECT_EQ(examples::random_resized_crop(1, 1000, random), (Box{0, 499, 1, 1}));
  EXPECT_EQ(examples::random_resized_crop(1000, 1, random), (Box{499, 0, 1, 1}));
  EXPECT_EQ(examples::random_resized_crop(30, 3000, random), (Box{0, 1480, 30, 40}));
  EXPECT_EQ(examples::random_resized_crop(3000, 30, random), (Box{1480, 0, 40, 30}));
}

TEST(Crops, PaddedCropReachesEachPlaceEquallyOften) {
  const auto places = [](int64_t height, int64_t width, int64_t side, int64_t padding) {
    std::map<std::pair<int64_t, int64_t>, int> counts;
    for (uint64_t i = 0; i < 8100; ++i) {
      ExampleRandom random(7, 0, i);
      const Box box = examples::padded_crop(height, width, side, padding, random);
      EXPECT_TRUE(box.height == side && box.width == side);
      ++counts[{box.top, box.left}];
    }
    return counts;
  };
  const auto same = places(32, 32, 32, 4);
  EXPECT_EQ(same.size(), 81U);
  EXPECT_EQ(same.begin()->first, std::make_pair(int64_t{-4}, int64_t{-4}));
  EXPECT_EQ(same.rbegin()->first, std::make_pair(int64_t{4}, int64_t{4}));
  for (const auto& [place, count] : same) EXPECT_NEAR(count, 100, 50) << place.first;
  const auto small = places(28, 28, 32, 4);  // centred in 32 x 32, then the same
  EXPECT_EQ(small.size(), 81U);
  EXPECT_EQ(small.begin()->first, std::make_pair(int64_t{-6}, int64_t{-6}));
  EXPECT_EQ(small.rbegin()->first, std::make_pair(int64_t{2}, int64_t{2}));
  const auto larger = places(33, 36, 32, 0);
  EXPECT_EQ(larger.size(), 2U * 5U);
  EXPECT_EQ(larger.begin()->first, std::make_pair(int64_t{0}, int64_t{0}));
}

TEST(Crops, CentralSquares) {
  EXPECT_EQ(examples::centre_crop(256, 320), (Box{16, 48, 224, 224}));
  EXPECT_EQ(examples::centre_crop(1, 9, 0.1), (Box{0, 4, 1, 1}));
  EXPECT_THROW(examples::centre_crop(9, 9, 0), std::invalid_argument);
  EXPECT_EQ(examples::centred(28, 28, 32), (Box{-2, -2, 32, 32}));
  EXPECT_EQ(examples::centred(40, 33, 32), (Box{4, 0, 32, 32}));
}

}  // namespace
