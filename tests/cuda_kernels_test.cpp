// SPDX-License-Identifier: Apache-2.0
// The text of the CUDA kernels, run on the host, against the processors' kernels: the same bits
// where the noise is not drawn, and the formulas with the noise of stream 2 where it is. Without
// LibTorch.
#include <ivon/kernels/cuda/convert.hpp>

#include "cuda_on_host.hpp"
#include "kernels_support.hpp"

namespace {

using namespace ivon_test;
using ivon::detail::cuda::Chunk;
using ivon::detail::cuda::EntryPoint;
using ivon::detail::cuda::kChunk;
using ivon::detail::cuda::Launch;
using ivon::detail::cuda::Task;
using ivon::detail::cuda::Work;

HostRuntime& host() {
  static HostRuntime runtime;
  return runtime;
}

// Launches one pass over several parameters of one dtype, as the dispatcher does.
template <class Estimator>
void run(EntryPoint entry, std::vector<Work> works) {
  std::vector<Task> tasks;
  std::vector<const void*> gradients;
  Launch launch{};
  int64_t chunks = 0;
  for (Work& work : works) {
    work.task.shared = 0;
    work.task.aligned = aligned(work) ? 1 : 0;
    work.task.first_chunk = chunks;
    chunks += ivon::detail::cuda::chunks_of(work.task.count);
    tasks.push_back(work.task);
    gradients.push_back(work.gradient);
  }
  std::vector<Chunk> list(static_cast<size_t>(chunks));
  const ivon::detail::cuda::Listing listing{tasks.data(), static_cast<int64_t>(tasks.size()),
                                            list.data(), chunks};
  host().launch({EntryPoint::kListChunks}, {}, chunks / 256 + 1, &listing);
  launch.tasks = tasks.data();
  launch.gradients = gradients.data();
  launch.chunks = list.data();
  launch.shared[0] = works.front().shared;
  host().launch({entry, works.front().dtype, ivon::detail::kCudaEstimator<Estimator>}, {}, chunks,
                &launch);
}

template <class Estimator>
int64_t update(const Parameter& p, const UpdateCoefficients& c, StatisticFrom from,
               double samples = 1) {
  int64_t skipped = 0;
  Work work;
  put(work, p.update_task(c, from, samples), &skipped);
  run<Estimator>(EntryPoint::kUpdate, {work});
  return skipped;
}
template <class Estimator>
void accumulate(const Parameter& p, StatisticFrom from, bool first) {
  Work work;
  put(work, p.accumulate_task(kScale, from, first));
  run<Estimator>(EntryPoint::kAccumulate, {work});
}
void sample(const Parameter& p) {
  Work work;
  put(work, p.sample_task(kScale));
  run<ivon::PriceEstimator>(EntryPoint::kSample, {work});
}

std::vector<double> cuda_normals(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  fill_normal_cuda(kKey, 0, values.data(), count, Isa::kPortable);
  return {values.begin(), values.end()};
}

std::string where(Dtype dtype, int64_t count, Placement place) {
  return std::string(name_of(dtype)) + ", " + std::to_string(count) + " elements, " +
         (place.at_end ? "at the end" : "at the begin") + ", shift " + std::to_string(place.shift);
}

// Every tail, both sides of a chunk, with and without 16-byte accesses.
template <class Check>
void for_shapes(const Check& check) {
  std::vector<int64_t> counts;
  for (int64_t count = 0; count < 70; ++count) counts.push_back(count);
  for (const int64_t near : {kChunk, 2 * kChunk}) {
    for (int64_t off = -9; off <= 9; off += 3) counts.push_back(near + off);
  }
  for (const Dtype dtype : kDtypes) {
    for (const int64_t count : counts) {
      for (const Placement place : {Placement{true, 0}, Placement{false, 0}, Placement{false, 1}}) {
        SCOPED_TRACE(where(dtype, count, place));
        check(dtype, count, place);
        ASSERT_TRUE(Parameter::only_the_arrays_were_touched());
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

template <class Estimator>
void expect_updates_have_the_processors_bits(StatisticFrom from, const UpdateCoefficients& c) {
  const Isa isa = best_isa();
  const double samples = from == StatisticFrom::kSums ? 3 : 1;
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    std::array<std::vector<unsigned char>, kArrays> expected;
    {
      Parameter p(dtype, count, place);
      ASSERT_EQ(p.update<Estimator>(isa, c, from, samples), 0);
      expected = p.all_bits();
    }
    Parameter p(dtype, count, place);
    ASSERT_EQ((update<Estimator>(p, c, from, samples)), 0);
    ASSERT_EQ(p.all_bits(), expected);
  });
}

TEST(CudaKernels, UpdatesHaveTheProcessorsBits) {
  for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kSums}) {
    expect_updates_have_the_processors_bits<ivon::PriceEstimator>(from, coefficients());
    expect_updates_have_the_processors_bits<ivon::PriceEstimator>(from, clipped_coefficients());
    expect_updates_have_the_processors_bits<ivon::PriceEstimator>(from, damped_coefficients());
    expect_updates_have_the_processors_bits<ivon::GradSquaredEstimator>(from, coefficients());
  }
}

TEST(CudaKernels, SumsHaveTheProcessorsBits) {
  const Isa isa = best_isa();
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    for (const bool first : {true, false}) {
      std::array<std::vector<unsigned char>, kArrays> expected;
      {
        Parameter p(dtype, count, place);
        p.accumulate<ivon::PriceEstimator>(isa, kScale, StatisticFrom::kTheta, first);
        expected = p.all_bits();
      }
      Parameter p(dtype, count, place);
      accumulate<ivon::PriceEstimator>(p, StatisticFrom::kTheta, first);
      ASSERT_EQ(p.all_bits(), expected);
    }
  });
}

