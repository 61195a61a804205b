// SPDX-License-Identifier: Apache-2.0
// Image files that ask for more memory or time than an image needs.
#include "common/data/image_limits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "common/data/file_bytes.hpp"
#include "common/data/image_file.hpp"
#include "image_files.hpp"
#include "small.hpp"

namespace {

using examples::EncodedImage;
using examples_test::error_of;
using testing::HasSubstr;

struct ImageLimits : testing::Test {
  examples_test::Folder folder{"image_limits"};
  std::filesystem::path file = folder.path / "a.jpg";
};

// A grey image of 16 x 16 pixels in 1 + `scans` scans.
std::string jpeg_with_scans(int scans) {
  jpeg_scan_info script[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}};
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_height = jpeg.image_width = 16;
  jpeg.input_components = 1;
  jpeg.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  jpeg.scan_info = script;
  jpeg.num_scans = 2;
  jpeg_start_compress(&jpeg, TRUE);
  for (unsigned char y = 0; y < 16; ++y) {
    unsigned char row[16] = {y, 90, 3, y, 200};
    JSAMPROW rows = row;
    jpeg_write_scanlines(&jpeg, &rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  const size_t last = text.rfind("\xFF\xDA"), end = text.size() - 2;
  std::string result = text.substr(0, last);
  for (int i = 0; i < scans; ++i) result += text.substr(last, end - last);
  return result + text.substr(end);
}

TEST_F(ImageLimits, TooManyScans) {
  const auto error = [&](int scans) {
    const std::string text = jpeg_with_scans(scans);
    examples_test::write_bytes(file, text.data(), text.size());
    return error_of([&] { EncodedImage(file).read({0, 0, 16, 16}, 16, 16); });
  };
  EXPECT_EQ(error(1), "");
  EXPECT_EQ(error(400), "");
  EXPECT_EQ(error(600), file.string() +
                            ": cannot be decoded: an image must have at most 500 scans; store it "
                            "again or remove it");
}

TEST_F(ImageLimits, TooLargeAFile) {
  examples_test::write_bytes(file, "x", 1);
  std::filesystem::resize_file(file, (uintmax_t{1} << 30) + 1);  // takes no space on the disk
  EXPECT_THAT(error_of([&] { EncodedImage image(file); }),
              HasSubstr("a.jpg: must have at most 1073741824 bytes, but has 1073741825; remove"));
}

TEST_F(ImageLimits, TooManyPixels) {
  std::string text = jpeg_with_scans(1);
  text.replace(text.find("\xFF\xC2") + 5, 4, "\xFE\xFE\xFE\xFF");  // height and width
  examples_test::write_bytes(file, text.data(), text.size());
  EXPECT_EQ(error_of([&] { EncodedImage image(file); }),
            file.string() +
                ": must have at most 32768 pixels in a row or column and 67108864 in all, but has "
                "65279 x 65278; reduce it or remove it");
  EXPECT_NO_THROW(examples::check_image_size("a", 1 << 13, 1 << 13));
  EXPECT_THROW(examples::check_image_size("a", 1 << 13, (1 << 13) + 1), std::runtime_error);
  EXPECT_THROW(examples::check_image_size("a", 1, (1 << 15) + 1), std::runtime_error);
}

TEST_F(ImageLimits, TooLargeAPng) {
  examples_test::write_png(file, torch::zeros({1, 32769, 1}, torch::kByte),
                           examples_test::PngKind::kGrey8);
  EXPECT_THAT(error_of([&] { EncodedImage image(file); }), HasSubstr("but has 32769 x 1; reduce"));
}

}  // namespace
