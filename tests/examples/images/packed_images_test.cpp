// SPDX-License-Identifier: Apache-2.0
// examples/common/data/packed_images.hpp against the files that it was made from, and with damaged
// and foreign files in its place.
#include "common/data/packed_images.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/data/image_file.hpp"
#include "image_files.hpp"
#include "small.hpp"

namespace {

namespace packed_fs = std::filesystem;

using examples::Box;
using examples::ImageData;
using examples::ImageFolder;
using examples_test::error_of;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kPackedFiles = 12;

// uint8 [height, width, 3], smooth enough for JPEG.
torch::Tensor packed_picture(int64_t height, int64_t width, int64_t seed) {
  const torch::Tensor y = torch::arange(height).view({-1, 1, 1});
  const torch::Tensor x = torch::arange(width).view({1, -1, 1});
  const torch::Tensor c = torch::arange(1, 4).view({1, 1, 3});
  return ((3 * y + 2 * x * c + 20 * seed) % 256).to(torch::kByte);
}

// A folder with two classes of six images each, of 20 x 36 to 31 x 36 pixels; the even ones are
// PNG, the odd ones JPEG files.
class PackedImagesTest : public testing::Test {
 protected:
  PackedImagesTest()
      : root(packed_fs::temp_directory_path() / ("ivon_packed_" + std::to_string(getpid()))),
        cache(root / "cache" / "train.packed") {
    packed_fs::remove_all(root);
    for (int64_t i = 0; i < kPackedFiles; ++i) {
      const packed_fs::path folder = root / "train" / (i < 6 ? "cat" : "dog");
      packed_fs::create_directories(folder);
      const torch::Tensor picture = packed_picture(20 + i, 36, i);
      const std::string stem = fmt::format("{:02}", i);
      if (i % 2 == 0) {
        examples_test::write_png(folder / (stem + ".png"), picture, examples_test::PngKind::kRgb8);
      } else {
        examples_test::write_jpeg(folder / (stem + ".jpg"), picture, 95, i == 3 ? 6 : 1);
      }
    }
  }
  ~PackedImagesTest() override { packed_fs::remove_all(root); }

  std::shared_ptr<const ImageFolder> folder() const {
    return std::make_shared<ImageFolder>(root / "train");
  }

  // The packed images; what was printed goes to `printed`.
  std::shared_ptr<const ImageData> pack(int64_t shorter_side = 64) {
    testing::internal::CaptureStdout();
    std::shared_ptr<const ImageData> images;
    const std::string error =
        error_of([&] { images = examples::packed(folder(), cache, shorter_side, 3); });
    printed = testing::internal::GetCapturedStdout();
    if (!error.empty()) throw std::runtime_error(error);
    return images;
  }

