// SPDX-License-Identifier: Apache-2.0
// Noise as tensors: which element gets which normal. The stream itself: noise_statistics_test.cpp.
#include <ATen/Parallel.h>

#include <ivon/dispatch/normals.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::detail::NoiseDomain;
using ivon::detail::NoiseKey;
using ivon::detail::NoiseStream;
using ivon::detail::standard_normal;
using ivon_test::same_bits;

const NoiseKey kKey{1, 2, NoiseDomain::kTraining, 3};

TEST(NoiseTensors, ElementsInMemoryOrder) {
  const auto flat = standard_normal(torch::empty({120}), kKey, at::kFloat);
  const auto matrix = standard_normal(torch::empty({10, 12}), kKey, at::kFloat);
  EXPECT_TRUE(same_bits(matrix.view({120}), flat));
  const auto like = torch::empty({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto channels_last = standard_normal(like, kKey, at::kFloat);
  EXPECT_EQ(channels_last.strides(), like.strides());
  EXPECT_TRUE(same_bits(channels_last.permute({0, 2, 3, 1}).reshape({120}), flat));
  const auto columns = standard_normal(torch::empty({10, 24}).narrow(1, 3, 12), kKey, at::kFloat);
  EXPECT_TRUE(same_bits(columns.reshape({120}), flat)) << "row-major where memory has gaps";
}

TEST(NoiseTensors, LongerTensorsContinueShorterOnes) {
  const auto longer = standard_normal(torch::empty({10'000}), kKey, at::kFloat);
  for (const int64_t count : {0, 1, 15, 16, 17, 31, 32, 33, 4095, 4096, 4097, 8192, 9999}) {
    const auto shorter = standard_normal(torch::empty({count}), kKey, at::kFloat);
    EXPECT_TRUE(same_bits(shorter, longer.narrow(0, 0, count))) << count;
  }
}

TEST(NoiseTensors, Float64IsFloat32Widened) {
  const auto parameter = torch::empty({5000}, torch::kDouble);
  const auto wide = standard_normal(parameter, kKey, at::kDouble);
  EXPECT_EQ(wide.scalar_type(), at::kDouble);
  EXPECT_TRUE(same_bits(wide, standard_normal(parameter, kKey, at::kFloat).to(at::kDouble)));
}

TEST(NoiseTensors, ThreadsDoNotMatter) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = standard_normal(torch::empty({1'000'003}), kKey, at::kFloat);
  for (const int threads : {2, 3, 5}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(same_bits(standard_normal(torch::empty({1'000'003}), kKey, at::kFloat), one));
  }
  at::set_num_threads(before);
}

TEST(NoiseTensors, StreamsCountApart) {
  NoiseStream stream{5, 0, 0};
  EXPECT_EQ(stream.next(NoiseDomain::kTraining).draw, 0u);
  EXPECT_EQ(stream.next(NoiseDomain::kPrediction).draw, 0u);
  const NoiseKey key = stream.next(NoiseDomain::kTraining);
  EXPECT_EQ(key.draw, 1u);
  EXPECT_EQ(key.seed, 5u);
  EXPECT_EQ(key.domain, NoiseDomain::kTraining);
}

}  // namespace
