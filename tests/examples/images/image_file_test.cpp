// SPDX-License-Identifier: Apache-2.0
// Reading of image files: kinds of files, orientation, parts, scales, damage.
#include "common/data/image_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <iterator>
#include <random>

#include "common/data/exif.hpp"
#include "common/data/png.hpp"
#include "common/data/resize.hpp"
#include "image_files.hpp"
#include "small.hpp"

namespace {

using examples::Box;
using examples::EncodedImage;
using examples::resized;
using examples_test::error_of;
using examples_test::PngKind;
using testing::HasSubstr;
using testing::StartsWith;
using torch::Tensor;

// A picture without edges, different in each channel and not symmetric.
Tensor smooth_picture(int64_t height, int64_t width) {
  const Tensor y = torch::linspace(0, 1, height).view({-1, 1});
  const Tensor x = torch::linspace(0, 1, width).view({1, -1});
  const Tensor red = x.expand({height, width}), green = (y * y).expand({height, width});
  const Tensor blue = 0.5 + 0.4 * torch::sin(5 * x + 3 * y);
  return (torch::stack({red, green, blue}, 2) * 255).round().to(torch::kByte);
}

Tensor whole_image(const EncodedImage& image) {
  return image.read({0, 0, image.height(), image.width()}, image.height(), image.width());
}

Tensor image_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(torch::kInt) - b.to(torch::kInt)).abs();
}

int worst_difference(const Tensor& a, const Tensor& b) {
  return image_difference(a, b).max().item<int>();
}

// The image that a viewer shows for the stored one, after the table in the EXIF standard.
Tensor turned(const Tensor& stored, int orientation) {
  const Tensor swapped = stored.transpose(0, 1);
  switch (orientation) {
    case 2:
      return stored.flip({1});
    case 3:
      return stored.rot90(2, {0, 1});
    case 4:
      return stored.flip({0});
    case 5:
      return swapped;
    case 6:
      return stored.rot90(-1, {0, 1});  // clockwise
    case 7:
      return swapped.flip({0, 1});
    case 8:
      return stored.rot90(1, {0, 1});
    default:
      return stored;
  }
}

struct ImageFile : testing::Test {
  examples_test::Folder folder{"images"};
  std::filesystem::path file = folder.path / "image.jpg";

  std::string text_of_file() const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void write_text(const std::string& text) const {
    examples_test::write_bytes(file, text.data(), text.size());
  }
  std::string error_of_reading() const {
    return error_of([this] { whole_image(EncodedImage(file)); });
  }
};

TEST_F(ImageFile, PngKinds) {
  const Tensor rgb = smooth_picture(13, 10).bitwise_and(192), grey = rgb.slice(2, 0, 1);
  const Tensor opacity = rgb.slice(2, 1, 2).bitwise_or(63);
  const auto read = [this](const Tensor& pixels, PngKind kind) {
    examples_test::write_png(file, pixels, kind);  // the name ends in .jpg
    return whole_image(EncodedImage(file));
  };
  EXPECT_TRUE(torch::equal(read(rgb, PngKind::kRgb8), rgb));
  EXPECT_TRUE(torch::equal(read(rgb, PngKind::kRgb16), rgb));
  EXPECT_TRUE(torch::equal(read(rgb, PngKind::kPalette), rgb));
  EXPECT_TRUE(torch::equal(read(grey, PngKind::kGrey8), grey.expand_as(rgb)));
  EXPECT_TRUE(torch::equal(read(grey, PngKind::kGrey16), grey.expand_as(rgb)));
  const Tensor a = opacity.to(torch::kFloat) / 255;
  const Tensor on_white = (rgb * a + 255 * (1 - a)).round();
  EXPECT_LE(worst_difference(read(torch::cat({rgb, opacity}, 2), PngKind::kRgba8), on_white), 1);
}

TEST_F(ImageFile, PngFromFileKeepsOpacity) {
  const Tensor rgba = torch::cat({smooth_picture(4, 5), smooth_picture(4, 5).slice(2, 2)}, 2);
  examples_test::write_png(file, rgba, PngKind::kRgba8);
  EXPECT_TRUE(torch::equal(examples::read_png(file), rgba));
}

TEST_F(ImageFile, JpegKinds) {
  const Tensor rgb = smooth_picture(61, 45), grey = rgb.slice(2, 0, 1);
  examples_test::write_jpeg(file, rgb, 98);
  EXPECT_LE(worst_difference(whole_image(EncodedImage(file)), rgb), 10);
  examples_test::write_jpeg(file, grey, 98);
  EXPECT_LE(worst_difference(whole_image(EncodedImage(file)), grey.expand_as(rgb)), 3);
  examples_test::write_jpeg(file, rgb, 100, 1, /*cmyk=*/true);
  EXPECT_LE(
      image_difference(whole_image(EncodedImage(file)), rgb).to(torch::kFloat).mean().item<float>(),
      2);
}

