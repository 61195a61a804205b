// SPDX-License-Identifier: Apache-2.0
// The noise streams against their specification: published Philox vectors, the values of an
// independent implementation (docs/noise.md, golden/noise.py), keys, prefixes, accuracy. Without
// LibTorch.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "ivon/kernels/normal.hpp"

namespace {

using ivon::detail::fill_normal;
using ivon::detail::kFirstNoiseStreamId;
using ivon::detail::kNoiseBlock;
using ivon::detail::kNoiseStreamId;
using ivon::detail::NoiseDomain;
using ivon::detail::NoiseKey;

constexpr NoiseKey kBase{20240227, 5, NoiseDomain::kTraining, 2};
constexpr int64_t kProcessorStreams[] = {kNoiseStreamId, kFirstNoiseStreamId};

NoiseKey in_stream(int64_t stream, NoiseKey key = kBase) {
  key.stream = static_cast<uint16_t>(stream);
  return key;
}

std::string text_of(const NoiseKey& key) {
  return "stream " + std::to_string(key.stream) + " seed " + std::to_string(key.seed) + " domain " +
         std::to_string(static_cast<int>(key.domain)) + " draw " + std::to_string(key.draw) +
         " parameter " + std::to_string(key.parameter);
}

// --- keys

// Every field of the key, in every bit that its width has, leads to another block.
TEST(NoiseKeys, EveryBitOfEveryFieldCounts) {
  std::set<std::array<uint32_t, 4>> seen;
  int64_t keys = 0;
  const auto look = [&](const NoiseKey& key, int64_t block) {
    std::array<float, 4> values;
    fill_normal(key, block, values.data(), 4);
    std::array<uint32_t, 4> bits;
    std::memcpy(bits.data(), values.data(), sizeof(bits));
    seen.insert(bits);
    ++keys;
  };
  for (const int64_t stream : kProcessorStreams) {
    for (const auto domain : {NoiseDomain::kTraining, NoiseDomain::kPrediction}) {
      const NoiseKey zero{0, 0, domain, 0, stream};
      look(zero, 0);
      for (int bit = 0; bit < 64; ++bit) {
        auto key = zero;
        key.seed = uint64_t{1} << bit;
        look(key, 0);
        key = zero;
        key.draw = uint64_t{1} << bit;
        look(key, 0);
        key = zero;
        key.parameter = uint32_t{1} << bit % 24;
        if (bit < 24) look(key, 0);
        if (bit < 32) look(zero, int64_t{1} << bit);
      }
    }
  }
  EXPECT_EQ(static_cast<int64_t>(seen.size()), keys);
  EXPECT_EQ(keys, 2 * 2 * (1 + 64 + 64 + 24 + 32));
}

void expect_prefixes_and_blocks(const NoiseKey& noise) {
  SCOPED_TRACE(text_of(noise));
  std::vector<float> whole(3 * kNoiseBlock);
  fill_normal(noise, 0, whole.data(), 3 * kNoiseBlock);
  const auto same = [&](int64_t first_block, int64_t count) {
    std::vector<float> part(static_cast<size_t>(count) + 1, -99.0F);
    fill_normal(noise, first_block, part.data(), count);
    EXPECT_EQ(part[static_cast<size_t>(count)], -99.0F) << "written past the end, count " << count;
    EXPECT_EQ(std::memcmp(part.data(), whole.data() + first_block * kNoiseBlock,
                          static_cast<size_t>(count) * sizeof(float)),
              0)
        << "block " << first_block << " count " << count;
  };
  for (int64_t count = 0; count <= 70; ++count) same(0, count);
  for (const int64_t count : {kNoiseBlock - 1, kNoiseBlock, kNoiseBlock + 1, 2 * kNoiseBlock})
    same(0, count);
  same(1, kNoiseBlock);
  same(2, 5);
  same(1, kNoiseBlock + 33);
}

// Any count is a prefix; any block can be made alone.
TEST(NoiseKeys, PrefixesAndBlocks) {
  for (const int64_t stream : kProcessorStreams) expect_prefixes_and_blocks(in_stream(stream));
}

// --- fixed values
//

// One lane of the portable code as functions of numbers, under its floating-point rules.
IVON_BEGIN_PRECISE
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint32_t key0, uint32_t key1) {
  using namespace ivon::detail::portable;
  Words words[4] = {set(counter[0]), set(counter[1]), set(counter[2]), set(counter[3])};
  philox4x32_10(words, key0, key1);
  return {words[0].v[0], words[1].v[0], words[2].v[0], words[3].v[0]};
}

float radius_of(uint32_t word) {
  using namespace ivon::detail::portable;
  return box_muller_radius(set(word)).v[0];
}

