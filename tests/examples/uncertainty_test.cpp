// SPDX-License-Identifier: Apache-2.0
// examples/common/data/png.hpp against pictures that libspng has written, and the corruptions and
// the clip art of examples/uncertainty.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <spng.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/data/png.hpp"
#include "uncertainty/clip_art.hpp"
#include "uncertainty/corruptions.hpp"

namespace {

using torch::Tensor;

// A PNG file of the given colour type with 8 bits a channel.
std::string png_bytes(uint32_t width, uint32_t height, uint8_t colour,
                      const std::vector<uint8_t>& pixels) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> encoder(spng_ctx_new(SPNG_CTX_ENCODER),
                                                               spng_ctx_free);
  spng_set_option(encoder.get(), SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header = {width, height, 8, colour, 0, 0, 0};
  EXPECT_EQ(spng_set_ihdr(encoder.get(), &header), 0);
  EXPECT_EQ(spng_encode_image(encoder.get(), pixels.data(), pixels.size(), SPNG_FMT_PNG,
                              SPNG_ENCODE_FINALIZE),
            0);
  size_t size = 0;
  int error = 0;
  const std::unique_ptr<void, void (*)(void*)> bytes(
      spng_get_png_buffer(encoder.get(), &size, &error), std::free);
  EXPECT_EQ(error, 0);
  return {static_cast<const char*>(bytes.get()), size};
}

struct PngFolder {
  PngFolder()
      : path(std::filesystem::temp_directory_path() / ("ivon_png_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path / "clothing");
  }
  ~PngFolder() { std::filesystem::remove_all(path); }
  PngFolder(const PngFolder&) = delete;
  PngFolder& operator=(const PngFolder&) = delete;
  std::filesystem::path write(const char* name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
  std::filesystem::path path;
};

TEST(Png, IsReadAsRedGreenBlueOpacity) {
  const PngFolder folder;
  const auto grey = examples::read_png(
      folder.write("grey.png", png_bytes(2, 1, SPNG_COLOR_TYPE_GRAYSCALE, {10, 200})));
  EXPECT_TRUE(torch::equal(
      grey, torch::tensor({10, 10, 10, 255, 200, 200, 200, 255}, torch::kByte).view({1, 2, 4})));
  const std::vector<uint8_t> colours = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto rgba = examples::read_png(
      folder.write("colours.png", png_bytes(1, 2, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, colours)));
  EXPECT_TRUE(torch::equal(rgba, torch::tensor(colours, torch::kByte).view({2, 1, 4})));
}

TEST(Png, DamageIsAnError) {
  const PngFolder folder;
  const std::string whole = png_bytes(2, 2, SPNG_COLOR_TYPE_GRAYSCALE, {1, 2, 3, 4});
  for (const size_t size : {size_t{0}, size_t{8}, size_t{40}, whole.size() - 20}) {
    const auto file = folder.write("short.png", whole.substr(0, size));
    EXPECT_THROW(examples::read_png(file), std::runtime_error) << size;
  }
  EXPECT_THROW(examples::read_png(folder.path / "none.png"), std::runtime_error);
}

TEST(ClipArt, IsReadEvenlyAndClothesAreLeftOut) {
  const PngFolder folder;
  for (const char* name : {"a.png", "b.png", "c.png", "d.png", "clothing/shirt.png"}) {
    const auto level = static_cast<uint8_t>(10 * (name[0] - 'a'));
    folder.write(name, png_bytes(1, 1, SPNG_COLOR_TYPE_GRAYSCALE, {level}));
  }
  folder.write("e.png", "no picture");
  const auto some = uncertainty::read_clip_art(folder.path, 2);
  ASSERT_EQ(some.images.size(0), 2);
  EXPECT_NEAR(some.images[0].mean().item<double>(), 1, 1e-6);               // a: black, inverted
  EXPECT_NEAR(some.images[1].mean().item<double>(), 1 - 20.0 / 255, 1e-6);  // c
  const auto all = uncertainty::read_clip_art(folder.path, 100);
  EXPECT_EQ(all.images.size(0), 4);
  EXPECT_EQ(all.unreadable.size(), 1U);
  EXPECT_FALSE(uncertainty::read_clip_art(folder.path / "none", 2).images.defined());
}

TEST(Corruptions, DoWhatTheirNamesSay) {
  torch::manual_seed(1);
  const Tensor images = torch::rand({50, 1, 28, 28});
  auto generator = at::make_generator<at::CPUGeneratorImpl>(uint64_t{3});
  EXPECT_TRUE(
      torch::allclose(uncertainty::rotated(images, 90), torch::rot90(images, 1, {2, 3}), 0, 1e-4));
  EXPECT_TRUE(torch::allclose(uncertainty::rotated(images, 0), images, 0, 1e-5));
  const Tensor grey = torch::full_like(images, 0.5);
  const Tensor noisy = uncertainty::noisy(grey, 0.1, generator);
  EXPECT_NEAR((noisy - grey).std().item<double>(), 0.1, 0.003);
  const Tensor flat = uncertainty::with_less_contrast(images, 3);
  EXPECT_NEAR((flat.std() / images.std()).item<double>(), 0.3, 0.02);
  EXPECT_TRUE(torch::allclose(flat.mean({1, 2, 3}), images.mean({1, 2, 3}), 1e-4, 1e-4));
  const Tensor covered = uncertainty::occluded(torch::ones_like(images), 2, generator);
  EXPECT_TRUE((covered.sum({1, 2, 3}) == 28 * 28 - 9 * 9).all().item<bool>());
  const Tensor blurred = uncertainty::blurred(torch::ones_like(images), 5);
  EXPECT_NEAR(blurred[0][0][14][14].item<double>(), 1, 1e-5);
  EXPECT_LT(uncertainty::blurred(images, 2).std().item<double>(), images.std().item<double>());
}

TEST(Corruptions, EachHasFiveLevelsAndKeepsTheRange) {
  const Tensor images = torch::rand({3, 1, 28, 28});
  auto generator = at::make_generator<at::CPUGeneratorImpl>(uint64_t{3});
  EXPECT_EQ(uncertainty::corruptions().size(), 5U);
  for (const auto& corruption : uncertainty::corruptions()) {
    EXPECT_EQ(corruption.levels.size(), 5U) << corruption.name;
    for (const double level : corruption.levels) {
      const Tensor result = corruption.apply(images, level, generator);
      EXPECT_EQ(result.sizes(), images.sizes()) << corruption.name;
      EXPECT_GE(result.min().item<double>(), -1e-6) << corruption.name;
      EXPECT_LE(result.max().item<double>(), 1 + 1e-6) << corruption.name;
    }
  }
}

}  // namespace
