// SPDX-License-Identifier: Apache-2.0
// Noise as tensors: which element gets which normal. The streams themselves:
// noise_statistics_test.cpp.
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

TEST(NoiseTensors, TheStreamOfTheKey) {
  NoiseKey first = kKey;
  first.stream = static_cast<uint16_t>(ivon::detail::kFirstNoiseStreamId);
  std::vector<float> expected(5000);
  ivon::detail::fill_normal(first, 0, expected.data(), 5000);
  const auto normals = standard_normal(torch::empty({5000}), first, at::kFloat);
  EXPECT_TRUE(same_bits(normals, torch::tensor(expected)));
  EXPECT_FALSE(same_bits(normals, standard_normal(torch::empty({5000}), kKey, at::kFloat)));
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

TEST(NoiseTensors, ANewStreamIsStream3AndAGivenOneStays) {
  EXPECT_EQ(NoiseStream{}.training_sample().stream, 3);
  NoiseStream first{5, 8, 9, ivon::detail::kFirstNoiseStreamId};
  EXPECT_EQ(first.training_sample().stream, 1);
  EXPECT_EQ(first.next(NoiseDomain::kTraining).stream, 1);
  EXPECT_EQ(first.next(NoiseDomain::kPrediction).stream, 1);
  const NoiseStream elsewhere = first.at({6, {20, 30}});  // where a device says that it is
  EXPECT_EQ(elsewhere.stream, 1);
  EXPECT_EQ(elsewhere.training_draws, 20U);
}

}  // namespace
