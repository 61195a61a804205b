// SPDX-License-Identifier: Apache-2.0
// Written by cmake/cuda_source.sh; do not edit. The text of the CUDA kernels, for NVRTC.
#pragma once

#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

// clang-format off
inline constexpr const char kSource[] =
R"ivon(
#define IVON_CUDA_TEXT 1
#define IVON_ALWAYS_INLINE __device__ __forceinline__
#define IVON_ROLLED _Pragma("unroll 1")
#define IVON_NAMESPACE_BEGIN namespace ivon {
#define IVON_NAMESPACE_END }
namespace ivon::detail {
using int32_t = int;
using int64_t = long long;
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long long;
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/coefficients.hpp"










IVON_NAMESPACE_BEGIN
namespace detail {


struct PosteriorScale {
  double ess = 1;           // lambda, > 0
  double weight_decay = 0;  // delta, >= 0
  double hess_floor = 0;    // smallest h that kernels use or write; hess_floor + weight_decay > 0


  static constexpr double kFloorOfDelta = 0x1p-16;

  PosteriorScale() = default;




  PosteriorScale(double ess_value, double weight_decay_value, double hess_init)
      : ess(ess_value),
        weight_decay(weight_decay_value),
        hess_floor(kFloorOfDelta * weight_decay_value + 0x1p-40 * hess_init - weight_decay_value) {}
};


struct UpdateCoefficients {
  PosteriorScale scale;
#define IVON_COEFFICIENT(name, value) double name;
IVON_COEFFICIENT(beta1, options.beta1()) IVON_COEFFICIENT(one_minus_beta1, 1.0 - options.beta1()) IVON_COEFFICIENT(one_minus_beta2, 1.0 - options.beta2()) IVON_COEFFICIENT(hess_clip, options.hess_clip()) IVON_COEFFICIENT(minus_hess_clip, -options.hess_clip()) IVON_COEFFICIENT(debias, debias_factor(options, step)) IVON_COEFFICIENT(step_size, options.lr() * step_size_per_lr(options)) IVON_COEFFICIENT(clip_radius, options.clip_radius()) IVON_COEFFICIENT(minus_clip_radius, -options.clip_radius()) IVON_COEFFICIENT(kept_mean, 1.0 - options.lr() * options.decoupled_weight_decay()) IVON_COEFFICIENT(smallest_hess, options.damping() * options.eps()) IVON_COEFFICIENT(square_weight, options.damping() * options.damping() * square_rate(options, step)) IVON_COEFFICIENT(kept_square, 1.0 - square_rate(options, step)) 
#undef IVON_COEFFICIENT
};


IVON_ALWAYS_INLINE bool is_damped(const UpdateCoefficients& coefficients) {
  return coefficients.smallest_hess > 0;
}


inline constexpr int kCoefficients = 0
#define IVON_COEFFICIENT(name, value) +1
IVON_COEFFICIENT(beta1, options.beta1()) IVON_COEFFICIENT(one_minus_beta1, 1.0 - options.beta1()) IVON_COEFFICIENT(one_minus_beta2, 1.0 - options.beta2()) IVON_COEFFICIENT(hess_clip, options.hess_clip()) IVON_COEFFICIENT(minus_hess_clip, -options.hess_clip()) IVON_COEFFICIENT(debias, debias_factor(options, step)) IVON_COEFFICIENT(step_size, options.lr() * step_size_per_lr(options)) IVON_COEFFICIENT(clip_radius, options.clip_radius()) IVON_COEFFICIENT(minus_clip_radius, -options.clip_radius()) IVON_COEFFICIENT(kept_mean, 1.0 - options.lr() * options.decoupled_weight_decay()) IVON_COEFFICIENT(smallest_hess, options.damping() * options.eps()) IVON_COEFFICIENT(square_weight, options.damping() * options.damping() * square_rate(options, step)) IVON_COEFFICIENT(kept_square, 1.0 - square_rate(options, step)) 
#undef IVON_COEFFICIENT
    ;


static_assert(sizeof(PosteriorScale) == 3 * sizeof(double), "ivon: PosteriorScale has padding");
static_assert(sizeof(UpdateCoefficients) == sizeof(PosteriorScale) + kCoefficients * sizeof(double),
              "ivon: UpdateCoefficients has padding");

}  // namespace detail
IVON_NAMESPACE_END
)ivon"
R"ivon(
#line 1 "ivon/kernels/noise_key.hpp"







IVON_NAMESPACE_BEGIN
namespace detail {



inline constexpr int64_t kNoiseStreamId = 3;
inline constexpr int64_t kFirstNoiseStreamId = 1;
inline constexpr int64_t kNoiseBlock = 4096;  // elements of a block; each block is made by itself
inline constexpr int64_t kCudaNoiseStreamId = 2;  // number of the CUDA devices' noise stream

inline constexpr uint32_t kCudaDomainBit = 8;
inline constexpr uint32_t kThirdStreamDomainBit = 4;
inline constexpr int64_t kMaxNoiseParameters = int64_t{1} << 24;  // a parameter index has 24 bits



enum class NoiseDomain : uint16_t { kTraining = 0, kPrediction = 1 };


struct NoiseKey {
  uint64_t seed = 0;
  uint64_t draw = 0;  // number of the sample within its domain
  NoiseDomain domain = NoiseDomain::kTraining;
  uint16_t stream = static_cast<uint16_t>(kNoiseStreamId);  // on CPUs, where it is one of two
  uint32_t parameter = 0;  // position among the optimizer's parameters, < kMaxNoiseParameters

  NoiseKey() = default;
  constexpr NoiseKey(uint64_t seed_value, uint64_t draw_value, NoiseDomain domain_value,
                     uint32_t parameter_value, int64_t stream_value = kNoiseStreamId)
      : seed(seed_value),
        draw(draw_value),
        domain(domain_value),
        stream(static_cast<uint16_t>(stream_value)),
        parameter(parameter_value) {}
};

static_assert(sizeof(NoiseKey) == 24, "ivon: NoiseKey has padding");

}  // namespace detail
IVON_NAMESPACE_END
)ivon"
R"ivon(
#line 1 "ivon/kernels/tasks.hpp"











