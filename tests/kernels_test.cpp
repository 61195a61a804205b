// SPDX-License-Identifier: Apache-2.0
// The fused passes without LibTorch: every instruction set, count, misalignment and hostile value
// against the formulas in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ivon/kernels/cpu.hpp>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace ivon::detail;

constexpr float kInf = std::numeric_limits<float>::infinity();
const NoiseKey kKey{11, NoiseDomain::kTraining, 5, 3};

std::vector<Isa> instruction_sets() {
  std::vector<Isa> all;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= best_isa()) all.push_back(isa);
  }
  return all;
}

// Buffers of one parameter, `shift` floats off their natural alignment, with guards on both sides.
struct Buffers {
  static constexpr size_t kGuard = 64;
  static constexpr float kGuardValue = 12345.0f;
  std::vector<float> memory[5];  // mean, hess, momentum, theta, gradient
  size_t shift;
  int64_t count;

  Buffers(int64_t n, size_t off) : shift(off), count(n) {
    std::mt19937 random(static_cast<uint32_t>(n) * 7 + static_cast<uint32_t>(off));
    std::normal_distribution<float> normal;
    for (auto& buffer : memory) {
      buffer.assign(2 * kGuard + static_cast<size_t>(n) + off, kGuardValue);
    }
    for (int64_t i = 0; i < n; ++i) {
      at(0)[i] = normal(random);
      at(1)[i] = 0.1f + std::abs(normal(random));
      at(2)[i] = 0.1f * normal(random);
      at(3)[i] = at(0)[i] + 0.01f * normal(random);
      at(4)[i] = normal(random);
    }
  }
  float* at(size_t buffer) { return memory[buffer].data() + kGuard + shift; }
  bool guards_hold() const {
    for (const auto& buffer : memory) {
      for (size_t i = 0; i < kGuard; ++i) {
        if (buffer[i] != kGuardValue || buffer[buffer.size() - 1 - i] != kGuardValue) return false;
      }
    }
    return true;
  }
};

UpdateCoefficients coefficients(double beta2 = 0.999) {
  return {PosteriorScale(1e3, 1e-2, 0.5), 0.9, 1 - beta2, kInf, 1 / (1 - 0.9), 0.05, kInf};
}

void sample(Isa isa, Buffers& b) {
  const SampleTask task{b.at(0), b.at(1), b.at(3), b.count, kKey, PosteriorScale(1e3, 1e-2, 0.5)};
  for (int64_t block = 0; block < block_count(b.count); ++block) sample_block(isa, task, block);
}

template <FusedEstimate estimate = FusedEstimate::kPrice>
int64_t update(Isa isa, Buffers& b, const UpdateCoefficients& c) {
  const UpdateTask task{b.at(0), b.at(1), b.at(2), b.at(3), b.at(4), false, b.count, c};
  int64_t skipped = 0;
  for (int64_t block = 0; block < block_count(b.count); ++block) {
    skipped += update_block<estimate>(isa, task, block);
  }
  return skipped;
}

std::vector<int64_t> counts() {
  std::vector<int64_t> all;
  for (int64_t n = 0; n <= 70; ++n) all.push_back(n);
  for (const int64_t blocks : {1, 2, 3}) {
    for (int64_t n = blocks * kNoiseBlock - 34; n <= blocks * kNoiseBlock + 34; ++n)
      all.push_back(n);
  }
  return all;
}

TEST(Kernels, EveryInstructionSetGivesTheSameBits) {
  for (const int64_t count : counts()) {
    Buffers portable(count, 0);
    sample(Isa::kPortable, portable);
    update(Isa::kPortable, portable, coefficients());
    for (const Isa isa : instruction_sets()) {
      const size_t shift = static_cast<size_t>(count) % 16;  // every misalignment
      Buffers shifted(count, shift);
      for (size_t buffer = 0; buffer < 5; ++buffer) {
        Buffers fresh(count, 0);
        std::copy_n(fresh.at(buffer), count, shifted.at(buffer));
      }
      sample(isa, shifted);
      update(isa, shifted, coefficients());
      for (size_t buffer = 0; buffer < 5; ++buffer) {
        ASSERT_EQ(std::memcmp(shifted.at(buffer), portable.at(buffer),
                              static_cast<size_t>(count) * sizeof(float)),
                  0)
            << isa_name(isa) << ", count " << count << ", buffer " << buffer;
      }
      ASSERT_TRUE(shifted.guards_hold()) << isa_name(isa) << ", count " << count;
    }
  }
}

TEST(Kernels, SampleFollowsTheFormula) {
  for (const Isa isa : instruction_sets()) {
    Buffers b(5000, 1);
    std::vector<float> normals(5000);
    fill_normal(kKey, 0, normals.data(), 5000);
    sample(isa, b);
    for (int64_t i = 0; i < b.count; ++i) {
      const double sigma = 1 / std::sqrt(1e3 * (static_cast<double>(b.at(1)[i]) + 1e-2));
      const double expected = b.at(0)[i] + sigma * normals[static_cast<size_t>(i)];
      ASSERT_NEAR(b.at(3)[i], expected, 2e-7 * (std::abs(expected) + sigma)) << isa_name(isa) << i;
    }
  }
}

