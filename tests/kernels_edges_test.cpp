// SPDX-License-Identifier: Apache-2.0
// The fused passes at their edges: every count, every misalignment, same bits on every instruction
// set, nothing touched beside the arrays, more than 2^31 elements. Without LibTorch.
#include "kernels_support.hpp"

namespace {

using namespace ivon_test;

// Everything once: a sample, its sums, an update. Returns all bits; nothing else was touched.
template <class Estimator>
std::array<std::vector<unsigned char>, kArrays> run_all(Isa isa, Dtype dtype, StatisticFrom from,
                                                        int64_t count, Placement where = {}) {
  Parameter p(dtype, count, where);
  p.sample(isa, kScale);
  const StatisticFrom one = from == StatisticFrom::kSums ? StatisticFrom::kTheta : from;
  p.accumulate<Estimator>(isa, kScale, one, /*overwrite=*/true);
  p.accumulate<Estimator>(isa, kScale, one, /*overwrite=*/false);
  EXPECT_EQ(p.update<Estimator>(isa, coefficients(), from, 2), 0);
  EXPECT_TRUE(Parameter::only_the_arrays_were_touched())
      << isa_name(isa) << ", " << name_of(dtype) << ", count " << count;
  return p.all_bits();
}

template <class Estimator>
void expect_same_bits(Dtype dtype, StatisticFrom from, int64_t count) {
  const auto portable = run_all<Estimator>(Isa::kPortable, dtype, from, count);
  for (const Isa isa : instruction_sets()) {
    ASSERT_EQ(run_all<Estimator>(isa, dtype, from, count), portable)
        << isa_name(isa) << ", " << name_of(dtype) << ", source " << static_cast<int>(from)
        << ", count " << count;
  }
}

// Arrays end at a page that may not be touched.
TEST(KernelEdges, EveryInstructionSetGivesTheSameBitsForEveryCount) {
  std::vector<int64_t> counts;
  for (int64_t n = 0; n <= 130; ++n) counts.push_back(n);
  for (int64_t n = -34; n <= 34; ++n) counts.push_back(kNoiseBlock + n);
  for (const int64_t blocks : {2, 3}) {
    for (const int64_t n : {-33, -32, -1, 0, 1, 32, 33}) counts.push_back(blocks * kNoiseBlock + n);
  }
  for (const int64_t count : counts) {
    for (const Dtype dtype : kDtypes) {
      for (const StatisticFrom from : kSources) {
        expect_same_bits<ivon::PriceEstimator>(dtype, from, count);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(KernelEdges, GradSquaredGivesTheSameBits) {
  for (const int64_t count : {1, 31, 33, 4095, 4097, 8200}) {
    for (const Dtype dtype : kDtypes) {
      for (const StatisticFrom from : kSources) {
        expect_same_bits<ivon::GradSquaredEstimator>(dtype, from, count);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(KernelEdges, EveryMisalignment) {
  constexpr int64_t kCount = kNoiseBlock + 77;
  for (const Dtype dtype : kDtypes) {
    for (const StatisticFrom from : kSources) {
      const auto aligned = run_all<ivon::PriceEstimator>(Isa::kPortable, dtype, from, kCount);
      for (const Isa isa : instruction_sets()) {
        for (int64_t shift = 0; shift < 16; ++shift) {
          for (const bool at_end : {true, false}) {
            ASSERT_EQ(run_all<ivon::PriceEstimator>(isa, dtype, from, kCount, {at_end, shift}),
                      aligned)
                << isa_name(isa) << ", " << name_of(dtype) << ", shift " << shift;
          }
        }
      }
    }
  }
}

// Arrays of more than 2^31 elements of which only the last block has memory behind it.
class Sparse {
 public:
  Sparse(int64_t count, int64_t bytes) : size_(static_cast<size_t>(count * bytes)) {
    begin_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~Sparse() {
    if (begin_ != MAP_FAILED) munmap(begin_, size_);
  }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;
  bool there() const { return begin_ != MAP_FAILED; }
  template <class T = float>
  T* get() const {
    return static_cast<T*>(begin_);
  }

 private:
  size_t size_;
  void* begin_;
};

TEST(KernelEdges, MoreElementsThan32BitsCount) {
  constexpr int64_t kCount = (int64_t{1} << 31) + kNoiseBlock + 100;
  constexpr int64_t kBlock = kCount / kNoiseBlock;  // its last 100 elements
  constexpr int64_t kBegin = kBlock * kNoiseBlock;
  ASSERT_EQ(kCount - kBegin, 100);
  const Sparse mean(kCount, 4), hess(kCount, 4), momentum(kCount, 4), theta(kCount, 4),
      gradient(kCount, 4);
  for (const Sparse* array : {&mean, &hess, &momentum, &theta, &gradient}) {
    ASSERT_TRUE(array->there()) << "no address space for " << kCount << " floats";
  }
  std::vector<float> noise(100);
  fill_normal(kKey, kBlock, noise.data(), 100, Isa::kPortable);
  const PosteriorArrays p{Dtype::kFloat32, mean.get(), nullptr, hess.get(), kCount};
  for (const Isa isa : instruction_sets()) {
    for (int64_t i = kBegin; i < kCount; ++i) {
      mean.get()[i] = static_cast<float>(i - kBegin) * 0.25f;
      hess.get()[i] = 0.5f;
      momentum.get()[i] = 0;
      gradient.get()[i] = 1;
    }
    sample_block(isa, {p, theta.get(), {kKey, kScale}}, kBlock);
    const double sigma = sigma_of(0.5, kScale);
    for (int64_t i = 0; i < 100; ++i) {
      ASSERT_NEAR(theta.get()[kBegin + i],
                  0.25 * static_cast<double>(i) + sigma * noise[static_cast<size_t>(i)], 4e-6);
    }
    const UpdateTask update{
        p, momentum.get(),        theta.get(),    gradient.get(), nullptr, nullptr,
        1, StatisticFrom::kTheta, {kKey, kScale}, coefficients()};
    ASSERT_EQ(update_block<ivon::PriceEstimator>(isa, update, kBlock), 0);
    for (int64_t i = 0; i < 100; ++i) {
      const double m = 0.25 * static_cast<double>(i);
      const Expected e = expected_update<ivon::PriceEstimator>(
          m, 0.5, 0, theta.get()[kBegin + i] - m, 1, coefficients());
      ASSERT_NEAR(mean.get()[kBegin + i], e.mean, 4e-6);
      ASSERT_NEAR(hess.get()[kBegin + i], e.hess, 4e-6);
      ASSERT_NEAR(momentum.get()[kBegin + i], e.momentum, 1e-7);
    }
  }
}

// A sample may be written over the theta that an update of the same block has read.
TEST(KernelEdges, OnePassOverTheSameMemory) {
  for (const Isa isa : instruction_sets()) {
    for (const Dtype dtype : kDtypes) {
      std::vector<unsigned char> apart;
      constexpr int64_t kCount = 2 * kNoiseBlock + 77;
      {
        Parameter p(dtype, kCount);
        p.update<ivon::PriceEstimator>(isa, coefficients(), StatisticFrom::kTheta);
        p.sample(isa, kScale);
        apart = p.bits(kTheta);
      }
      Parameter p(dtype, kCount);
      const UpdateTask update = p.update_task(coefficients(), StatisticFrom::kTheta, 1);
      const SampleTask sample = p.sample_task(kScale);
      for (int64_t block = 0; block < block_count(kCount); ++block) {
        update_block<ivon::PriceEstimator>(isa, update, block);
        sample_block(isa, sample, block);
      }
      EXPECT_EQ(p.bits(kTheta), apart) << isa_name(isa) << ", " << name_of(dtype);
    }
  }
}

}  // namespace