IVON_NAMESPACE_BEGIN
namespace detail {



enum class Dtype { kFloat32, kFloat64, kBFloat16, kFloat16 };

IVON_ALWAYS_INLINE constexpr bool is_half(Dtype dtype) {
  return dtype == Dtype::kBFloat16 || dtype == Dtype::kFloat16;
}



enum class StatisticFrom {
  kTheta,  // computed from theta - m of one sample
  kNoise,  // likewise, but theta - m is made again from the noise
  kSums    // the sums over several samples are given
};



struct PosteriorArrays {
  Dtype dtype;       // of the parameter
  void* mean;        // m as the module holds it, in the parameter's dtype
  float* wide_mean;  // m in full precision for kBFloat16 and kFloat16, else nullptr. `mean` is its

  void* hess;        // state
  int64_t count;
};



struct Drawing {
  NoiseKey noise;
  PosteriorScale scale;
};
static_assert(sizeof(Drawing) == sizeof(NoiseKey) + sizeof(PosteriorScale),
              "ivon: Drawing has padding");


struct SampleTask {
  PosteriorArrays posterior;
  void* theta;  // in the parameter's dtype
  Drawing drawing;
};



struct AccumulateTask {
  PosteriorArrays posterior;
  const void* theta;     // in the parameter's dtype; kTheta
  const void* gradient;  // in the parameter's dtype
  void* gradient_sum;    // state
  void* statistic_sum;   // state
  bool overwrite;        // the sums hold nothing yet and are written instead of added to
  StatisticFrom from;    // kTheta or kNoise
  Drawing drawing;       // kNoise
};




struct UpdateTask {
  PosteriorArrays posterior;
  void* momentum;             // state
  const void* theta;          // in the parameter's dtype; kTheta
  const void* gradient;       // in the parameter's dtype; kTheta and kNoise
  const void* gradient_sum;   // state; kSums
  const void* statistic_sum;  // state; kSums
  double samples;             // kSums: the averages are sums / samples
  StatisticFrom from;
  Drawing drawing;  // kNoise
  UpdateCoefficients coefficients;
};

inline int64_t block_count(int64_t count) { return (count + kNoiseBlock - 1) / kNoiseBlock; }
inline int64_t block_size(int64_t count, int64_t block) {
  const int64_t left = count - block * kNoiseBlock;
  return left < kNoiseBlock ? left : kNoiseBlock;
}

}  // namespace detail
IVON_NAMESPACE_END
)ivon"
R"ivon(
#line 1 "ivon/kernels/cuda/records.hpp"












IVON_NAMESPACE_BEGIN
namespace detail::cuda {

inline constexpr int64_t kChunk = 4096;       // elements that one thread block passes over
inline constexpr uint32_t kThreads = 256;     // threads of a thread block
inline constexpr uint32_t kMaxShared = 15;    // sets of shared values that one launch takes
inline constexpr uint32_t kPageBytes = 3072;  // bytes of a table that one launch writes



enum class EntryPoint : uint32_t {
  kSample,        // draws theta
  kAccumulate,    // adds a sample to the sums
  kUpdate,        // updates m, h and momentum
  kStep,          // updates, then draws the next theta
  kWritePage,     // writes a piece of a table
  kListChunks,    // lists the chunks of a table of tasks
  kCountUpdates,  // capturable: counts samples and updates
  kFill           // writes normals
};
inline constexpr uint32_t kPasses = 4;
inline constexpr uint32_t kEntryPoints = 8;



struct Task {
  void* mean;           // in the parameter's dtype
  float* wide_mean;     // bfloat16 and float16 only
  void* hess;           // state
  void* momentum;       // state
  void* sampled;        // in the parameter's dtype; written by kSample and kStep
  const void* theta;    // in the parameter's dtype; read with StatisticFrom::kTheta
  void* gradient_sum;   // state
  void* statistic_sum;  // state
  int64_t* skipped;     // counts skipped elements
  int64_t count;
  int64_t first_chunk;  // number of chunks of all tasks before this one
  int64_t* step;        // capturable: number of updates, followed in memory by StepScalars;

  const double* lr;     // capturable: learning rate of its group
  uint32_t parameter;   // number of the parameter in its noise key
  uint32_t shared;      // index in Launch::shared
  uint32_t from;        // StatisticFrom
  uint32_t overwrite;   // kAccumulate: writes the sums instead of adding to them
  uint32_t aligned;     // whether every array begins at a multiple of 16 bytes
  uint32_t reserved;
};


struct StepScalars {
  double debias;
  double step_size;
  double kept_mean;
  double square_weight;
  double kept_square;
};



struct Position {
  uint64_t seed;
  uint64_t draws[2];  // training, prediction
};



struct SharedValues {
  Drawing drawn;  // noise and scale of the sample to which the gradients belong
  Drawing next;   // noise and scale of the sample that is drawn next
  UpdateCoefficients update;
  double samples;           // kSums: the averages are sums / samples
  double step_size_per_lr;  // capturable; with damping it is the damping
  double decay_per_lr;      // capturable: the decoupled weight decay
  uint64_t debiased;        // capturable: whether momentum and mean square are debiased
};

static_assert(sizeof(SharedValues) == 2 * sizeof(Drawing) + sizeof(UpdateCoefficients) + 32,
              "ivon: SharedValues has padding");


struct Chunk {
  uint32_t task;
  uint32_t part;
};


struct Launch {
  const Task* tasks;
  const void* const* gradients;  // one for each task
  const Chunk* chunks;           // one for each thread block
  const Position* position;      // null unless capturable
  SharedValues shared[kMaxShared];
};
static_assert(sizeof(Launch) <= 4096, "ivon: a launch takes at most 4 KiB of arguments");


struct Page {
  uint32_t* destination;
  uint64_t words;
  uint32_t data[kPageBytes / 4];
};


struct Listing {
  const Task* tasks;
  int64_t tasks_count;
  Chunk* chunks;
  int64_t chunks_count;
};



struct Counting {
  Position* position;  // may be null
  uint64_t draws[2];   // are added to position->draws
  const Task* tasks;   // each task's step is counted and its StepScalars are computed
  int64_t tasks_count;
  SharedValues shared[kMaxShared];
};


struct Filling {
  NoiseKey noise;
  float* out;
  int64_t count;
};

inline int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

}  // namespace detail::cuda
IVON_NAMESPACE_END
)ivon"
R"ivon(
namespace ivon::detail::cuda {
)ivon"
R"ivon(
#line 1 "ivon/kernels/cuda/pack_single.inl"