void direction_of(uint32_t word, float& cosine, float& sine) {
  using namespace ivon::detail::portable;
  Floats cosines, sines;
  box_muller_direction(set(word), cosines, sines);
  cosine = cosines.v[0];
  sine = sines.v[0];
}

float short_radius_of(uint32_t word) {
  using namespace ivon::detail::portable;
  return short_radius(set(word)).v[0];
}

void short_direction_of(uint32_t word, float& cosine, float& sine) {
  using namespace ivon::detail::portable;
  Floats cosines, sines;
  short_direction(set(word), cosines, sines);
  cosine = cosines.v[0];
  sine = sines.v[0];
}
IVON_END_PRECISE

// Known-answer vectors of Philox4x32-10 as its authors publish them (Random123, kat_vectors).
TEST(NoiseVectors, Philox) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

uint32_t bits_in(const nlohmann::json& text) {
  return static_cast<uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
}

nlohmann::json golden_noise() {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/noise.json");
  if (!in) {
    ADD_FAILURE() << "golden/noise.json is missing";
    return nlohmann::json::object();
  }
  return nlohmann::json::parse(in);
}

// The key of a record of the golden file.
NoiseKey key_of(const nlohmann::json& record, int64_t stream) {
  return {std::stoull(record["seed"].get<std::string>()),
          std::stoull(record["draw"].get<std::string>()),
          static_cast<NoiseDomain>(record["domain"].get<uint32_t>()),
          record["parameter"].get<uint32_t>(), stream};
}

// Compares the records of one stream with what `fill`(key, first block, out, count) writes.
template <class Fill>
void expect_records(const nlohmann::json& records, int64_t stream, Fill fill) {
  for (const auto& record : records) {
    const NoiseKey key = key_of(record, stream);
    SCOPED_TRACE(text_of(key));
    const int64_t first = record["first_element"];
    const auto expected = record["bits"].get<std::vector<std::string>>();
    const auto skip = static_cast<size_t>(first % kNoiseBlock);
    std::vector<float> values(skip + expected.size());
    fill(key, first / kNoiseBlock, values.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(bits_of(values[skip + i]), bits_in(expected[i])) << "element " << i;
    }
  }
}

// Bit for bit what golden/noise.py computed from docs/noise.md.
TEST(NoiseVectors, StreamsMatchTheIndependentImplementation) {
  const auto file = golden_noise();
  ASSERT_EQ(file["stream_id"], kNoiseStreamId);
  ASSERT_EQ(file["first_stream_id"], kFirstNoiseStreamId);
  ASSERT_EQ(file["cuda_stream_id"], ivon::detail::kCudaNoiseStreamId);
  ASSERT_GE(file["cases"].size(), 8U);
  ASSERT_GE(file["first_cases"].size(), 8U);
  ASSERT_GE(file["cuda_cases"].size(), 6U);
  const auto on_processors = [](const NoiseKey& key, int64_t block, float* out, int64_t count) {
    fill_normal(key, block, out, count);
  };
  const auto on_cuda = [](const NoiseKey& key, int64_t block, float* out, int64_t count) {
    ivon::detail::fill_normal_cuda(key, block, out, count);
  };
  expect_records(file["cases"], kNoiseStreamId, on_processors);
  expect_records(file["first_cases"], kFirstNoiseStreamId, on_processors);
  expect_records(file["cuda_cases"], ivon::detail::kCudaNoiseStreamId, on_cuda);
}

TEST(NoiseVectors, BoxMullerMatchesTheIndependentImplementation) {
  const auto file = golden_noise();
  ASSERT_GE(file["words"].size(), 500U);
  for (size_t i = 0; i < file["words"].size(); ++i) {
    const uint32_t word = bits_in(file["words"][i]);
    SCOPED_TRACE("word " + std::to_string(word));
    float cosine;
    float sine;
    direction_of(word, cosine, sine);
    EXPECT_EQ(bits_of(radius_of(word)), bits_in(file["radius"][i]));
    EXPECT_EQ(bits_of(cosine), bits_in(file["cosine"][i]));
    EXPECT_EQ(bits_of(sine), bits_in(file["sine"][i]));
    short_direction_of(word, cosine, sine);
    EXPECT_EQ(bits_of(short_radius_of(word)), bits_in(file["short_radius"][i]));
    EXPECT_EQ(bits_of(cosine), bits_in(file["short_cosine"][i]));
    EXPECT_EQ(bits_of(sine), bits_in(file["short_sine"][i]));
  }
}

