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
using ivon::detail::cuda::Entry;
using ivon::detail::cuda::kChunk;
using ivon::detail::cuda::Launch;
using ivon::detail::cuda::Task;
using ivon::detail::cuda::Work;

HostRuntime& host() {
  static HostRuntime runtime;
  return runtime;
}

// Launches one pass over several parameters of one element type, as the dispatcher does.
template <FusedEstimate estimate>
void run(Entry entry, std::vector<Work> works) {
  std::vector<Task> tasks;
  std::vector<const void*> gradients;
  Launch launch{};
  int64_t chunks = 0;
  for (Work& work : works) {
    work.task.set = 0;
    work.task.aligned = aligned(work) ? 1 : 0;
    work.task.first_chunk = chunks;
    chunks += ivon::detail::cuda::chunks_of(work.task.count);
    tasks.push_back(work.task);
    gradients.push_back(work.gradient);
  }
  std::vector<Chunk> list(static_cast<size_t>(chunks));
  const ivon::detail::cuda::Listing listing{tasks.data(), static_cast<int64_t>(tasks.size()),
                                            list.data(), chunks};
  host().launch({Entry::kListChunks}, {}, chunks / 256 + 1, &listing);
  launch.tasks = tasks.data();
  launch.gradients = gradients.data();
  launch.chunks = list.data();
  launch.sets[0] = works.front().shared;
  host().launch({entry, works.front().element, estimate}, {}, chunks, &launch);
}

template <FusedEstimate estimate>
int64_t update(const Parameter& p, const UpdateCoefficients& c, StatisticFrom from,
               double samples = 1) {
  int64_t skipped = 0;
  Work work;
  put(work, p.update_task(c, from, samples), &skipped);
  run<estimate>(Entry::kUpdate, {work});
  return skipped;
}
template <FusedEstimate estimate>
void accumulate(const Parameter& p, StatisticFrom from, bool first) {
  Work work;
  put(work, p.accumulate_task(kScale, from, first));
  run<estimate>(Entry::kAccumulate, {work});
}
void sample(const Parameter& p) {
  Work work;
  put(work, p.sample_task(kScale));
  run<FusedEstimate::kPrice>(Entry::kSample, {work});
}

std::vector<double> cuda_normals(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  fill_normal_cuda(kKey, 0, values.data(), count, Isa::kPortable);
  return {values.begin(), values.end()};
}