TEST_F(ImageFile, AllOrientations) {
  const Tensor picture = smooth_picture(61, 45);
  examples_test::write_jpeg(file, picture, 90);
  const Tensor stored = whole_image(EncodedImage(file));
  for (int orientation = 1; orientation <= 8; ++orientation) {
    examples_test::write_jpeg(file, picture, 90, orientation);
    const EncodedImage image(file);
    const Tensor seen = turned(stored, orientation);
    ASSERT_EQ(image.height(), seen.size(0));
    EXPECT_TRUE(torch::equal(whole_image(image), seen)) << orientation;
    EXPECT_LE(worst_difference(image.read({7, 9, 21, 30}, 21, 30),
                               seen.narrow(0, 7, 21).narrow(1, 9, 30)),
              2)
        << orientation;
    EXPECT_LE(worst_difference(image.read({7, 9, 20, 30}, 13, 17),
                               resized(seen.narrow(0, 7, 20).narrow(1, 9, 30).contiguous(),
                                       {0, 0, 20, 30}, 13, 17)),
              3)
        << orientation;
  }
}

TEST_F(ImageFile, OrientationOfGreyImages) {
  const Tensor grey = smooth_picture(20, 31).slice(2, 0, 1);
  examples_test::write_jpeg(file, grey, 95, 6);
  EXPECT_LE(worst_difference(whole_image(EncodedImage(file)), turned(grey, 6).expand({31, 20, 3})),
            3);
}

TEST(Exif, DamagedDataAreIgnored) {
  const auto orientation = [](const std::vector<uint8_t>& data) {
    return examples::exif_orientation(data.data(), data.size());
  };
  const std::vector<uint8_t> good = examples_test::exif_segment(6);
  EXPECT_EQ(orientation(good), 6);
  for (size_t size = 0; size < good.size() - 6; ++size) {
    EXPECT_EQ(orientation({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}), 1);
  }
  for (const size_t at : {0U, 6U, 9U, 10U, 13U, 17U, 19U, 25U}) {  // letters, offsets, tag, value
    std::vector<uint8_t> bad = good;
    bad[at] = 0xEE;
    EXPECT_EQ(orientation(bad), 1) << at;
  }
}

TEST_F(ImageFile, BoxesOfJpegEqualTheWholeImage) {
  examples_test::write_jpeg(file, smooth_picture(99, 133), 90);
  const EncodedImage image(file);
  const Tensor whole = whole_image(image);
  std::mt19937 generator(1);
  const auto below = [&generator](int64_t n) { return static_cast<int64_t>(generator()) % n; };
  int worst = 0;
  for (int i = 0; i < 300; ++i) {
    const int64_t h = 1 + below(99), w = 1 + below(133), y = below(100 - h), x = below(134 - w);
    const Tensor part = image.read({y, x, h, w}, h, w);
    worst = std::max(worst, worst_difference(part, whole.narrow(0, y, h).narrow(1, x, w)));
  }
  EXPECT_LE(worst, 2);
}

TEST_F(ImageFile, ScaledDecodingIsCloseToResizing) {
  examples_test::write_jpeg(file, smooth_picture(301, 403), 95);
  const EncodedImage image(file);
  const Tensor whole = whole_image(image);
  for (const int64_t side : {100, 50, 30, 7}) {  // decoded at 8, 4, 2 and 1 eighths
    const Tensor expected = resized(whole, {41, 77, 200, 210}, side, side);
    const Tensor difference =
        image_difference(image.read({41, 77, 200, 210}, side, side), expected);
    EXPECT_LE(difference.to(torch::kFloat).mean().item<float>(), 0.8) << side;
    EXPECT_LE(difference.max().item<int>(), 6) << side;
  }
}

TEST_F(ImageFile, OutsideIsBlack) {
  examples_test::write_png(file, torch::full({4, 5, 3}, 9, torch::kByte), PngKind::kRgb8);
  const EncodedImage image(file);
  const Tensor part = image.read({-1, 3, 6, 4}, 6, 4);
  Tensor expected = torch::zeros({6, 4, 3}, torch::kByte);
  expected.slice(0, 1, 5).slice(1, 0, 2).fill_(9);
  EXPECT_TRUE(torch::equal(part, expected));
  EXPECT_EQ(image.read({10, 10, 2, 2}, 2, 2).sum().item<int>(), 0);
  EXPECT_THAT(error_of([&] {
                image.read({-1, 3, 6, 4}, 3, 2);
              }),
              HasSubstr("a box of 6 x 4 pixels from row -1, column 3 does not lie in the stored "
                        "image of 4 x 5"));
}