TEST(CudaKernels, NormalsHaveTheProcessorsBits) {
  for (const int64_t count : {1, 3, 4, 5, 63, 64, 65, 4096, 4097, 10000}) {
    std::vector<float> filled(static_cast<size_t>(count));
    const ivon::detail::cuda::Filling filling{kKey, filled.data(), count};
    host().launch({EntryPoint::kFill}, {}, (count / 4 + 256) / 256, &filling);
    for (const Isa isa : instruction_sets()) {
      std::vector<float> expected(static_cast<size_t>(count));
      fill_normal_cuda(kKey, 0, expected.data(), count, isa);
      EXPECT_EQ(filled, expected) << isa_name(isa) << ", " << count;
    }
  }
}

TEST(CudaKernels, SamplesFollowTheFormula) {
  const std::vector<double> noise = cuda_normals(Parameter::kMaxCount);
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    Parameter p(dtype, count, place);
    sample(p);
    for (int64_t i = 0; i < count; ++i) {
      const double part = sigma_of(p.get(kHess, i), kScale) * noise[static_cast<size_t>(i)];
      const double size = std::abs(p.mean(i)) + std::abs(part);
      ASSERT_NEAR(
          p.get(kTheta, i), p.mean(i) + part,
          tolerance::kSampleRoundings * rounding(dtype) * size + shown_rounding(dtype, size));
    }
  });
}

TEST(CudaKernels, NoiseIsRegenerated) {
  const std::vector<double> noise = cuda_normals(Parameter::kMaxCount);
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    Parameter p(dtype, count, place);
    accumulate<ivon::PriceEstimator>(p, StatisticFrom::kNoise, true);
    for (int64_t i = 0; i < count; ++i) {
      const double expected =
          sigma_of(p.get(kHess, i), kScale) * noise[static_cast<size_t>(i)] * p.get(kGradient, i);
      ASSERT_NEAR(p.get(kStatisticSum, i), expected,
                  tolerance::kSumRoundings * rounding(dtype) * std::abs(expected));
    }
  });
}

// One sample by way of the sums: the same bits.
TEST(CudaKernels, OneSampleInSumsIsOneSample) {
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kNoise}) {
      std::array<std::vector<unsigned char>, kArrays> direct;
      {
        Parameter p(dtype, count, place);
        update<ivon::PriceEstimator>(p, coefficients(), from);
        direct = p.all_bits();
      }
      Parameter p(dtype, count, place);
      accumulate<ivon::PriceEstimator>(p, from, true);
      update<ivon::PriceEstimator>(p, coefficients(), StatisticFrom::kSums, 1);
      for (const int array : {kMean, kWide, kHess, kMomentum}) {
        ASSERT_EQ(p.bits(array), direct[static_cast<size_t>(array)]) << "array " << array;
      }
    }
  });
}

// Update and next sample in one pass: the bits of one after the other.
template <class Estimator>
void expect_a_step_is_both() {
  const NoiseKey next{11, 6, NoiseDomain::kTraining, 3};
  for_shapes([&](Dtype dtype, int64_t count, Placement place) {
    for (const StatisticFrom from : kSources) {
      std::array<std::vector<unsigned char>, kArrays> expected;
      int64_t skipped = 0;
      for (const bool at_once : {false, true}) {
        Parameter p(dtype, count, place);
        SampleTask draw = p.sample_task(kScale);
        draw.drawing.noise = next;
        Work drawing, updating, both;
        put(drawing, draw);
        put(updating, p.update_task(coefficients(), from, 2), &skipped);
        put(both, draw);
        put(both, p.update_task(coefficients(), from, 2), &skipped);
        if (at_once) {
          run<Estimator>(EntryPoint::kStep, {both});
          ASSERT_EQ(p.all_bits(), expected);
        } else {
          run<Estimator>(EntryPoint::kUpdate, {updating});
          run<Estimator>(EntryPoint::kSample, {drawing});
          expected = p.all_bits();
        }
      }
      ASSERT_EQ(skipped, 0);
    }
  });
}
TEST(CudaKernels, AStepIsUpdateAndSample) {
  expect_a_step_is_both<ivon::PriceEstimator>();
  expect_a_step_is_both<ivon::GradSquaredEstimator>();
}

