// SPDX-License-Identifier: Apache-2.0
// The noise stream against its specification: published Philox vectors, the values of an
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
using ivon::detail::kNoiseBlock;
using ivon::detail::NoiseDomain;
using ivon::detail::NoiseKey;

constexpr NoiseKey kBase{20240227, 5, NoiseDomain::kTraining, 2};

std::string text_of(const NoiseKey& key) {
  return "seed " + std::to_string(key.seed) + " domain " +
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
  for (const auto domain : {NoiseDomain::kTraining, NoiseDomain::kPrediction}) {
    const NoiseKey zero{0, 0, domain, 0};
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
  EXPECT_EQ(static_cast<int64_t>(seen.size()), keys);
  EXPECT_EQ(keys, 2 * (1 + 64 + 64 + 24 + 32));
}

// Any count is a prefix; any block can be made alone.
TEST(NoiseKeys, PrefixesAndBlocks) {
  std::vector<float> whole(3 * kNoiseBlock);
  fill_normal(kBase, 0, whole.data(), 3 * kNoiseBlock);
  const auto same = [&](int64_t first_block, int64_t count) {
    std::vector<float> part(static_cast<size_t>(count) + 1, -99.0F);
    fill_normal(kBase, first_block, part.data(), count);
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

// Bit for bit what golden/noise.py computed from docs/noise.md.
// The key of a record of the golden file.
NoiseKey key_of(const nlohmann::json& record) {
  return {std::stoull(record["seed"].get<std::string>()),
          std::stoull(record["draw"].get<std::string>()),
          static_cast<NoiseDomain>(record["domain"].get<uint32_t>()),
          record["parameter"].get<uint32_t>()};
}

TEST(NoiseVectors, MatchTheIndependentImplementation) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/noise.json");
  ASSERT_TRUE(in) << "golden/noise.json is missing";
  const auto file = nlohmann::json::parse(in);
  ASSERT_EQ(file["stream_id"], ivon::detail::kNoiseStreamId);
  ASSERT_GE(file["cases"].size(), 8U);
  for (const auto& record : file["cases"]) {
    const NoiseKey key = key_of(record);
    SCOPED_TRACE(text_of(key));
    const int64_t first = record["first_element"];
    const auto expected = record["bits"].get<std::vector<std::string>>();
    const int64_t block = first / kNoiseBlock;
    const int64_t skip = first % kNoiseBlock;
    std::vector<float> values(static_cast<size_t>(skip) + expected.size());
    fill_normal(key, block, values.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(bits_of(values[static_cast<size_t>(skip) + i]),
                std::stoul(expected[i], nullptr, 16))
          << "element " << i;
    }
  }
  ASSERT_GE(file["cuda_cases"].size(), 6U);
  for (const auto& record : file["cuda_cases"]) {
    const NoiseKey key = key_of(record);
    SCOPED_TRACE("CUDA, " + text_of(key));
    const auto expected = record["bits"].get<std::vector<std::string>>();
    std::vector<float> values(expected.size());
    ivon::detail::fill_normal_cuda(key, record["first_element"].get<int64_t>() / kNoiseBlock,
                                   values.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(bits_of(values[i]), std::stoul(expected[i], nullptr, 16)) << "element " << i;
    }
  }
  const auto hex = [](const nlohmann::json& text) {
    return static_cast<uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
  };
  ASSERT_GE(file["words"].size(), 500U);
  for (size_t i = 0; i < file["words"].size(); ++i) {
    const uint32_t word = hex(file["words"][i]);
    SCOPED_TRACE("word " + std::to_string(word));
    float cosine;
    float sine;
    direction_of(word, cosine, sine);
    EXPECT_EQ(bits_of(radius_of(word)), hex(file["radius"][i]));
    EXPECT_EQ(bits_of(cosine), hex(file["cosine"][i]));
    EXPECT_EQ(bits_of(sine), hex(file["sine"][i]));
  }
}

// Every instruction set gives the same bits.
TEST(NoiseVectors, EveryInstructionSetGivesTheSameBits) {
  using ivon::detail::Isa;
  std::vector<float> portable(kNoiseBlock);
  std::vector<float> vectorised(kNoiseBlock);
  for (const int64_t block : {0, 1, 77777}) {
    fill_normal(kBase, block, portable.data(), kNoiseBlock, Isa::kPortable);
    for (const Isa isa : ivon::detail::kBuiltIsas) {
      if (!ivon::detail::runs_here(isa)) continue;
      for (const int64_t count : {int64_t{1}, int64_t{17}, int64_t{4001}, kNoiseBlock}) {
        std::fill(vectorised.begin(), vectorised.end(), 0.0f);
        fill_normal(kBase, block, vectorised.data(), count, isa);
        EXPECT_EQ(std::memcmp(vectorised.data(), portable.data(),
                              static_cast<size_t>(count) * sizeof(float)),
                  0)
            << "block " << block << ", " << ivon::detail::isa_name(isa) << ", count " << count;
      }
    }
  }
}

// Compares radius and direction with libm in double. The bound 2e-7 allows for the errors of the
// polynomials, which kernels/box_muller.inl states, and for the rounding of the float operations
// around the polynomials.
TEST(NoiseVectors, BoxMullerAccuracy) {
  const double pi = std::acos(-1.0);
  double radius_error = 0;
  double direction_error = 0;
  const auto check = [&](uint32_t word) {
    const double u = static_cast<float>((double{static_cast<double>(word)} + 0.5) * 0x1p-32);
    const double expected = std::sqrt(-2 * std::log(u));
    const double radius = radius_of(word);
    EXPECT_GE(radius, 0) << word;
    radius_error = std::max(radius_error, std::abs(radius - expected) / std::max(expected, 1e-3));
    float cosine;
    float sine;
    direction_of(word, cosine, sine);
    const double angle =
        pi * static_cast<double>(static_cast<float>(static_cast<int32_t>(word))) * 0x1p-32;
    const double mirror = (word & 1U) != 0 ? -1 : 1;
    direction_error = std::max(direction_error, std::abs(cosine - mirror * std::cos(angle)));
    direction_error = std::max(direction_error, std::abs(sine - std::sin(angle)));
  };
  for (uint64_t word = 0; word < (uint64_t{1} << 32); word += 4099)
    check(static_cast<uint32_t>(word));
  for (const uint32_t word : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffffeU, 0xffffffffU})
    check(word);
  EXPECT_LE(radius_error, 2e-7);
  EXPECT_LE(direction_error, 2e-7);
  EXPECT_NEAR(radius_of(0), std::sqrt(2 * std::log(2.0) * 33),
              1e-6);  // 6.77: the longest tail
}

}  // namespace
