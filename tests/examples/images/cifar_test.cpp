// SPDX-License-Identifier: Apache-2.0
// examples/common/data/cifar.hpp on files that the tests write.
#include "common/data/cifar.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "small.hpp"

namespace {

using examples::load_cifar;
using examples_test::error_of;
using examples_test::Folder;
using testing::HasSubstr;

// The byte of colour c at row y and column x of the image with the number `image`.
uint8_t cifar_byte(int64_t image, int64_t c, int64_t y, int64_t x) {
  return static_cast<uint8_t>((image * 101 + c * 31 + y * 7 + x * 3) % 256);
}

// A record: the labels and an image as cifar_byte() gives it.
std::string cifar_record(const std::vector<uint8_t>& labels, int64_t image) {
  std::string record(labels.begin(), labels.end());
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < 32; ++y) {
      for (int64_t x = 0; x < 32; ++x) {
        record.push_back(static_cast<char>(cifar_byte(image, c, y, x)));
      }
    }
  }
  return record;
}

void write_cifar(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

// CIFAR-10 with one record in each training file, labelled 1 to 5, and two test records.
struct Cifar10 : Folder {
  Cifar10() : Folder("cifar10") {
    for (uint8_t i = 1; i <= 5; ++i) {
      write_cifar(path / ("data_batch_" + std::to_string(i) + ".bin"), cifar_record({i}, i));
    }
    write_cifar(path / "test_batch.bin", cifar_record({9}, 6) + cifar_record({0}, 7));
  }
};

TEST(Cifar, ReadsTheFiveTrainingFilesInOrder) {
  const Cifar10 folder;
  const auto data = load_cifar(folder.path, /*train=*/true);
  EXPECT_EQ(data.pixels.sizes(), (std::vector<int64_t>{5, 32, 32, 3}));
  EXPECT_EQ(data.pixels.scalar_type(), torch::kByte);
  EXPECT_TRUE(torch::equal(data.targets, torch::arange(1, 6)));
}

TEST(Cifar, EveryPixelIsInItsPlace) {
  const Cifar10 folder;
  const auto data = load_cifar(folder.path, /*train=*/false);
  const auto pixels = data.pixels.accessor<uint8_t, 4>();
  for (int64_t y = 0; y < 32; ++y) {
    for (int64_t x = 0; x < 32; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        ASSERT_EQ(pixels[0][y][x][c], cifar_byte(6, c, y, x));
        ASSERT_EQ(pixels[1][y][x][c], cifar_byte(7, c, y, x));
      }
    }
  }
}

TEST(Cifar, OfTheTwoLabelsOfCifar100TheFineOneCounts) {
  const Folder folder("cifar100");
  write_cifar(folder.path / "test.bin", cifar_record({7, 99}, 1) + cifar_record({8, 3}, 2));
  const auto data = load_cifar(folder.path, /*train=*/false);
  EXPECT_TRUE(torch::equal(data.targets, torch::tensor({99, 3}, torch::kLong)));
  EXPECT_EQ(data.pixels[1][0][1][2].item<uint8_t>(), cifar_byte(2, 2, 0, 1));
  EXPECT_EQ(data.classes.size(), 100U);
}

TEST(Cifar, TheNamesOfTheClassesAreReadOrNumbers) {
  const Cifar10 folder;
  EXPECT_EQ(load_cifar(folder.path, false).classes.at(9), "9");
  write_cifar(folder.path / "batches.meta.txt", "a\nb\r\nc\nd\ne\nf\ng\nh\ni\ntruck\n\n");
  const auto classes = load_cifar(folder.path, false).classes;
  EXPECT_EQ(classes.size(), 10U);
  EXPECT_EQ(classes.at(1), "b");
  EXPECT_EQ(classes.at(9), "truck");
  write_cifar(folder.path / "batches.meta.txt", "a\nb\n");
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, false); }), HasSubstr("one a line, got 2"));
}

TEST(Cifar, AFolderWithoutFilesTellsWhatToPutThere) {
  const Folder folder("cifar_none");
  const std::string error = error_of([&] { load_cifar(folder.path, true); });
  EXPECT_THAT(error, HasSubstr(folder.path.string()));
  EXPECT_THAT(error, HasSubstr("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"));
}

TEST(Cifar, AMissingFileIsNamed) {
  const Cifar10 folder;
  std::filesystem::remove(folder.path / "data_batch_3.bin");
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, true); }),
              HasSubstr("data_batch_3.bin: is missing"));
}

TEST(Cifar, TheFilesOfBothDataSetsAreAmbiguous) {
  const Cifar10 folder;
  write_cifar(folder.path / "train.bin", cifar_record({7, 99}, 1));
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, true); }), HasSubstr("a folder each"));
}

TEST(Cifar, ATruncatedOrEmptyFileIsRefused) {
  const Cifar10 folder;
  std::filesystem::resize_file(folder.path / "test_batch.bin", 3072);
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, false); }),
              HasSubstr("test_batch.bin: must hold records of 3073 bytes (CIFAR-10), got 3072"));
  std::filesystem::resize_file(folder.path / "test_batch.bin", 0);
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, false); }), HasSubstr("got 0 bytes"));
}

TEST(Cifar, ALabelOutOfRangeIsRefused) {
  const Cifar10 folder;
  write_cifar(folder.path / "data_batch_2.bin", cifar_record({10}, 1));
  EXPECT_THAT(error_of([&] { load_cifar(folder.path, true); }),
              HasSubstr("data_batch_2.bin: labels must be 0 to 9 (CIFAR-10), got 10"));
}

}  // namespace