  void change_byte(int64_t place) const {
    std::fstream file(cache, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(place);
    const int byte = file.get();
    file.seekp(place);
    file.put(static_cast<char>(byte ^ 0x10));
  }

  packed_fs::path root, cache;
  std::string printed;
};

torch::Tensor packed_box(const ImageData& data, int64_t index, const Box& box, int64_t side) {
  return data.read(
      index, [&](int64_t, int64_t) { return box; }, side);
}

void expect_same_images(const ImageData& a, const ImageData& b) {
  ASSERT_EQ(a.size(), b.size());
  for (int64_t i = 0; i < a.size(); ++i) {
    for (const Box& box : {Box{2, 3, 11, 11}, Box{-4, 10, 11, 11}, Box{15, 30, 11, 11}}) {
      EXPECT_TRUE(torch::equal(packed_box(a, i, box, 11), packed_box(b, i, box, 11))) << a.name(i);
    }
  }
}

TEST_F(PackedImagesTest, GiveThePixelsOfTheFiles) {
  const auto images = pack();
  const auto files = folder();
  expect_same_images(*images, *files);
  EXPECT_EQ(images->targets, files->targets);
  EXPECT_EQ(images->classes, files->classes);
  EXPECT_EQ(images->name(7), files->name(7));
}

TEST_F(PackedImagesTest, ScaleABoxAsTheFilesDo) {
  const auto images = pack();
  for (const int64_t i : {0, 4, 10}) {  // PNG files
    for (const int64_t side : {5, 17}) {
      const Box box = {4, 5, 13, 10};
      const torch::Tensor expected = packed_box(*folder(), i, box, side);
      EXPECT_TRUE(torch::equal(packed_box(*images, i, box, side), expected)) << i;
    }
  }
  EXPECT_THROW(packed_box(*images, 0, {15, 0, 10, 10}, 5), std::invalid_argument);
}

TEST_F(PackedImagesTest, AreReducedToTheShorterSideAndNeverEnlarged) {
  const packed_fs::path cats = root / "train" / "cat";
  examples_test::write_png(cats / "00.png", packed_picture(64, 32, 1),
                           examples_test::PngKind::kRgb8);
  const auto images = pack(22);
  const auto size = [&](int64_t i) {
    std::pair<int64_t, int64_t> result;
    images->read(
        i,
        [&](int64_t height, int64_t width) {
          result = {height, width};
          return Box{0, 0, 1, 1};
        },
        1);
    return result;
  };
  EXPECT_EQ(size(0), std::make_pair(int64_t{44}, int64_t{22}));
  EXPECT_EQ(size(1), std::make_pair(int64_t{21}, int64_t{36}));  // as it is
  EXPECT_EQ(size(3), std::make_pair(int64_t{34}, int64_t{22}));  // 36 x 23 after its turn
  const torch::Tensor whole = examples::EncodedImage(cats / "00.png").read({0, 0, 64, 32}, 44, 22);
  EXPECT_TRUE(torch::equal(packed_box(*images, 0, {9, 1, 21, 21}, 21),
                           whole.narrow(0, 9, 21).narrow(1, 1, 21)));
}

TEST_F(PackedImagesTest, AreUsedAgainWithoutWriting) {
  pack();
  EXPECT_THAT(printed, HasSubstr("train.packed, 12 images, "));
  const auto time = packed_fs::last_write_time(cache);
  packed_fs::rename(root / "train", root / "elsewhere");
  packed_fs::rename(root / "elsewhere", root / "train");
  expect_same_images(*pack(), *folder());
  EXPECT_EQ(packed_fs::last_write_time(cache), time);
  EXPECT_THAT(printed, Not(HasSubstr("again")));
}

TEST_F(PackedImagesTest, DoNotDependOnTheFoldersPlace) {
  pack();
  packed_fs::rename(root / "train", root / "moved");
  const auto moved = std::make_shared<ImageFolder>(root / "moved");
  testing::internal::CaptureStdout();
  const auto images = examples::packed(moved, cache, 64, 2);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), Not(HasSubstr("again")));
  EXPECT_EQ(images->name(0), moved->name(0));
}

TEST_F(PackedImagesTest, AreMadeAgainForOtherContent) {
  pack();
  const packed_fs::path file = root / "train" / "dog" / "08.png";
  examples_test::write_png(file, packed_picture(30, 30, 99), examples_test::PngKind::kRgb8);
  const auto images = pack();
  EXPECT_THAT(printed, HasSubstr("files of the folder have changed since it was made"));
  expect_same_images(*images, *folder());
  pack(21);
  EXPECT_THAT(printed, HasSubstr("made with shorter_side 64, not 21"));
  packed_fs::rename(file, root / "train" / "dog" / "08b.png");
  pack(21);
  EXPECT_THAT(printed, HasSubstr("other names"));
  packed_fs::rename(root / "train" / "dog", root / "train" / "fox");
  pack(21);
  EXPECT_THAT(printed, HasSubstr("other classes"));
  packed_fs::remove(root / "train" / "fox" / "08b.png");
  EXPECT_EQ(pack(21)->size(), 11);
  EXPECT_THAT(printed, HasSubstr("made with images 12, not 11"));
}

TEST_F(PackedImagesTest, DamageIsNoticedAndRepaired) {
  pack();
  const auto size = static_cast<int64_t>(packed_fs::file_size(cache));
  for (const int64_t left : {int64_t{8}, int64_t{63}, int64_t{64}, size / 2, size - 1}) {
    packed_fs::resize_file(cache, static_cast<uintmax_t>(left));
    expect_same_images(*pack(), *folder());
    EXPECT_THAT(printed, HasSubstr("made again: " + cache.string() + ": it ")) << left;
  }
  // In the index, the description, and each number of the head.
  for (const int64_t place : {size - 1, size - 200, size - 12 * 24 - 5, int64_t{8}, int64_t{17},
                              int64_t{22}, int64_t{24}, int64_t{31}, int64_t{33}, int64_t{56}}) {
    change_byte(place);
    expect_same_images(*pack(), *folder());
    EXPECT_THAT(printed, HasSubstr("made again: ")) << place;
  }
}

