// SPDX-License-Identifier: Apache-2.0
// Resizing of images against its definition; its vectorised loops against the portable ones.
#include "common/data/resize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <utility>
#include <vector>

#include "common/data/resize_kernels.hpp"
#include "small.hpp"

namespace {

using examples::resized;
using examples_test::error_of;
using testing::HasSubstr;
using testing::StartsWith;
using torch::Tensor;

// The definition in resize.hpp, in double precision.
Tensor resized_slowly(const Tensor& pixels, const examples::RealBox& box, int64_t height,
                      int64_t width) {
  const auto weights = [](double low, double length, int64_t image, int64_t size) {
    const double step = length / static_cast<double>(size), reach = std::max(step, 1.0);
    const Tensor centres = low + (torch::arange(size, torch::kDouble) + 0.5) * step;
    const Tensor distance =
        torch::arange(image, torch::kDouble) + 0.5 - centres.unsqueeze(1);  // [size, image]
    const Tensor w = (1 - distance.abs() / reach).clamp_min(0);
    return w / w.sum(1, /*keepdim=*/true);
  };
  const Tensor rows = weights(box.top, box.height, pixels.size(0), height);
  const Tensor columns = weights(box.left, box.width, pixels.size(1), width);
  return torch::einsum("yh,hwc,xw->yxc", {rows, pixels.to(torch::kDouble), columns});
}

TEST(Resize, FollowsItsDefinition) {
  torch::manual_seed(1);
  for (const int64_t channels : {1, 3}) {
    const Tensor pixels = torch::randint(0, 256, {37, 53, channels}, torch::kByte);
    for (const auto& [h, w] : {std::pair{10, 20}, {37, 53}, {80, 9}, {1, 1}, {224, 224}}) {
      const examples::RealBox box = {1.25, 3.5, 33.75, 49.5};
      const Tensor expected = resized_slowly(pixels, box, h, w);
      const Tensor found = resized(pixels, box, h, w).to(torch::kDouble);
      EXPECT_LE((found - expected).abs().max().item<double>(), 0.58) << h << " " << w;
    }
  }
}

TEST(Resize, FewPixelsAndManyPixels) {
  const Tensor small = torch::randint(0, 256, {2, 3, 3}, torch::kByte);
  EXPECT_TRUE(torch::equal(resized(small, {0, 0, 2, 3}, 2, 3), small));
  EXPECT_LE((resized(small, {0, 0, 2, 3}, 5, 7).to(torch::kDouble) -
             resized_slowly(small, {0, 0, 2, 3}, 5, 7))
                .abs()
                .max()
                .item<double>(),
            0.58);
  const Tensor white = torch::full({900, 1000, 3}, 255, torch::kByte);
  EXPECT_EQ(resized(white, {0, 0, 900, 1000}, 7, 11).min().item<int>(), 255);
}

TEST(Resize, ReadsRowsThatAreApart) {
  const Tensor pixels = torch::randint(0, 256, {30, 40, 3}, torch::kByte);
  const Tensor part = pixels.narrow(0, 4, 20).narrow(1, 5, 30);
  EXPECT_TRUE(torch::equal(resized(part, {0, 0, 20, 30}, 7, 8),
                           resized(part.contiguous(), {0, 0, 20, 30}, 7, 8)));
}

TEST(Resize, PortableLoopsGiveTheSame) {
  const Tensor pixels = torch::randint(0, 256, {5, 77}, torch::kByte);
  const std::array<int16_t, 6> values = {1000, 5000, 6000, 4000, 384, 0};
  const examples::resize_kernels::Weights weights = {values.data(), 5};
  std::vector<int16_t> a(90), b(90);
  const auto* rows = pixels.const_data_ptr<uint8_t>();
  examples::resize_kernels::sum_rows(rows, 77, weights, 77, a.data());
  examples::resize_kernels::sum_rows_portable(rows, 77, weights, 77, b.data());
  EXPECT_EQ(a, b);
  std::array<uint8_t, 3> c = {}, d = {};
  examples::resize_kernels::sum_pixels<3>(a.data() + 4, weights, c.data());
  examples::resize_kernels::sum_pixels_portable<3>(a.data() + 4, weights, d.data());
  EXPECT_EQ(c, d);
}

TEST(Resize, WrongArguments) {
  const Tensor pixels = torch::zeros({4, 5, 3}, torch::kByte);
  EXPECT_THAT(error_of([&] {
                resized(pixels, {0, 0, 4.5, 5}, 2, 2);
              }),
              StartsWith("a box that is scaled must lie in the image of 4 x 5 pixels"));
  EXPECT_THAT(error_of([&] {
                resized(pixels.to(torch::kFloat), {0, 0, 4, 5}, 2, 2);
              }),
              HasSubstr("not Float [4, 5, 3]"));
  EXPECT_THAT(error_of([&] { resized(pixels, {0, 0, 4, 5}, 0, 2); }), HasSubstr("not 0 x 2"));
}

}  // namespace