void expect_same_bits_everywhere(const NoiseKey& noise) {
  using ivon::detail::Isa;
  std::vector<float> portable(kNoiseBlock);
  std::vector<float> vectorised(kNoiseBlock);
  for (const int64_t block : {0, 1, 77777}) {
    fill_normal(noise, block, portable.data(), kNoiseBlock, Isa::kPortable);
    for (const Isa isa : ivon::detail::kBuiltIsas) {
      if (!ivon::detail::runs_here(isa)) continue;
      for (const int64_t count : {int64_t{1}, int64_t{17}, int64_t{4001}, kNoiseBlock}) {
        std::fill(vectorised.begin(), vectorised.end(), 0.0f);
        fill_normal(noise, block, vectorised.data(), count, isa);
        EXPECT_EQ(std::memcmp(vectorised.data(), portable.data(),
                              static_cast<size_t>(count) * sizeof(float)),
                  0)
            << text_of(noise) << ", block " << block << ", " << ivon::detail::isa_name(isa)
            << ", count " << count;
      }
    }
  }
}

// Every instruction set gives the same bits.
TEST(NoiseVectors, EveryInstructionSetGivesTheSameBits) {
  for (const int64_t stream : kProcessorStreams) expect_same_bits_everywhere(in_stream(stream));
}

// Words over the whole range, and those at its ends.
template <class Check>
void for_words(Check check) {
  for (uint64_t word = 0; word < (uint64_t{1} << 32); word += 4099)
    check(static_cast<uint32_t>(word));
  for (const uint32_t word : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffffeU, 0xffffffffU})
    check(word);
}

// How far the direction of a word is from libm in double.
struct DirectionError {
  double cosine = 0;
  double sine = 0;

  void add(uint32_t word, float cosine_here, float sine_here) {
    const double pi = std::acos(-1.0);
    const double angle =
        pi * static_cast<double>(static_cast<float>(static_cast<int32_t>(word))) * 0x1p-32;
    const double mirror = (word & 1U) != 0 ? -1 : 1;
    cosine = std::max(cosine, std::abs(cosine_here - mirror * std::cos(angle)));
    sine = std::max(sine, std::abs(sine_here - std::sin(angle)));
  }
};

// Compares radius and direction with libm in double. The bound 2e-7 allows for the errors of the
// polynomials, which kernels/box_muller.inl states, and for the rounding of the float operations
// around the polynomials.
TEST(NoiseVectors, BoxMullerAccuracy) {
  double radius_error = 0;
  DirectionError direction_error;
  for_words([&](uint32_t word) {
    const double u = static_cast<float>((double{static_cast<double>(word)} + 0.5) * 0x1p-32);
    const double expected = std::sqrt(-2 * std::log(u));
    const double radius = radius_of(word);
    EXPECT_GE(radius, 0) << word;
    radius_error = std::max(radius_error, std::abs(radius - expected) / std::max(expected, 1e-3));
    float cosine;
    float sine;
    direction_of(word, cosine, sine);
    direction_error.add(word, cosine, sine);
  });
  EXPECT_LE(radius_error, 2e-7);
  EXPECT_LE(direction_error.cosine, 2e-7);
  EXPECT_LE(direction_error.sine, 2e-7);
  EXPECT_NEAR(radius_of(0), std::sqrt(2 * std::log(2.0) * 33),
              1e-6);  // 6.77: the longest tail
}

// The functions of stream 3. Its polynomials are short on purpose. The bound of the radius's square
// is 7.3e-6 for the polynomial plus 2.6e-6, because the square root is rounded once and a rounding
// of 2^-24 is 2^-23 of the square, which is at most 43.
TEST(NoiseVectors, ShortBoxMullerAccuracy) {
  double square_error = 0;
  double squares = 0;
  int64_t count = 0;
  DirectionError direction_error;
  for_words([&](uint32_t word) {
    const double odd = std::abs(static_cast<double>(static_cast<int32_t>(word | 1U)));
    const double minus_two_log =
        -2 * std::log(static_cast<double>(static_cast<float>(odd)) * 0x1p-31);
    const double radius = short_radius_of(word);
    EXPECT_GT(radius, 4e-4) << word;
    EXPECT_LE(radius, 6.5556) << word;
    square_error = std::max(square_error, std::abs(radius * radius - minus_two_log));
    squares += radius * radius - minus_two_log;
    ++count;
    float cosine;
    float sine;
    short_direction_of(word, cosine, sine);
    direction_error.add(word, cosine, sine);
  });
  EXPECT_LE(square_error, 7.3e-6 + 2.6e-6);
  EXPECT_LE(std::abs(squares / static_cast<double>(count)), 1e-6);  // moves the variance by half
  EXPECT_LE(direction_error.cosine, 6.9e-6);
  EXPECT_LE(direction_error.sine, 7.8e-7);
  EXPECT_NEAR(short_radius_of(0), std::sqrt(2 * std::log(2.0) * 31), 2e-6);  // 6.56
}

}  // namespace