#if defined(IVON_CUDA_TEXT)
IVON_ALWAYS_INLINE float add(float a, float b) { return __fadd_rn(a, b); }
IVON_ALWAYS_INLINE float multiply(float a, float b) { return __fmul_rn(a, b); }
IVON_ALWAYS_INLINE float divide(float a, float b) { return __fdiv_rn(a, b); }
IVON_ALWAYS_INLINE float square_root(float a) { return __fsqrt_rn(a); }
IVON_ALWAYS_INLINE float rounded_once(float a, float b, float c) { return __fmaf_rn(a, b, c); }
IVON_ALWAYS_INLINE double add(double a, double b) { return __dadd_rn(a, b); }
IVON_ALWAYS_INLINE double multiply(double a, double b) { return __dmul_rn(a, b); }
IVON_ALWAYS_INLINE double divide(double a, double b) { return __ddiv_rn(a, b); }
IVON_ALWAYS_INLINE double square_root(double a) { return __dsqrt_rn(a); }
IVON_ALWAYS_INLINE double rounded_once(double a, double b, double c) { return __fma_rn(a, b, c); }
IVON_ALWAYS_INLINE uint32_t word_of(float a) { return __float_as_uint(a); }
IVON_ALWAYS_INLINE float float_of(uint32_t a) { return __uint_as_float(a); }
IVON_ALWAYS_INLINE uint32_t upper_word_of(double a) {
  return static_cast<uint32_t>(__double2hiint(a));
}
IVON_ALWAYS_INLINE uint32_t widened_float16(uint32_t half) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(static_cast<uint16_t>(half)));
  return word_of(wide);
}
IVON_ALWAYS_INLINE uint32_t narrowed_float16(uint32_t word) {
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(float_of(word)));
  return half;
}
#else
template <class T>
IVON_ALWAYS_INLINE T add(T a, T b) {
  return a + b;
}
template <class T>
IVON_ALWAYS_INLINE T multiply(T a, T b) {
  return a * b;
}
template <class T>
IVON_ALWAYS_INLINE T divide(T a, T b) {
  return a / b;
}
IVON_ALWAYS_INLINE uint32_t word_of(float a) {
  uint32_t word;
  std::memcpy(&word, &a, sizeof(word));
  return word;
}
IVON_ALWAYS_INLINE float float_of(uint32_t a) {
  float x;
  std::memcpy(&x, &a, sizeof(x));
  return x;
}
IVON_ALWAYS_INLINE uint32_t upper_word_of(double a) {
  uint64_t word;
  std::memcpy(&word, &a, sizeof(word));
  return static_cast<uint32_t>(word >> 32);
}
IVON_ALWAYS_INLINE uint32_t widened_float16(uint32_t half) { return widen_float16(half); }
IVON_ALWAYS_INLINE uint32_t narrowed_float16(uint32_t word) { return narrow_float16(word); }
#endif


template <class T>
struct One {
  using Number = T;
  T v;
};
using Floats = One<float>;
using Doubles = One<double>;
using Words = One<uint32_t>;
using Halves = One<uint16_t>;
struct Mask {
  bool v;
};

