// SPDX-License-Identifier: Apache-2.0
// A parameter for the fused passes between guard pages, and what the passes should make of it, in
// double and one element at a time. No LibTorch.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <ivon/estimator.hpp>
#include <ivon/kernels/cpu.hpp>
#include <ivon/kernels/normal.hpp>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "tolerances.hpp"

namespace ivon_test {

using namespace ivon::detail;

template <class Estimator>
inline constexpr bool kIsPrice = std::is_same_v<Estimator, ivon::PriceEstimator>;

inline const NoiseKey kKey{11, 5, NoiseDomain::kTraining, 3};
inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr Dtype kDtypes[] = {Dtype::kFloat32, Dtype::kFloat64, Dtype::kBFloat16,
                                    Dtype::kFloat16};
inline constexpr StatisticFrom kSources[] = {StatisticFrom::kTheta, StatisticFrom::kNoise,
                                             StatisticFrom::kSums};

inline std::vector<Isa> instruction_sets() {
  std::vector<Isa> all;
  for (const Isa isa : kBuiltIsas) {
    if (runs_here(isa)) all.push_back(isa);
  }
  return all;
}

inline const char* name_of(Dtype dtype) {
  constexpr const char* kNames[] = {"float32", "float64", "bfloat16", "float16"};
  return kNames[static_cast<size_t>(dtype)];
}

// --- bfloat16 and float16 by their definition: sign, exponent, `fraction` bits -------------------

struct HalfFormat {
  int fraction, least_exponent, bias;
};
inline HalfFormat format_of(Dtype dtype) {
  return dtype == Dtype::kBFloat16 ? HalfFormat{7, -126, 127} : HalfFormat{10, -14, 15};
}

// By their bits, for the tests are compiled with -ffast-math as well.
inline uint64_t magnitude_bits(double x) {
  uint64_t word;
  std::memcpy(&word, &x, sizeof(word));
  return word & 0x7FFFFFFFFFFFFFFFu;
}
inline bool is_nan_bits(double x) { return magnitude_bits(x) > 0x7FF0000000000000u; }
inline bool is_infinite_bits(double x) { return magnitude_bits(x) == 0x7FF0000000000000u; }

/// Whether this is a float32 number that a program under -ffast-math takes for zero: GCC links it
/// so that the processor flushes subnormal numbers.
inline bool is_flushed(double x) {
  static const bool flushes = [] {
    volatile float least = std::numeric_limits<float>::min();
    return least * 0.5f == 0;
  }();
  return flushes && std::abs(x) < 0x1p-126;
}

// The nearest value, ties to the even fraction; -1 for a number that is none.
inline int32_t half_bits(Dtype dtype, double x) {
  if (is_nan_bits(x)) return -1;
  const HalfFormat f = format_of(dtype);
  const int32_t sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::abs(x);
  const int32_t infinity = (2 * f.bias + 1) << f.fraction;
  if (is_infinite_bits(x)) return sign | infinity;
  const int exponent = size == 0 ? f.least_exponent : std::max(std::ilogb(size), f.least_exponent);
  const double units = std::nearbyint(std::ldexp(size, f.fraction - exponent));
  // 2^fraction units are an exponent's first value: carries go up by themselves.
  const auto bits = static_cast<int32_t>(units) + ((exponent - f.least_exponent) << f.fraction);
  return sign | std::min(bits, infinity);
}
inline double half_value(Dtype dtype, uint16_t bits) {
  const HalfFormat f = format_of(dtype);
  const int exponent = (bits & 0x7FFF) >> f.fraction;
  const int fraction = bits & ((1 << f.fraction) - 1);
  double size = exponent == 0 ? std::ldexp(fraction, f.least_exponent - f.fraction)
                              : std::ldexp((1 << f.fraction) + fraction,
                                           exponent - 1 + f.least_exponent - f.fraction);
  if (exponent == 2 * f.bias + 1) {
    size = fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : kInf;
  }
  return (bits & 0x8000) != 0 ? -size : size;
}

// --- arrays
// ---------------------------------------------------------------------------------------

/// Where an array lies: `shift` elements from the guard page before or behind it.
struct Placement {
  bool at_end = true;
  int64_t shift = 0;
};

/// Room for 3 blocks and a bit of doubles between two pages that may not be touched.
class Room {
 public:
  static constexpr size_t kPage = 65536;  // the largest in use
  static constexpr size_t kSize = 2 * kPage;
  static constexpr unsigned char kUntouched = 0xA5;