// Relative to the largest term, a few roundings of 6e-8.
template <FusedEstimate estimate>
void expect_update_follows_the_formula(const UpdateCoefficients& c) {
  for (const Isa isa : instruction_sets()) {
    Buffers b(4133, 3);
    Buffers old = b;
    EXPECT_EQ(update<estimate>(isa, b, c), 0);
    const double delta = c.scale.weight_decay;
    for (int64_t i = 0; i < b.count; ++i) {
      const double m = old.at(0)[i], h = old.at(1)[i], g = old.at(2)[i], grad = old.at(4)[i];
      const double hhat = estimate == FusedEstimate::kPrice
                              ? c.scale.ess * (h + delta) * (old.at(3)[i] - m) * grad
                              : c.scale.ess * grad * grad;
      const double bound = c.hess_clip * (h + delta);
      const double change = std::min(std::max(hhat - h, -bound), bound);
      const double new_h = h + c.rho * change + 0.5 * c.rho * c.rho * change * change / (h + delta);
      const double new_g = c.beta1 * g + (1 - c.beta1) * grad;
      double direction = (new_g * c.debias + delta * m) / (new_h + delta);
      direction = std::min(std::max(direction, -c.clip_radius), c.clip_radius);
      const double new_m = m - c.step_size * direction;
      const double scale =
          std::abs(m) + c.step_size * (std::abs(g) + std::abs(grad)) * c.debias / (new_h + delta);
      ASSERT_NEAR(b.at(1)[i], new_h, 1e-6 * (h + std::abs(new_h) + c.rho * std::abs(hhat)))
          << isa_name(isa) << " " << i;
      ASSERT_NEAR(b.at(2)[i], new_g, 3e-7 * (std::abs(g) + std::abs(grad))) << isa_name(isa);
      ASSERT_NEAR(b.at(0)[i], new_m, 2e-6 * scale) << isa_name(isa) << " " << i;
    }
  }
}

TEST(Kernels, UpdateFollowsTheFormula) {
  expect_update_follows_the_formula<FusedEstimate::kPrice>(coefficients());
  expect_update_follows_the_formula<FusedEstimate::kGradSquared>(coefficients());
  UpdateCoefficients clipped = coefficients();
  clipped.hess_clip = 3;
  clipped.clip_radius = 0.5;
  expect_update_follows_the_formula<FusedEstimate::kPrice>(clipped);
}

// One sample whose statistic was formed before: the same bits.
TEST(Kernels, FromAveragesGivesTheSameBits) {
  for (const Isa isa : instruction_sets()) {
    Buffers direct(4133, 0);
    Buffers averaged = direct;
    for (int64_t i = 0; i < direct.count; ++i) {
      const float deviation = averaged.at(3)[i] - averaged.at(0)[i];
      averaged.at(3)[i] = deviation * averaged.at(4)[i];
    }
    update(isa, direct, coefficients());
    const UpdateTask task{averaged.at(0), averaged.at(1), averaged.at(2), averaged.at(3),
                          averaged.at(4), true,           averaged.count, coefficients()};
    for (int64_t block = 0; block < block_count(averaged.count); ++block) {
      update_block<FusedEstimate::kPrice>(isa, task, block);
    }
    for (size_t buffer = 0; buffer < 3; ++buffer) {
      EXPECT_EQ(std::memcmp(direct.at(buffer), averaged.at(buffer), 4133 * sizeof(float)), 0);
    }
  }
}

TEST(Kernels, WhatIsNotFiniteIsLeftAlone) {
  const float bad[] = {kInf, -kInf, std::nanf(""), 1e38f};
  for (const Isa isa : instruction_sets()) {
    for (const int64_t count : {1, 15, 16, 40}) {
      for (int64_t where = 0; where < count; ++where) {
        Buffers b(count, 0);
        b.at(4)[where] = bad[where % 4];
        b.at(3)[where] = b.at(0)[where] + 100;  // 1e38 * 100 overflows hhat
        Buffers old = b;
        ASSERT_EQ(update(isa, b, coefficients()), 1) << isa_name(isa) << count << where;
        for (int64_t i = 0; i < count; ++i) {
          for (size_t buffer = 0; buffer < 3; ++buffer) {
            if (i == where) {
              ASSERT_EQ(b.at(buffer)[i], old.at(buffer)[i]);
            } else {
              ASSERT_NE(b.at(buffer)[i], old.at(buffer)[i]);
            }
          }
        }
      }
    }
  }
}

TEST(Kernels, HessianStaysAboveItsFloor) {
  for (const Isa isa : instruction_sets()) {
    const UpdateCoefficients c = coefficients(/*beta2=*/0.5);
    Buffers b(64, 0);
    for (int step = 0; step < 100; ++step) {
      for (int64_t i = 0; i < b.count; ++i) {  // x = rho (hhat - h) / (h + delta) = -1: halves
        const double s = static_cast<double>(b.at(1)[i]) + 1e-2;
        const double hhat = b.at(1)[i] - s / 0.5;
        b.at(3)[i] = b.at(0)[i] + 1.0f;
        b.at(4)[i] = static_cast<float>(hhat / (1e3 * s));
      }
      update(isa, b, c);
      for (int64_t i = 0; i < b.count; ++i) {
        ASSERT_GT(b.at(1)[i] + static_cast<float>(c.scale.weight_decay), 0) << isa_name(isa);
      }
    }
  }
}

}  // namespace