TEST(CudaKernels, WhatIsNotFiniteIsLeftAlone) {
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : kSources) {
      for (const int64_t count : {1, 7, 8, 40}) {
        for (int64_t bad = 0; bad < count; ++bad) {
          SCOPED_TRACE(std::string(name_of(dtype)) + ", element " + std::to_string(bad));
          const double values[] = {kInf, -kInf, std::numeric_limits<double>::quiet_NaN()};
          Parameter p(dtype, count);
          p.set(from == StatisticFrom::kSums ? kGradientSum : kGradient, bad, values[bad % 3]);
          const auto old = p.values();
          ASSERT_EQ((update<ivon::PriceEstimator>(p, coefficients(), from, 2)), 1);
          const auto now = p.values();
          for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
            for (const size_t array : {size_t{kMean}, size_t{kHess}, size_t{kMomentum}}) {
              ASSERT_EQ(now[array][i] == old[array][i], static_cast<int64_t>(i) == bad);
            }
          }
        }
      }
    }
  }
}

// Parameters beside each other in one launch do not disturb each other, and each has its own noise.
TEST(CudaKernels, ManyParametersInOneLaunch) {
  constexpr int64_t kCounts[] = {1, kChunk, 5, kChunk + 1, 3 * kChunk, 17};
  std::vector<std::vector<float>> means, hessians, thetas;
  std::vector<Work> works;
  for (const int64_t count : kCounts) {
    means.emplace_back(static_cast<size_t>(count), 0.0f);
    hessians.emplace_back(static_cast<size_t>(count), 1.0f);
    thetas.emplace_back(static_cast<size_t>(count), 7.0f);
  }
  const PosteriorScale unit(1, 0, 1);  // theta is the noise itself
  for (size_t i = 0; i < means.size(); ++i) {
    NoiseKey key = kKey;
    key.parameter = static_cast<uint32_t>(i);
    Work work;
    put(work,
        SampleTask{{Dtype::kFloat32, means[i].data(), nullptr, hessians[i].data(), kCounts[i]},
                   thetas[i].data(),
                   {key, unit}});
    works.push_back(work);
  }
  run<ivon::PriceEstimator>(EntryPoint::kSample, works);
  for (size_t i = 0; i < means.size(); ++i) {
    NoiseKey key = kKey;
    key.parameter = static_cast<uint32_t>(i);
    std::vector<float> expected(thetas[i].size());
    fill_normal_cuda(key, 0, expected.data(), kCounts[i]);
    EXPECT_EQ(thetas[i], expected) << "parameter " << i;
  }
}

// The last chunk of a parameter of more than 2^32 elements, whose other chunks are nowhere.
TEST(CudaKernels, OffsetsBeyond32Bits) {
  constexpr int64_t kCount = (int64_t{1} << 32) + 2 * kChunk + 13;
  constexpr int64_t kBegin = kCount - 13 - kChunk;  // of the last two chunks
  constexpr size_t kHere = kChunk + 13;
  std::vector<uint16_t> means(kHere, 0), thetas(kHere, 0);
  std::vector<float> wide(kHere, 0.0f), hessians(kHere, 1.0f);
  const auto as_if_whole = [](auto& array) {
    return reinterpret_cast<char*>(array.data()) -
           kBegin * static_cast<int64_t>(sizeof(array.front()));
  };
  Work work;
  put(work, SampleTask{{Dtype::kBFloat16, as_if_whole(means),
                        reinterpret_cast<float*>(as_if_whole(wide)), as_if_whole(hessians), kCount},
                       as_if_whole(thetas),
                       {kKey, PosteriorScale(1, 0, 1)}});
  const Chunk chunks[] = {{0, kBegin / kChunk}, {0, kBegin / kChunk + 1}};
  Launch launch{};
  launch.tasks = &work.task;
  launch.chunks = chunks;
  launch.shared[0] = work.shared;
  host().launch({EntryPoint::kSample, Dtype::kBFloat16}, {}, 2, &launch);
  std::vector<float> expected(kHere);
  fill_normal_cuda(kKey, kBegin / kNoiseBlock, expected.data(), kHere);
  for (size_t i = 0; i < kHere; ++i) {
    ASSERT_EQ(thetas[i], half_bits(Dtype::kBFloat16, expected[i])) << "element " << i;
  }
}

}  // namespace