  Room() {
    void* all = mmap(nullptr, kSize + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::runtime_error("mmap failed");
    base_ = static_cast<unsigned char*>(all) + kPage;
    if (mprotect(base_, kSize, PROT_READ | PROT_WRITE) != 0) throw std::runtime_error("mprotect");
  }
  ~Room() { munmap(base_ - kPage, kSize + 2 * kPage); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  void* place(int64_t count, int64_t bytes, Placement where) {
    size_ = static_cast<size_t>(count * bytes);
    const auto shift = static_cast<size_t>(where.shift * bytes);
    begin_ = where.at_end ? kSize - shift - size_ : shift;
    std::memset(base_, kUntouched, kSize);
    return base_ + begin_;
  }
  bool only_the_array_was_touched() const {
    static const std::vector<unsigned char> untouched(kSize, kUntouched);
    const size_t end = begin_ + size_;
    return std::memcmp(base_, untouched.data(), begin_) == 0 &&
           std::memcmp(base_ + end, untouched.data(), kSize - end) == 0;
  }

 private:
  unsigned char* base_;
  size_t begin_ = 0;
  size_t size_ = 0;
};

enum Array {
  kMean,
  kWide,
  kHess,
  kMomentum,
  kTheta,
  kGradient,
  kGradientSum,
  kStatisticSum,
  kArrays
};

struct Rooms {
  std::array<Room, kArrays> rooms;
};

/// One parameter with all its arrays, filled with numbers that depend on the element type only;
/// at most kMaxCount elements.
class Parameter {
 public:
  static constexpr int64_t kMaxCount = 3 * kNoiseBlock + 40;

  Parameter(Dtype dtype, int64_t count, Placement where = {}) : dtype_(dtype), count_(count) {
    static std::array<std::array<std::vector<unsigned char>, kArrays>, 4> filled;
    auto& values = filled[static_cast<size_t>(dtype)];
    if (values[kMean].empty()) {
      count_ = kMaxCount;
      place({});
      fill();
      values = all_bits();
      count_ = count;
    }
    place(where);
    for (int array = 0; array < kArrays; ++array) {
      const auto size = static_cast<size_t>(count * bytes(array));
      if (size > 0) std::memcpy(data(array), values[static_cast<size_t>(array)].data(), size);
    }
  }

  Dtype dtype() const { return dtype_; }
  int64_t count() const { return count_; }

  int64_t bytes(int array) const {
    const bool shown = array == kMean || array == kTheta || array == kGradient;
    return shown && is_half(dtype_) ? 2 : dtype_ == Dtype::kFloat64 ? 8 : 4;
  }
  double get(int array, int64_t i) const {
    const void* p = static_cast<const char*>(data(array)) + i * bytes(array);
    if (bytes(array) == 8) return read<double>(p);
    if (bytes(array) == 4) return static_cast<double>(read<float>(p));
    return half_value(dtype_, read<uint16_t>(p));
  }
  void set(int array, int64_t i, double x) {
    void* p = static_cast<char*>(data(array)) + i * bytes(array);
    if (bytes(array) == 8) return write(p, x);
    if (bytes(array) == 4) return write(p, static_cast<float>(x));
    const int32_t bits = half_bits(dtype_, x);
    write(p, static_cast<uint16_t>(bits < 0 ? 0x7FFF : bits));
  }
  /// m: the wide mean where the shown one is its rounding.
  double mean(int64_t i) const {
    const double shown = get(kMean, i);
    if (!is_half(dtype_)) return shown;
    const double wide = get(kWide, i);
    const int32_t bits = half_bits(dtype_, wide);
    if (bits < 0) return shown;
    return half_value(dtype_, static_cast<uint16_t>(bits)) == shown ? wide : shown;
  }

  PosteriorArrays posterior() const {
    return {dtype_, data(kMean), is_half(dtype_) ? static_cast<float*>(data(kWide)) : nullptr,
            data(kHess), count_};
  }
  SampleTask sample_task(const PosteriorScale& scale) const {
    return {posterior(), data(kTheta), {kKey, scale}};
  }
  void sample(Isa isa, const PosteriorScale& scale, int64_t stream = kNoiseStreamId) {
    SampleTask task = sample_task(scale);
    task.drawing.noise.stream = static_cast<uint16_t>(stream);
    for (int64_t b = 0; b < block_count(count_); ++b) sample_block(isa, task, b);
  }
  AccumulateTask accumulate_task(const PosteriorScale& scale, StatisticFrom from,
                                 bool first) const {
    return {posterior(),
            from == StatisticFrom::kTheta ? data(kTheta) : nullptr,
            data(kGradient),
            data(kGradientSum),
            data(kStatisticSum),
            first,
            from,
            {kKey, scale}};
  }
  template <class Estimator>
  void accumulate(Isa isa, const PosteriorScale& scale, StatisticFrom from, bool first) {
    AccumulateTask task = accumulate_task(scale, from, first);
    if (!kIsPrice<Estimator>) task.theta = nullptr;
    for (int64_t b = 0; b < block_count(count_); ++b) accumulate_block<Estimator>(isa, task, b);
  }
  // `from` names what is read; the rest is null.
  UpdateTask update_task(const UpdateCoefficients& c, StatisticFrom from, double samples) const {
    const bool summed = from == StatisticFrom::kSums;
    return {posterior(),
            data(kMomentum),
            from == StatisticFrom::kTheta ? data(kTheta) : nullptr,
            summed ? nullptr : data(kGradient),
            summed ? data(kGradientSum) : nullptr,
            summed ? data(kStatisticSum) : nullptr,
            samples,
            from,
            {kKey, c.scale},
            c};
  }
  template <class Estimator>
  int64_t update(Isa isa, const UpdateCoefficients& c, StatisticFrom from, double samples = 1) {
    UpdateTask task = update_task(c, from, samples);
    if (!kIsPrice<Estimator>) task.theta = nullptr;
    int64_t skipped = 0;
    for (int64_t b = 0; b < block_count(count_); ++b) {
      skipped += update_block<Estimator>(isa, task, b);
    }
    return skipped;
  }

  std::vector<unsigned char> bits(int array) const {
    const auto* begin = static_cast<const unsigned char*>(data(array));
    return {begin, begin + count_ * bytes(array)};
  }
  std::array<std::vector<unsigned char>, kArrays> all_bits() const {
    std::array<std::vector<unsigned char>, kArrays> all;
    for (int array = 0; array < kArrays; ++array) all[static_cast<size_t>(array)] = bits(array);
    return all;
  }
  /// Every array's numbers in double.
  std::array<std::vector<double>, kArrays> values() const {
    std::array<std::vector<double>, kArrays> all;
    for (int array = 0; array < kArrays; ++array) {
      for (int64_t i = 0; i < count_; ++i) {
        all[static_cast<size_t>(array)].push_back(array == kMean ? mean(i) : get(array, i));
      }
    }
    return all;
  }
  static bool only_the_arrays_were_touched() {
    const auto& all = rooms().rooms;
    return std::all_of(all.begin(), all.end(),
                       [](const Room& room) { return room.only_the_array_was_touched(); });
  }

 private:
  static Rooms& rooms() {  // one set: only one Parameter is alive at a time
    static Rooms all;
    return all;
  }
  template <class T>
  static T read(const void* p) {
    T x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  template <class T>
  static void write(void* p, T x) {
    std::memcpy(p, &x, sizeof(x));
  }
  void* data(int array) const { return data_[static_cast<size_t>(array)]; }

  void place(Placement where) {
    for (int array = 0; array < kArrays; ++array) {
      data_[static_cast<size_t>(array)] =
          rooms().rooms[static_cast<size_t>(array)].place(count_, bytes(array), where);
    }
  }
  void fill() {
    std::mt19937 random(static_cast<uint32_t>(dtype_));
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < count_; ++i) {
      const double m = normal(random);
      set(kWide, i, m);
      // Every fifth mean was written from outside.
      set(kMean, i, i % 5 == 4 ? normal(random) : get(kWide, i));
      set(kHess, i, 0.1 + std::abs(normal(random)));
      set(kMomentum, i, 0.1 * normal(random));
      set(kTheta, i, mean(i) + 0.01 * normal(random));
      set(kGradient, i, normal(random));
      set(kGradientSum, i, 3 * normal(random));
      set(kStatisticSum, i, 0.03 * normal(random));
    }
  }

  Dtype dtype_;
  int64_t count_;
  std::array<void*, kArrays> data_;
};

// --- the formulas in double
// -----------------------------------------------------------------------

struct Expected {
  double mean, hess, momentum;
};

/// One element's update from the averages over the samples.
template <class Estimator>
Expected expected_update(double m, double h, double g, double average, double gradient,
                         const UpdateCoefficients& c) {
  const double delta = c.scale.weight_decay;
  const double drawn_h = std::max(h, c.scale.hess_floor);
  const double s = drawn_h + delta;
  const double hhat = c.scale.ess * (kIsPrice<Estimator> ? s * average : average);
  Expected result;
  if (is_damped(c)) {
    h = std::max(h, c.smallest_hess);
    const double square = c.kept_square * h * h + c.square_weight * gradient * gradient;
    const double clipped = std::min(std::max(hhat, -c.hess_clip * h), c.hess_clip * h);
    const double change = c.one_minus_beta2 * h * clipped;
    result.hess =
        std::max(std::sqrt(square + std::min(std::max(change, -0.75 * square), 3 * square)),
                 c.smallest_hess);
  } else {
    h = drawn_h;
    const double bound = c.hess_clip * s;
    const double change = std::min(std::max(hhat - h, -bound), bound);
    result.hess = std::max(h + c.one_minus_beta2 * change +
                               0.5 * c.one_minus_beta2 * c.one_minus_beta2 * change * change / s,
                           c.scale.hess_floor);
  }
  result.momentum = c.beta1 * g + (1 - c.beta1) * gradient;
  const double direction = (result.momentum * c.debias + delta * m) / (result.hess + delta);
  result.mean =
      c.kept_mean * m - c.step_size * std::min(std::max(direction, -c.clip_radius), c.clip_radius);
  return result;
}

inline std::vector<double> normals(int64_t count, int64_t stream = kNoiseStreamId) {
  std::vector<float> values(static_cast<size_t>(count));
  NoiseKey key = kKey;
  key.stream = static_cast<uint16_t>(stream);
  fill_normal(key, 0, values.data(), count, Isa::kPortable);
  return {values.begin(), values.end()};
}

inline double sigma_of(double h, const PosteriorScale& scale) {
  return 1 / std::sqrt(scale.ess * (std::max(h, scale.hess_floor) + scale.weight_decay));
}

/// A rounding of the element's state, relative.
inline double rounding(Dtype dtype) { return dtype == Dtype::kFloat64 ? 0x1p-53 : 0x1p-24; }

/// A rounding to the element itself of a number of this size, absolute.
inline double shown_rounding(Dtype dtype, double size) {
  if (!is_half(dtype)) return size * rounding(dtype);
  const HalfFormat f = format_of(dtype);
  return std::max(size * std::ldexp(1, -f.fraction - 1),
                  std::ldexp(1, f.least_exponent - f.fraction));
}

inline const PosteriorScale kScale(1e3, 1e-2, 0.5);
inline UpdateCoefficients coefficients(double beta2 = 0.999) {
  UpdateCoefficients c{};
  c.scale = kScale;
  c.beta1 = 0.9;
  c.one_minus_beta1 = 1 - 0.9;
  c.one_minus_beta2 = 1 - beta2;
  c.hess_clip = kInf;
  c.minus_hess_clip = -kInf;
  c.debias = 1 / (1 - 0.9);
  c.step_size = 0.05;
  c.clip_radius = kInf;
  c.minus_clip_radius = -kInf;
  c.kept_mean = 1;
  return c;
}
inline UpdateCoefficients clipped_coefficients() {
  UpdateCoefficients c = coefficients();
  c.hess_clip = 3;
  c.minus_hess_clip = -3;
  c.clip_radius = 0.5;
  c.minus_clip_radius = -0.5;
  return c;
}
/// With damping, decoupled weight decay and a bound on the noise that some elements reach. The
/// Hessian estimate reaches its bounds in some elements.
inline UpdateCoefficients damped_coefficients() {
  UpdateCoefficients c = clipped_coefficients();
  const double rate = 0.2, damping = 2;
  c.scale.hess_floor = 0.3;
  c.one_minus_beta2 = rate;
  c.square_weight = damping * damping * rate;
  c.kept_square = 1 - rate;
  c.smallest_hess = 0.2;
  c.step_size = 1e-2 * damping;
  c.kept_mean = 1 - 1e-2 * 0.5;
  return c;
}

}  // namespace ivon_test