TEST_F(ImageFile, OutsideOfJpegIsBlack) {
  examples_test::write_jpeg(file, torch::full({40, 50, 3}, 99, torch::kByte), 95, 6);
  const Tensor part = EncodedImage(file).read({-4, -8, 60, 60}, 60, 60);
  EXPECT_EQ((part > 90).sum().item<int>(), 3 * 40 * 50);
  EXPECT_LE((part.slice(0, 4, 54).slice(1, 8, 48).to(torch::kInt) - 99).abs().max().item<int>(), 1);
}

TEST_F(ImageFile, TruncatedJpeg) {
  examples_test::write_jpeg(file, smooth_picture(80, 80), 90);
  const std::string text = text_of_file();
  write_text(text.substr(0, text.size() * 3 / 4));
  EXPECT_EQ(error_of_reading(), file.string() + ": is damaged: Premature end of JPEG file");
  EXPECT_EQ(EncodedImage(file).read({0, 0, 8, 8}, 8, 8).size(0), 8);  // the part before the end
  write_text(text.substr(0, 30));
  EXPECT_EQ(error_of_reading(), file.string() + ": is damaged: Premature end of JPEG file");
}

TEST_F(ImageFile, CorruptJpeg) {
  examples_test::write_jpeg(file, smooth_picture(80, 80), 90);
  std::string text = text_of_file();
  text.replace(text.size() * 3 / 4, 2, "\xFF\xD9");
  write_text(text);
  EXPECT_EQ(error_of_reading(),
            file.string() + ": is damaged: Corrupt JPEG data: premature end of data segment");
  text.replace(text.find("\xFF\xC0") + 4, 1, "\x0C");  // bits of a sample
  write_text(text);
  EXPECT_EQ(error_of_reading(),
            file.string() + ": cannot be decoded: Unsupported JPEG data precision 12");
}

TEST_F(ImageFile, DamagedPng) {
  examples_test::write_png(file, smooth_picture(80, 80), PngKind::kRgb8);
  const std::string text = text_of_file();
  write_text(text.substr(0, text.size() / 2));
  EXPECT_THAT(error_of_reading(), StartsWith(file.string() + ": is not a whole PNG file ("));
  write_text(text.substr(0, 20));
  EXPECT_THAT(error_of_reading(), StartsWith(file.string() + ": is not a whole PNG file ("));
}

TEST_F(ImageFile, WhatIsNoImage) {
  write_text("");
  EXPECT_EQ(error_of_reading(), file.string() + ": is empty; an image is a JPEG or PNG file");
  write_text("hello");
  EXPECT_EQ(error_of_reading(),
            file.string() +
                ": is neither a JPEG nor a PNG file, whatever its name says; convert "
                "it or remove it");
  file = folder.path;
  EXPECT_EQ(error_of_reading(),
            file.string() + ": cannot be read (Is a directory); check that it is an image file");
  file = folder.path / "missing.jpg";
  EXPECT_THAT(error_of_reading(), HasSubstr("missing.jpg: cannot be read (No such file"));
}

TEST_F(ImageFile, SizeIsFoundBehindALongHeader) {
  examples_test::write_jpeg(file, smooth_picture(61, 45), 90, 6);
  EXPECT_EQ(examples::image_size(file).height, 45);
  EXPECT_EQ(examples::image_size(file).width, 61);
  std::string text = text_of_file(), comment = "\xFF\xFE\xFF\xFF";
  comment.resize(2 + 0xFFFF, ' ');
  write_text(text.insert(2, comment + comment));
  EXPECT_EQ(examples::image_size(file).height, 45);
  write_text(text.substr(0, 2 * comment.size()));
  EXPECT_EQ(error_of([&] { examples::image_size(file); }), error_of_reading());
}

TEST(ImageName, Endings) {
  for (const char* name : {"a.jpg", "b/c.JPEG", "d.PnG"}) {
    EXPECT_TRUE(examples::is_image_name(name)) << name;
  }
  for (const char* name : {"a.jpg.txt", "jpg", ".png", "a.gif", ""}) {
    EXPECT_FALSE(examples::is_image_name(name)) << name;
  }
}

}  // namespace
