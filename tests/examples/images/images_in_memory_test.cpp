// SPDX-License-Identifier: Apache-2.0
// examples/common/data/images_in_memory.hpp: which of MNIST and Fashion-MNIST a folder holds.
#include "common/data/images_in_memory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "small.hpp"

namespace {

// One image of 1 x 1 pixel with that label.
void write_tiny_mnist(const std::filesystem::path& folder, char label = 0) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "train-images-idx3-ubyte", std::ios::binary)
      << std::string("\0\0\x8\x3\0\0\0\x1\0\0\0\x1\0\0\0\x1\x7", 17);
  std::ofstream(folder / "train-labels-idx1-ubyte", std::ios::binary)
      << std::string("\0\0\x8\x1\0\0\0\x1", 8) << label;
}

std::string first_class(const std::filesystem::path& folder) {
  write_tiny_mnist(folder);
  return examples::load_mnist(folder, true)->classes.front();
}

TEST(ImagesInMemory, TheLastTwoNamesOfThePathTellMnistFromFashionMnist) {
  const examples_test::Folder folder("mnist");
  EXPECT_EQ(first_class(folder.path / "FashionMNIST" / "raw"), "T-shirt/top");
  EXPECT_EQ(first_class(folder.path / "fashion-mnist" / ""), "T-shirt/top");
  EXPECT_EQ(first_class(folder.path / "mnist"), "0");
  EXPECT_EQ(first_class(folder.path / "fashion" / "data" / "mnist"), "0");
}

TEST(ImagesInMemory, ARelativePathCountsWithWhatIsAboveIt) {
  const examples_test::Folder folder("relative_mnist");
  write_tiny_mnist(folder.path / "fashion");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path / "fashion");
  const std::string first = examples::load_mnist(".", true)->classes.front();
  std::filesystem::current_path(before);
  EXPECT_EQ(first, "T-shirt/top");
}

TEST(ImagesInMemory, ALabelBeyondTheClassesIsAnError) {
  const examples_test::Folder folder("mnist_label");
  write_tiny_mnist(folder.path, 10);
  EXPECT_THROW(examples::load_mnist(folder.path, true), std::invalid_argument);
}

}  // namespace
