// SPDX-License-Identifier: Apache-2.0
// The C++ side of tests/python/images.py, which runs each of these in a process of its own.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/data/image_file.hpp"
#include "common/data/resize.hpp"
#include "image_files.hpp"

namespace {

std::filesystem::path images_folder() {
  const char* folder = std::getenv("IVON_EXCHANGE_FOLDER");
  return folder != nullptr ? folder : ".";
}

torch::Tensor read_whole(const std::filesystem::path& file) {
  const examples::EncodedImage image(file);
  return image.read({0, 0, image.height(), image.width()}, image.height(), image.width());
}

// For each image NAME, NAME.raw: the pixels, and NAME.json: height and width.
TEST(ImagesExchange, DISABLED_Reads) {
  for (const auto& entry : std::filesystem::directory_iterator(images_folder())) {
    if (!examples::is_image_name(entry.path())) continue;
    const torch::Tensor pixels = read_whole(entry.path());
    const std::string name = entry.path().string();
    examples_test::write_bytes(name + ".raw", pixels.const_data_ptr(), pixels.nbytes());
    std::ofstream(name + ".json") << nlohmann::json{pixels.size(0), pixels.size(1)};
  }
}

// boxes.json: a list of {"file", "box": [top, left, height, width], "size": [height, width],
// "result"}. The resized box of the file becomes the raw file `result`.
TEST(ImagesExchange, DISABLED_Resizes) {
  std::ifstream in(images_folder() / "boxes.json");
  for (const auto& task : nlohmann::json::parse(in)) {
    const auto& box = task["box"];
    const torch::Tensor result =
        examples::resized(read_whole(images_folder() / task["file"].get<std::string>()),
                          {box[0], box[1], box[2], box[3]}, task["size"][0], task["size"][1]);
    examples_test::write_bytes(images_folder() / task["result"].get<std::string>(),
                               result.const_data_ptr(), result.nbytes());
  }
}

}  // namespace