// Replaces bytes of the file and makes its checksum right.
void forge_packed(const packed_fs::path& file, size_t place, const std::string& bytes) {
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  text.replace(place, bytes.size(), bytes);
  examples::PackedHead head;
  std::memcpy(&head, text.data(), sizeof head);
  head.checksum = examples::packed_checksum(
      head, reinterpret_cast<const uint8_t*>(text.data()) + head.description,
      text.size() - head.description);
  text.replace(0, sizeof head, reinterpret_cast<const char*>(&head), sizeof head);
  std::ofstream(file, std::ios::binary) << text;
}

TEST_F(PackedImagesTest, AForgedSizeOrIndexIsNotBelieved) {
  std::ofstream(root / "train" / "cat" / "02.png").flush();
  pack();
  const size_t size = packed_fs::file_size(cache);
  const uint32_t sides[] = {4293443238U, 1432163965U};  // 3 times their product is 2^64 + 4394
  forge_packed(cache, size - 12 * 24 + 16, {reinterpret_cast<const char*>(sides), sizeof sides});
  pack();
  EXPECT_THAT(printed, HasSubstr("its index does not fit the folder"));
  std::ifstream in(cache, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  forge_packed(cache, text.rfind("\"2\":") + 1, "x");
  pack();
  EXPECT_THAT(printed, HasSubstr("its description is damaged"));
}

TEST_F(PackedImagesTest, AFileOfAnotherProgramIsNotOverwritten) {
  packed_fs::create_directories(cache.parent_path());
  for (const std::string text : {"", "IVON", "a letter to my aunt"}) {
    std::ofstream(cache) << text;
    EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("train.packed: is no file of packed images"));
    EXPECT_EQ(packed_fs::file_size(cache), text.size());
  }
  packed_fs::remove(cache);
  packed_fs::create_directories(cache);
  EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("train.packed: is no file of packed images"));
}

TEST_F(PackedImagesTest, UnreadableImagesKeepTheirMessages) {
  const packed_fs::path empty = root / "train" / "cat" / "02.png";
  const packed_fs::path half = root / "train" / "dog" / "10.png";
  std::ofstream(empty).flush();
  packed_fs::resize_file(half, packed_fs::file_size(half) / 2);
  for (int times = 0; times < 2; ++times) {  // made, and opened
    const auto images = pack();
    EXPECT_THAT(printed, HasSubstr("2 of them could not be read"));
    for (const int64_t i : {2, 10}) {
      const std::string error = error_of([&] { packed_box(*images, i, {0, 0, 9, 9}, 9); });
      EXPECT_EQ(error, error_of([&] { packed_box(*folder(), i, {0, 0, 9, 9}, 9); }));
      EXPECT_THAT(error, HasSubstr(i == 2 ? "02.png: is empty" : "10.png: "));
    }
    EXPECT_EQ(packed_box(*images, 11, {0, 0, 9, 9}, 9).size(0), 9);
  }
}

TEST_F(PackedImagesTest, TheFileOfAKilledWriterIsNoObstacle) {
  packed_fs::create_directories(cache.parent_path());
  const packed_fs::path part = cache.string() + ".part";
  std::ofstream(part) << std::string(100000, 'x');
  expect_same_images(*pack(), *folder());
  EXPECT_LT(packed_fs::file_size(cache), 100000U);
  EXPECT_FALSE(packed_fs::exists(part));
}

TEST_F(PackedImagesTest, TwoWritersDoNotDisturbEachOther) {
  packed_fs::create_directories(cache.parent_path());
  const packed_fs::path part = cache.string() + ".part";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> other(std::fopen(part.c_str(), "wb"),
                                                              std::fclose);
  ASSERT_EQ(flock(fileno(other.get()), LOCK_EX), 0);
  EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("another program is making it"));
  EXPECT_TRUE(packed_fs::exists(part));
}

TEST_F(PackedImagesTest, FailuresLeaveNoFile) {
  EXPECT_THAT(error_of([&] { pack(0); }), HasSubstr("must be at least 1, but are 0 and 3"));
  std::ofstream(root / "cache") << "in the way";
  EXPECT_NE(error_of([&] { pack(); }), "");
  EXPECT_EQ(packed_fs::file_size(root / "cache"), 10U);
}

}  // namespace