template <class T>
IVON_ALWAYS_INLINE One<T> set(T x) {
  return {x};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator+(One<T> a, One<T> b) {
  return {add(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator-(One<T> a, One<T> b) {
  return {add(a.v, -b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator*(One<T> a, One<T> b) {
  return {multiply(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> operator/(One<T> a, One<T> b) {
  return {divide(a.v, b.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fma(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(a.v, b.v, c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fnma(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(-a.v, b.v, c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> fms(One<T> a, One<T> b, One<T> c) {
  return {rounded_once(a.v, b.v, -c.v)};
}
template <class T>
IVON_ALWAYS_INLINE One<T> sqrt(One<T> a) {
  return {square_root(a.v)};
}

template <class T>
IVON_ALWAYS_INLINE One<T> max(One<T> a, One<T> b) {
  return a.v > b.v ? a : b;
}
template <class T>
IVON_ALWAYS_INLINE One<T> min(One<T> a, One<T> b) {
  return a.v < b.v ? a : b;
}

IVON_ALWAYS_INLINE Words operator+(Words a, Words b) { return {a.v + b.v}; }
IVON_ALWAYS_INLINE Words operator-(Words a, Words b) { return {a.v - b.v}; }
IVON_ALWAYS_INLINE Words operator^(Words a, Words b) { return {a.v ^ b.v}; }
IVON_ALWAYS_INLINE Words operator&(Words a, Words b) { return {a.v & b.v}; }
template <int n>
IVON_ALWAYS_INLINE Words shift_left(Words a) {
  return {a.v << n};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right(Words a) {
  return {a.v >> n};
}
template <int n>
IVON_ALWAYS_INLINE Words shift_right_signed(Words a) {
  return {static_cast<uint32_t>(static_cast<int32_t>(a.v) >> n)};
}
IVON_ALWAYS_INLINE void multiply_wide(Words a, uint32_t b, Words& high, Words& low) {
  const uint64_t product = uint64_t{b} * a.v;
  high.v = static_cast<uint32_t>(product >> 32);
  low.v = static_cast<uint32_t>(product);
}
IVON_ALWAYS_INLINE Floats float_of_int(Words a) {
  return {static_cast<float>(static_cast<int32_t>(a.v))};
}
IVON_ALWAYS_INLINE Floats as_floats(Words a) { return {float_of(a.v)}; }
IVON_ALWAYS_INLINE Words as_words(Floats a) { return {word_of(a.v)}; }

IVON_ALWAYS_INLINE Words upper_words(Floats a) { return as_words(a); }
IVON_ALWAYS_INLINE Words upper_words(Doubles a) { return {upper_word_of(a.v)}; }

IVON_ALWAYS_INLINE Words extend(Halves a) { return {a.v}; }
IVON_ALWAYS_INLINE Halves truncate(Words a) { return {static_cast<uint16_t>(a.v)}; }
IVON_ALWAYS_INLINE Floats widen_float16(Halves a) { return as_floats(Words{widened_float16(a.v)}); }
IVON_ALWAYS_INLINE Halves narrow_float16(Floats a) {
  return truncate(Words{narrowed_float16(word_of(a.v))});
}

template <class T>
IVON_ALWAYS_INLINE Mask equal(One<T> a, One<T> b) {
  return {a.v == b.v};
}
IVON_ALWAYS_INLINE Mask at_least(Words a, Words b) { return {a.v >= b.v}; }
template <class T>
IVON_ALWAYS_INLINE One<T> select(Mask mark, One<T> yes, One<T> no) {
  return mark.v ? yes : no;
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/half.inl"




IVON_ALWAYS_INLINE Floats widen_bfloat16(Halves halves) {
  return as_floats(shift_left<16>(extend(halves)));
}

IVON_ALWAYS_INLINE Halves narrow_bfloat16(Floats x) {
  const Words word = as_words(x);
  const Words odd = shift_right<16>(word) & set(1u);
  const Words rounded = shift_right<16>(word + set(0x7FFFu) + odd);
  const Mask nan = at_least(word & set(0x7FFFFFFFu), set(0x7F800001u));
  return truncate(select(nan, set(0x7FC0u), rounded));
}

template <Dtype dtype>
IVON_ALWAYS_INLINE Floats widen(Halves halves) {
  return dtype == Dtype::kBFloat16 ? widen_bfloat16(halves) : widen_float16(halves);
}
template <Dtype dtype>
IVON_ALWAYS_INLINE Halves narrow(Floats x) {
  return dtype == Dtype::kBFloat16 ? narrow_bfloat16(x) : narrow_float16(x);
}



template <Dtype dtype>
IVON_ALWAYS_INLINE Floats adopted(Floats wide, Floats shown) {
  return select(equal(widen<dtype>(narrow<dtype>(wide)), shown), wide, shown);
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/math.inl"










template <class Pack>
IVON_ALWAYS_INLINE Pack all(double x) {
  return set(static_cast<typename Pack::Number>(x));
}


template <class Pack>
struct Scale {
  Pack ess, delta, floor;
  IVON_ALWAYS_INLINE explicit Scale(const PosteriorScale& scale)
      : ess(all<Pack>(scale.ess)),
        delta(all<Pack>(scale.weight_decay)),
        floor(all<Pack>(scale.hess_floor)) {}
};



template <class Pack>
IVON_ALWAYS_INLINE Pack deviation(Pack h, Pack normal, const Scale<Pack>& scale) {
  return normal / sqrt((max(h, scale.floor) + scale.delta) * scale.ess);
}




template <class Pack>
struct PackedCoefficients {
  Scale<Pack> scale;
#if defined(IVON_CUDA_TEXT)
  static constexpr bool unlimited = false, small_changes = false;
#else
  bool unlimited;      // both clips are infinite, and the mean does not decay
  bool small_changes;  // with damping: hess_clip alone keeps the change of h^2 within its bounds
#endif
#define IVON_COEFFICIENT(name, value) Pack name;
IVON_COEFFICIENT(beta1, options.beta1()) IVON_COEFFICIENT(one_minus_beta1, 1.0 - options.beta1()) IVON_COEFFICIENT(one_minus_beta2, 1.0 - options.beta2()) IVON_COEFFICIENT(hess_clip, options.hess_clip()) IVON_COEFFICIENT(minus_hess_clip, -options.hess_clip()) IVON_COEFFICIENT(debias, debias_factor(options, step)) IVON_COEFFICIENT(step_size, options.lr() * step_size_per_lr(options)) IVON_COEFFICIENT(clip_radius, options.clip_radius()) IVON_COEFFICIENT(minus_clip_radius, -options.clip_radius()) IVON_COEFFICIENT(kept_mean, 1.0 - options.lr() * options.decoupled_weight_decay()) IVON_COEFFICIENT(smallest_hess, options.damping() * options.eps()) IVON_COEFFICIENT(square_weight, options.damping() * options.damping() * square_rate(options, step)) IVON_COEFFICIENT(kept_square, 1.0 - square_rate(options, step)) 
#undef IVON_COEFFICIENT

  IVON_ALWAYS_INLINE explicit PackedCoefficients(const UpdateCoefficients& c)
      : scale(c.scale)
#if !defined(IVON_CUDA_TEXT)
        ,
        unlimited(c.hess_clip > 1.7e308 && c.clip_radius > 1.7e308 && c.kept_mean == 1),
        small_changes(c.one_minus_beta2 * c.hess_clip <= 0.5 * c.kept_square)
#endif
#define IVON_COEFFICIENT(name, value) , name(all<Pack>(c.name))
IVON_COEFFICIENT(beta1, options.beta1()) IVON_COEFFICIENT(one_minus_beta1, 1.0 - options.beta1()) IVON_COEFFICIENT(one_minus_beta2, 1.0 - options.beta2()) IVON_COEFFICIENT(hess_clip, options.hess_clip()) IVON_COEFFICIENT(minus_hess_clip, -options.hess_clip()) IVON_COEFFICIENT(debias, debias_factor(options, step)) IVON_COEFFICIENT(step_size, options.lr() * step_size_per_lr(options)) IVON_COEFFICIENT(clip_radius, options.clip_radius()) IVON_COEFFICIENT(minus_clip_radius, -options.clip_radius()) IVON_COEFFICIENT(kept_mean, 1.0 - options.lr() * options.decoupled_weight_decay()) IVON_COEFFICIENT(smallest_hess, options.damping() * options.eps()) IVON_COEFFICIENT(square_weight, options.damping() * options.damping() * square_rate(options, step)) IVON_COEFFICIENT(kept_square, 1.0 - square_rate(options, step)) 
#undef IVON_COEFFICIENT
  {
  }
};



template <class Pack>
IVON_ALWAYS_INLINE Mask not_finite(Pack a, Pack b, Pack c, Pack d) {
  const Words magnitude = set(0x7FFFFFFFu);
  const Words largest = max(max(upper_words(a) & magnitude, upper_words(b) & magnitude),
                            max(upper_words(c) & magnitude, upper_words(d) & magnitude));
  return at_least(largest, set(sizeof(typename Pack::Number) == 4 ? 0x7F800000u : 0x7FF00000u));
}


template <class Pack>
IVON_ALWAYS_INLINE Pack update_hess(Pack& h, Pack s, Pack hhat_over_ess,
                                    const PackedCoefficients<Pack>& c) {
  const Pack old_h = max(h, c.scale.floor);
  const Pack change = fms(hhat_over_ess, c.scale.ess, old_h);


  Pack limited = change;
  if (!c.unlimited) limited = min(max(change, s * c.minus_hess_clip), s * c.hess_clip);
  const Pack u = limited * c.one_minus_beta2;
  h = max(fma(u, fma(u / s, all<Pack>(0.5), all<Pack>(1.0)), old_h), c.scale.floor);
  return change;
}


template <class Pack>
IVON_ALWAYS_INLINE Pack update_damped_hess(Pack& h, Pack hhat_over_ess, Pack gradient,
                                           const PackedCoefficients<Pack>& c) {
  const Pack old_h = max(h, c.smallest_hess);
  const Pack hhat = hhat_over_ess * c.scale.ess;
  const Pack clipped = min(max(hhat, old_h * c.minus_hess_clip), old_h * c.hess_clip);


  const Pack square = fma(gradient * gradient, c.square_weight, old_h * old_h * c.kept_square);

  const Pack change = fma(old_h * clipped, c.one_minus_beta2, all<Pack>(0.0));
  Pack bounded = change;
  if (!c.small_changes) {
    bounded = min(max(change, square * all<Pack>(-0.75)), square * all<Pack>(3.0));
  }
  h = max(sqrt(square + bounded), c.smallest_hess);
  return hhat;
}




template <class Estimator, bool damped, class Pack>
IVON_ALWAYS_INLINE Pack update(Pack& m, Pack& h, Pack& g, Pack average, Pack gradient,
                               const PackedCoefficients<Pack>& c) {
  const Pack s = max(h, c.scale.floor) + c.scale.delta;
  const Pack hhat_over_ess = Estimator::hessian(s, average);
  Pack estimate;  // not finite where hhat is not finite
  if constexpr (damped) {
    estimate = update_damped_hess(h, hhat_over_ess, gradient, c);
  } else {
    estimate = update_hess(h, s, hhat_over_ess, c);
  }
  g = fma(g, c.beta1, gradient * c.one_minus_beta1);
  const Pack direction = fma(g, c.debias, m * c.scale.delta) / (h + c.scale.delta);
  if (c.unlimited) {
    m = fnma(direction, c.step_size, m);
  } else {
    const Pack clipped = min(max(direction, c.minus_clip_radius), c.clip_radius);
    m = fnma(clipped, c.step_size, m * c.kept_mean);
  }
  return estimate;
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/estimators.inl"






struct PriceEstimator {
  static constexpr bool kUsesDeviation = true;

  template <class T>
  IVON_ALWAYS_INLINE static T statistic(const T& deviation, const T& gradient) {
    return deviation * gradient;
  }
  template <class T>
  IVON_ALWAYS_INLINE static T add_statistic(const T& sum, const T& deviation, const T& gradient) {
    return fma(deviation, gradient, sum);
  }
  template <class T>
  IVON_ALWAYS_INLINE static T hessian(const T& damped_hess, const T& average) {
    return damped_hess * average;
  }
};

struct GradSquaredEstimator {
  static constexpr bool kUsesDeviation = false;

  template <class T>
  IVON_ALWAYS_INLINE static T statistic(const T& /*deviation*/, const T& gradient) {
    return gradient * gradient;
  }
  template <class T>
  IVON_ALWAYS_INLINE static T add_statistic(const T& sum, const T& /*deviation*/,
                                            const T& gradient) {
    return fma(gradient, gradient, sum);
  }
  template <class T>
  IVON_ALWAYS_INLINE static T hessian(const T& /*damped_hess*/, const T& average) {
    return average;
  }
};
)ivon"
R"ivon(
#line 1 "ivon/kernels/box_muller.inl"







IVON_ALWAYS_INLINE void philox4x32_10(Words (&counter)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply_wide(counter[0], 0xD2511F53u, high0, low0);
    multiply_wide(counter[2], 0xCD9E8D57u, high1, low1);
    counter[0] = high1 ^ counter[1] ^ set(key0);
    counter[1] = low1;
    counter[2] = high0 ^ counter[3] ^ set(key1);
    counter[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}





IVON_ALWAYS_INLINE Floats box_muller_radius(Words word) {
  const Floats high = float_of_int(shift_right<16>(word));
  const Floats low = float_of_int(word & set(0xFFFFu)) + set(0.5f);
  constexpr uint32_t kSqrtHalf = 0x3F3504F3u;  // the bits of 1/sqrt(2)
  constexpr uint32_t kTwoTo32 = 32u << 23;     // what 2^32 adds to the bits of a number
  const Words scaled = as_words(fma(high, set(65536.0f), low)) - set(kSqrtHalf + kTwoTo32);
  const Floats exponent = float_of_int(shift_right_signed<23>(scaled));  // of u: 0 to -32

  const Floats f = set(1.0f) - as_floats((scaled & set(0x007FFFFFu)) + set(kSqrtHalf));
  Floats q = set(0x1.65f14cp-3f);
  q = fma(q, f, set(0x1.2505c6p-2f));
  q = fma(q, f, set(0x1.317ca6p-2f));
  q = fma(q, f, set(0x1.535c28p-2f));
  q = fma(q, f, set(0x1.98d3a0p-2f));
  q = fma(q, f, set(0x1.0004a8p-1f));
  q = fma(q, f, set(0x1.5556f0p-1f));
  q = fma(q, f, set(0x1.fffffap-1f));
  q = fma(q, f, set(2.0f));
  return sqrt(fnma(exponent, set(0x1.62e430p+0f), f * q));  // 2 ln 2
}



IVON_ALWAYS_INLINE void box_muller_direction(Words word, Floats& cosine, Floats& sine) {
  const Floats y = float_of_int(word) * set(0x1p-32f);
  const Floats z = y * y;
  Floats s = set(0x1.3911f8p-4f);
  s = fma(s, z, set(-0x1.31fbf0p-1f));
  s = fma(s, z, set(0x1.466504p+1f));
  s = fma(s, z, set(-0x1.4abba2p+2f));
  s = fma(s, z, set(0x1.921fb4p+1f));
  Floats c = set(0x1.c02a34p-3f);
  c = fma(c, z, set(-0x1.54dca0p+0f));
  c = fma(c, z, set(0x1.03bc26p+2f));
  c = fma(c, z, set(-0x1.3bd39cp+2f));
  c = fma(c, z, set(0x1.fffffep-1f));
  cosine = as_floats(as_words(c) ^ shift_left<31>(word));
  sine = y * s;
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/quad_noise.inl"






IVON_ALWAYS_INLINE void normal_quads(const NoiseKey& key, uint64_t quad, Words lanes,
                                     Floats (&out)[4]) {


  const uint32_t tag = key.parameter + (static_cast<uint32_t>(quad >> 32) << 24) +
                       ((static_cast<uint32_t>(key.domain) | kCudaDomainBit) << 28);
  Words words[4] = {lanes + set(static_cast<uint32_t>(quad)), set(tag),
                    set(static_cast<uint32_t>(key.draw)),
                    set(static_cast<uint32_t>(key.draw >> 32))};
  auto key0 = static_cast<uint32_t>(key.seed);
  auto key1 = static_cast<uint32_t>(key.seed >> 32);
#if defined(IVON_CUDA_TEXT)


  asm volatile("" : "+r"(key0), "+r"(key1));
#endif
  philox4x32_10(words, key0, key1);
  for (int pair = 0; pair < 4; pair += 2) {
    const Floats radius = box_muller_radius(words[pair]);
    Floats cosine, sine;
    box_muller_direction(words[pair + 1], cosine, sine);
    out[pair] = radius * cosine;
    out[pair + 1] = radius * sine;
  }
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/cuda/passes.inl"










#if defined(IVON_CUDA_TEXT)
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) {
  atomicAdd(reinterpret_cast<uint64_t*>(counter), static_cast<uint64_t>(count));
}
#else
IVON_ALWAYS_INLINE void add_to(int64_t* counter, int64_t count) { *counter += count; }
#endif



template <Dtype dtype>
struct Types {  // float32
  using Stored = float;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Dtype::kFloat64> {
  using Stored = double;
  using State = double;
  using Pack = Doubles;
};
template <>
struct Types<Dtype::kBFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};
template <>
struct Types<Dtype::kFloat16> {
  using Stored = uint16_t;
  using State = float;
  using Pack = Floats;
};



template <Dtype dtype>
inline constexpr int kGroup = sizeof(typename Types<dtype>::Stored) == 2 ? 8 : 4;

struct alignas(16) Sixteen {
  uint32_t words[4];
};


struct Reach {
  int64_t begin;
  int size;
  bool whole;  // the group lies inside the array, and 16-byte accesses are allowed
};

template <int n, class T>
IVON_ALWAYS_INLINE void load_group(const void* array, const Reach& reach, T (&out)[n]) {
  const T* from = static_cast<const T*>(array) + reach.begin;
  if (reach.whole) {
    constexpr int kEach = 16 / sizeof(T);
    for (int i = 0; i < n; i += kEach) {
      const Sixteen piece = *reinterpret_cast<const Sixteen*>(from + i);
      memcpy(&out[i], &piece, 16);
    }
    return;
  }
  for (int i = 0; i < n; ++i) out[i] = i < reach.size ? from[i] : T{};
}

template <int n, class T>
IVON_ALWAYS_INLINE void store_group(void* array, const Reach& reach, const T (&values)[n]) {
  T* to = static_cast<T*>(array) + reach.begin;
  if (reach.whole) {
    constexpr int kEach = 16 / sizeof(T);
    for (int i = 0; i < n; i += kEach) {
      Sixteen piece;
      memcpy(&piece, &values[i], 16);
      *reinterpret_cast<Sixteen*>(to + i) = piece;
    }
    return;
  }
  for (int i = 0; i < n; ++i) {
    if (i < reach.size) to[i] = values[i];
  }
}


template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void load_widened(const void* array, const Reach& reach, State (&out)[n]) {
  if constexpr (is_half(dtype)) {
    uint16_t halves[n];
    load_group(array, reach, halves);
    for (int i = 0; i < n; ++i) out[i] = widen<dtype>(Halves{halves[i]}).v;
  } else {
    load_group(array, reach, out);
  }
}
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void store_narrowed(void* array, const Reach& reach, const State (&values)[n]) {
  if constexpr (is_half(dtype)) {
    uint16_t halves[n];
    for (int i = 0; i < n; ++i) halves[i] = narrow<dtype>(Floats{values[i]}).v;
    store_group(array, reach, halves);
  } else {
    store_group(array, reach, values);
  }
}


template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void load_mean(const Task& task, const Reach& reach, State (&out)[n]) {
  load_widened<dtype>(task.mean, reach, out);
  if constexpr (is_half(dtype)) {
    float wide[n];
    load_group(task.wide_mean, reach, wide);
    for (int i = 0; i < n; ++i) out[i] = adopted<dtype>(Floats{wide[i]}, Floats{out[i]}).v;
  }
}
template <Dtype dtype, class State, int n>
IVON_ALWAYS_INLINE void store_mean(const Task& task, const Reach& reach, const State (&values)[n]) {
  store_narrowed<dtype>(task.mean, reach, values);
  if constexpr (is_half(dtype)) {
    store_group(task.wide_mean, reach, values);
  }
}





IVON_ALWAYS_INLINE NoiseKey resolved(NoiseKey key, const Position* position, uint32_t parameter) {
  key.parameter = parameter;
  if (position != nullptr) {
    key.seed = position->seed;
    key.draw += position->draws[static_cast<uint32_t>(key.domain)];
  }
  return key;
}

template <int n>
IVON_ALWAYS_INLINE void normal_group(const NoiseKey& key, int64_t begin, Floats (&out)[n]) {
  for (int i = 0; i < n; i += 4) {
    Floats quad[4];
    normal_quads(key, static_cast<uint64_t>(begin + i) / 4, set(0u), quad);
    for (int j = 0; j < 4; ++j) out[i + j] = quad[j];
  }
}

IVON_ALWAYS_INLINE Floats widened(Floats normal, Floats /*type*/) { return normal; }
IVON_ALWAYS_INLINE Doubles widened(Floats normal, Doubles /*type*/) {
  return {static_cast<double>(normal.v)};
}




template <int group, class Work>
IVON_ALWAYS_INLINE void for_groups(const Task& task, const Chunk& chunk, uint32_t thread,
                                   const Work& work) {
  const int64_t begin = static_cast<int64_t>(chunk.part) * kChunk;
  const int64_t left = task.count - begin;
  const int64_t end = begin + (left < kChunk ? left : kChunk);
  IVON_ROLLED
  for (int64_t i = begin + static_cast<int64_t>(thread) * group; i < end; i += kThreads * group) {
    const int64_t size = end - i;
    const bool full = size >= group;
    work(Reach{i, full ? group : static_cast<int>(size), full && task.aligned != 0});
  }
}

template <Dtype dtype>
IVON_ALWAYS_INLINE void sample_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  const NoiseKey key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.next.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n];
    load_mean<dtype>(task, reach, m);
    load_group(task.hess, reach, h);
    Floats normals[n];
    normal_group(key, reach.begin, normals);
    for (int i = 0; i < n; ++i) {
      m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale)).v;
    }
    store_narrowed<dtype>(task.sampled, reach, m);
  });
}


template <Dtype dtype, class Estimator, class State, int n>
IVON_ALWAYS_INLINE void load_deviation(const Task& task, const Reach& reach, const NoiseKey& key,
                                       const Scale<typename Types<dtype>::Pack>& scale,
                                       const State (&m)[n], const State (&h)[n], State (&out)[n]) {
  using Pack = typename Types<dtype>::Pack;
  if constexpr (Estimator::kUsesDeviation) {
    if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
      Floats normals[n];
      normal_group(key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        out[i] = deviation(Pack{h[i]}, widened(normals[i], Pack{}), scale).v;
      }
    } else {
      load_widened<dtype>(task.theta, reach, out);
      for (int i = 0; i < n; ++i) out[i] = (Pack{out[i]} - Pack{m[i]}).v;
    }
  }
}

template <Dtype dtype, class Estimator>
IVON_ALWAYS_INLINE void accumulate_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n] = {}, h[n] = {}, of[n] = {}, gradient[n], sum[n], statistics[n];
    if constexpr (Estimator::kUsesDeviation) {
      if (task.from == static_cast<uint32_t>(StatisticFrom::kNoise)) {
        load_group(task.hess, reach, h);
      } else {
        load_mean<dtype>(task, reach, m);
      }
    }
    load_widened<dtype>(launch.gradients[chunk.task], reach, gradient);
    load_deviation<dtype, Estimator>(task, reach, key, scale, m, h, of);
    if (task.overwrite != 0) {
      for (int i = 0; i < n; ++i) {
        sum[i] = gradient[i];
        statistics[i] = Estimator::statistic(Pack{of[i]}, Pack{gradient[i]}).v;
      }
    } else {
      load_group(task.gradient_sum, reach, sum);
      load_group(task.statistic_sum, reach, statistics);
      for (int i = 0; i < n; ++i) {
        sum[i] = (Pack{sum[i]} + Pack{gradient[i]}).v;
        statistics[i] =
            Estimator::add_statistic(Pack{statistics[i]}, Pack{of[i]}, Pack{gradient[i]}).v;
      }
    }
    store_group(task.gradient_sum, reach, sum);
    store_group(task.statistic_sum, reach, statistics);
  });
}


template <Dtype dtype, class Estimator, bool draws>
IVON_ALWAYS_INLINE void update_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  using State = typename Types<dtype>::State;
  using Pack = typename Types<dtype>::Pack;
  constexpr int n = kGroup<dtype>;
  const Chunk chunk = launch.chunks[block];
  const Task& task = launch.tasks[chunk.task];
  const SharedValues& shared = launch.shared[task.shared];
  UpdateCoefficients coefficients = shared.update;
  if (task.step != nullptr) {
    const auto& now = *reinterpret_cast<const StepScalars*>(task.step + 1);
    coefficients.debias = now.debias;
    coefficients.step_size = now.step_size;
    coefficients.kept_mean = now.kept_mean;
    coefficients.square_weight = now.square_weight;
    coefficients.kept_square = now.kept_square;
  }
  const PackedCoefficients<Pack> c(coefficients);
  const bool damped = is_damped(coefficients);
  const NoiseKey key = resolved(shared.drawn.noise, launch.position, task.parameter);
  const Scale<Pack> scale(shared.drawn.scale);
  const NoiseKey next_key = resolved(shared.next.noise, launch.position, task.parameter);
  const Scale<Pack> next_scale(shared.next.scale);
  const bool summed = task.from == static_cast<uint32_t>(StatisticFrom::kSums);
  const Pack samples = set(static_cast<State>(shared.samples));
  int64_t skipped = 0;
  for_groups<n>(task, chunk, thread, [&](const Reach& reach) {
    State m[n], h[n], g[n], average[n] = {}, gradient[n];
    load_mean<dtype>(task, reach, m);
    load_group(task.hess, reach, h);
    load_group(task.momentum, reach, g);
    if (summed) {
      load_group(task.gradient_sum, reach, gradient);
      load_group(task.statistic_sum, reach, average);
      for (int i = 0; i < n; ++i) {
        average[i] = (Pack{average[i]} / samples).v;
        gradient[i] = (Pack{gradient[i]} / samples).v;
      }
    } else {
      load_widened<dtype>(launch.gradients[chunk.task], reach, gradient);
      load_deviation<dtype, Estimator>(task, reach, key, scale, m, h, average);
      for (int i = 0; i < n; ++i) {
        average[i] = Estimator::statistic(Pack{average[i]}, Pack{gradient[i]}).v;
      }
    }
    for (int i = 0; i < n; ++i) {
      Pack new_m{m[i]}, new_h{h[i]}, new_g{g[i]};
      const Pack statistic{average[i]}, mean_gradient{gradient[i]};
      const Pack estimate =
          damped ? update<Estimator, true>(new_m, new_h, new_g, statistic, mean_gradient, c)
                 : update<Estimator, false>(new_m, new_h, new_g, statistic, mean_gradient, c);
      if (not_finite(estimate, new_h, new_g, new_m).v) {
        skipped += i < reach.size ? 1 : 0;
      } else {
        m[i] = new_m.v;
        h[i] = new_h.v;
        g[i] = new_g.v;
      }
    }
    store_mean<dtype>(task, reach, m);
    store_group(task.hess, reach, h);
    store_group(task.momentum, reach, g);
    if constexpr (draws) {
      Floats normals[n];
      normal_group(next_key, reach.begin, normals);
      for (int i = 0; i < n; ++i) {
        m[i] = (Pack{m[i]} + deviation(Pack{h[i]}, widened(normals[i], Pack{}), next_scale)).v;
      }
      store_narrowed<dtype>(task.sampled, reach, m);
    }
  });
  if (skipped != 0) add_to(task.skipped, skipped);
}

template <EntryPoint pass, Dtype dtype, class Estimator>
IVON_ALWAYS_INLINE void run_chunk(const Launch& launch, uint32_t block, uint32_t thread) {
  if constexpr (pass == EntryPoint::kSample) sample_chunk<dtype>(launch, block, thread);
  if constexpr (pass == EntryPoint::kAccumulate) {
    accumulate_chunk<dtype, Estimator>(launch, block, thread);
  }
  if constexpr (pass == EntryPoint::kUpdate) {
    update_chunk<dtype, Estimator, false>(launch, block, thread);
  }
  if constexpr (pass == EntryPoint::kStep)
    update_chunk<dtype, Estimator, true>(launch, block, thread);
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/cuda/service.inl"






IVON_ALWAYS_INLINE void write_page(const Page& page, uint64_t thread) {
  if (thread < page.words) page.destination[thread] = page.data[thread];
}


IVON_ALWAYS_INLINE void list_chunk(const Listing& listing, int64_t index) {
  if (index >= listing.chunks_count) return;
  int64_t low = 0, high = listing.tasks_count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (listing.tasks[middle].first_chunk <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  listing.chunks[index] = {static_cast<uint32_t>(low),
                           static_cast<uint32_t>(index - listing.tasks[low].first_chunk)};
}



IVON_ALWAYS_INLINE void count_updates(const Counting& counting, int64_t thread) {
  if (thread == 0 && counting.position != nullptr) {
    counting.position->draws[0] += counting.draws[0];
    counting.position->draws[1] += counting.draws[1];
  }
  if (thread >= counting.tasks_count) return;
  const Task& task = counting.tasks[thread];
  const SharedValues& shared = counting.shared[task.shared];
  const int64_t step = ++*task.step;
  StepScalars& now = *reinterpret_cast<StepScalars*>(task.step + 1);
  const auto updates = static_cast<double>(step);
  now.debias = shared.debiased != 0 ? 1.0 / (1.0 - pow(shared.update.beta1, updates)) : 1.0;
  now.step_size = *task.lr * shared.step_size_per_lr;
  now.kept_mean = 1.0 - *task.lr * shared.decay_per_lr;
  double rate = shared.update.one_minus_beta2;
  if (shared.debiased != 0 && rate != 0) rate /= 1.0 - pow(1.0 - rate, updates);
  now.square_weight = shared.step_size_per_lr * shared.step_size_per_lr * rate;
  now.kept_square = 1.0 - rate;
}

IVON_ALWAYS_INLINE void fill_quad(const Filling& filling, uint64_t quad) {
  const auto begin = static_cast<int64_t>(quad * 4);
  if (begin >= filling.count) return;
  Floats normals[4];
  normal_quads(filling.noise, quad, set(0u), normals);
  for (int i = 0; i < 4 && begin + i < filling.count; ++i) filling.out[begin + i] = normals[i].v;
}
)ivon"
R"ivon(
}
)ivon"
R"ivon(
#line 1 "ivon/kernels/cuda/entries.inl"







#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 700
#define IVON_ARGUMENT const __grid_constant__
#else
#define IVON_ARGUMENT const
#endif

#if defined(IVON_DTYPE)


#define IVON_BLOCKS (IVON_DTYPE == 1 ? 1 : 2)
#define IVON_PASS(name, pass)                                                             \
  extern "C" __global__ void __launch_bounds__(ivon::detail::cuda::kThreads, IVON_BLOCKS) \
      name(IVON_ARGUMENT ivon::detail::cuda::Launch launch) {                             \
    ivon::detail::cuda::run_chunk<ivon::detail::cuda::EntryPoint::pass,                   \
                                  static_cast<ivon::detail::Dtype>(IVON_DTYPE),           \
                                  ivon::detail::cuda::IVON_ESTIMATOR>(launch, blockIdx.x, \
                                                                      threadIdx.x);       \
  }
IVON_PASS(ivon_sample, kSample)
IVON_PASS(ivon_accumulate, kAccumulate)
IVON_PASS(ivon_update, kUpdate)
IVON_PASS(ivon_step, kStep)
#else
#define IVON_THREAD (static_cast<ivon::detail::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x)
extern "C" __global__ void ivon_write_page(IVON_ARGUMENT ivon::detail::cuda::Page page) {
  ivon::detail::cuda::write_page(page, IVON_THREAD);
}
extern "C" __global__ void ivon_list_chunks(IVON_ARGUMENT ivon::detail::cuda::Listing listing) {
  ivon::detail::cuda::list_chunk(listing, IVON_THREAD);
}
extern "C" __global__ void ivon_count_updates(IVON_ARGUMENT ivon::detail::cuda::Counting counting) {
  ivon::detail::cuda::count_updates(counting, IVON_THREAD);
}
extern "C" __global__ void ivon_fill(IVON_ARGUMENT ivon::detail::cuda::Filling filling) {
  ivon::detail::cuda::fill_quad(filling, IVON_THREAD);
}
#endif
)ivon"
;
// clang-format on

}  // namespace detail::cuda
IVON_NAMESPACE_END