std::string where(Element element, int64_t count, Placement place) {
  return std::string(name_of(element)) + ", " + std::to_string(count) + " elements, " +
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
  for (const Element element : kElements) {
    for (const int64_t count : counts) {
      for (const Placement place : {Placement{true, 0}, Placement{false, 0}, Placement{false, 1}}) {
        SCOPED_TRACE(where(element, count, place));
        check(element, count, place);
        ASSERT_TRUE(Parameter::only_the_arrays_were_touched());
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

template <FusedEstimate estimate>
void expect_updates_have_the_processors_bits(StatisticFrom from, const UpdateCoefficients& c) {
  const Isa isa = best_isa();
  const double samples = from == StatisticFrom::kSums ? 3 : 1;
  for_shapes([&](Element element, int64_t count, Placement place) {
    std::array<std::vector<unsigned char>, kArrays> expected;
    {
      Parameter p(element, count, place);
      ASSERT_EQ(p.update<estimate>(isa, c, from, samples), 0);
      expected = p.all_bits();
    }
    Parameter p(element, count, place);
    ASSERT_EQ((update<estimate>(p, c, from, samples)), 0);
    ASSERT_EQ(p.all_bits(), expected);
  });
}

TEST(CudaKernels, UpdatesHaveTheProcessorsBits) {
  for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kSums}) {
    expect_updates_have_the_processors_bits<FusedEstimate::kPrice>(from, coefficients());
    expect_updates_have_the_processors_bits<FusedEstimate::kPrice>(from, clipped_coefficients());
    expect_updates_have_the_processors_bits<FusedEstimate::kGradSquared>(from, coefficients());
  }
}

TEST(CudaKernels, SumsHaveTheProcessorsBits) {
  const Isa isa = best_isa();
  for_shapes([&](Element element, int64_t count, Placement place) {
    for (const bool first : {true, false}) {
      std::array<std::vector<unsigned char>, kArrays> expected;
      {
        Parameter p(element, count, place);
        p.accumulate<FusedEstimate::kPrice>(isa, kScale, StatisticFrom::kTheta, first);
        expected = p.all_bits();
      }
      Parameter p(element, count, place);
      accumulate<FusedEstimate::kPrice>(p, StatisticFrom::kTheta, first);
      ASSERT_EQ(p.all_bits(), expected);
    }
  });
}

TEST(CudaKernels, NormalsHaveTheProcessorsBits) {
  for (const int64_t count : {1, 3, 4, 5, 63, 64, 65, 4096, 4097, 10000}) {
    std::vector<float> filled(static_cast<size_t>(count));
    const ivon::detail::cuda::Filling filling{kKey, filled.data(), count};
    host().launch({Entry::kFill}, {}, (count / 4 + 256) / 256, &filling);
    for (const Isa isa : instruction_sets()) {
      std::vector<float> expected(static_cast<size_t>(count));
      fill_normal_cuda(kKey, 0, expected.data(), count, isa);
      EXPECT_EQ(filled, expected) << isa_name(isa) << ", " << count;
    }
  }
}

TEST(CudaKernels, SamplesFollowTheFormula) {
  const std::vector<double> noise = cuda_normals(Parameter::kMaxCount);
  for_shapes([&](Element element, int64_t count, Placement place) {
    Parameter p(element, count, place);
    sample(p);
    for (int64_t i = 0; i < count; ++i) {
      const double part = sigma_of(p.get(kHess, i), kScale) * noise[static_cast<size_t>(i)];
      const double size = std::abs(p.mean(i)) + std::abs(part);
      ASSERT_NEAR(
          p.get(kTheta, i), p.mean(i) + part,
          tolerance::kSampleRoundings * rounding(element) * size + shown_rounding(element, size));
    }
  });
}

TEST(CudaKernels, NoiseIsRegenerated) {
  const std::vector<double> noise = cuda_normals(Parameter::kMaxCount);
  for_shapes([&](Element element, int64_t count, Placement place) {
    Parameter p(element, count, place);
    accumulate<FusedEstimate::kPrice>(p, StatisticFrom::kNoise, true);
    for (int64_t i = 0; i < count; ++i) {
      const double expected =
          sigma_of(p.get(kHess, i), kScale) * noise[static_cast<size_t>(i)] * p.get(kGradient, i);
      ASSERT_NEAR(p.get(kStatisticSum, i), expected,
                  tolerance::kSumRoundings * rounding(element) * std::abs(expected));
    }
  });
}

// One sample by way of the sums: the same bits.
TEST(CudaKernels, OneSampleInSumsIsOneSample) {
  for_shapes([&](Element element, int64_t count, Placement place) {
    for (const StatisticFrom from : {StatisticFrom::kTheta, StatisticFrom::kNoise}) {
      std::array<std::vector<unsigned char>, kArrays> direct;
      {
        Parameter p(element, count, place);
        update<FusedEstimate::kPrice>(p, coefficients(), from);
        direct = p.all_bits();
      }
      Parameter p(element, count, place);
      accumulate<FusedEstimate::kPrice>(p, from, true);
      update<FusedEstimate::kPrice>(p, coefficients(), StatisticFrom::kSums, 1);
      for (const int array : {kMean, kWide, kHess, kMomentum}) {
        ASSERT_EQ(p.bits(array), direct[static_cast<size_t>(array)]) << "array " << array;
      }
    }
  });
}

// Update and next sample in one pass: the bits of one after the other.
template <FusedEstimate estimate>
void expect_a_step_is_both() {
  const NoiseKey next{11, NoiseDomain::kTraining, 6, 3};
  for_shapes([&](Element element, int64_t count, Placement place) {
    for (const StatisticFrom from : kSources) {
      std::array<std::vector<unsigned char>, kArrays> expected;
      int64_t skipped = 0;
      for (const bool at_once : {false, true}) {
        Parameter p(element, count, place);
        SampleTask draw = p.sample_task(kScale);
        draw.drawing.noise = next;
        Work drawing, updating, both;
        put(drawing, draw);
        put(updating, p.update_task(coefficients(), from, 2), &skipped);
        put(both, draw);
        put(both, p.update_task(coefficients(), from, 2), &skipped);
        if (at_once) {
          run<estimate>(Entry::kStep, {both});
          ASSERT_EQ(p.all_bits(), expected);
        } else {
          run<estimate>(Entry::kUpdate, {updating});
          run<estimate>(Entry::kSample, {drawing});
          expected = p.all_bits();
        }
      }
      ASSERT_EQ(skipped, 0);
    }
  });
}
TEST(CudaKernels, AStepIsUpdateAndSample) {
  expect_a_step_is_both<FusedEstimate::kPrice>();
  expect_a_step_is_both<FusedEstimate::kGradSquared>();
}

TEST(CudaKernels, WhatIsNotFiniteIsLeftAlone) {
  for (const Element element : kElements) {
    for (const StatisticFrom from : kSources) {
      for (const int64_t count : {1, 7, 8, 40}) {
        for (int64_t bad = 0; bad < count; ++bad) {
          SCOPED_TRACE(std::string(name_of(element)) + ", element " + std::to_string(bad));
          const double values[] = {kInf, -kInf, std::numeric_limits<double>::quiet_NaN()};
          Parameter p(element, count);
          p.set(from == StatisticFrom::kSums ? kGradientSum : kGradient, bad, values[bad % 3]);
          const auto old = p.values();
          ASSERT_EQ((update<FusedEstimate::kPrice>(p, coefficients(), from, 2)), 1);
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
        SampleTask{{Element::kFloat32, means[i].data(), nullptr, hessians[i].data(), kCounts[i]},
                   thetas[i].data(),
                   {key, unit}});
    works.push_back(work);
  }
  run<FusedEstimate::kPrice>(Entry::kSample, works);
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
  put(work, SampleTask{{Element::kBFloat16, as_if_whole(means),
                        reinterpret_cast<float*>(as_if_whole(wide)), as_if_whole(hessians), kCount},
                       as_if_whole(thetas),
                       {kKey, PosteriorScale(1, 0, 1)}});
  const Chunk chunks[] = {{0, kBegin / kChunk}, {0, kBegin / kChunk + 1}};
  Launch launch{};
  launch.tasks = &work.task;
  launch.chunks = chunks;
  launch.sets[0] = work.shared;
  host().launch({Entry::kSample, Element::kBFloat16}, {}, 2, &launch);
  std::vector<float> expected(kHere);
  fill_normal_cuda(kKey, kBegin / kNoiseBlock, expected.data(), kHere);
  for (size_t i = 0; i < kHere; ++i) {
    ASSERT_EQ(thetas[i], half_bits(Element::kBFloat16, expected[i])) << "element " << i;
  }
}

}  // namespace
