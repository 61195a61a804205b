// SPDX-License-Identifier: Apache-2.0
// What the CUDA kernels are given: the same structs on the host and in the kernels' text. Only
// members of 4 and 8 bytes, in an order without holes of the compilers' choice. No LibTorch.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

inline constexpr int64_t kChunk = 4096;       // elements that one thread block walks
inline constexpr uint32_t kThreads = 256;     // of a thread block
inline constexpr uint32_t kMaxSets = 16;      // that one launch takes
inline constexpr uint32_t kPageBytes = 3072;  // of a table that one launch writes

/// The kernels. The first four are passes over parameters, compiled for an element type and an
/// estimate; the others serve every pass.
enum class Entry : uint32_t {
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
inline constexpr uint32_t kEntries = 8;

/// One parameter in device memory. Pointers that a pass does not use may be null.
struct Task {
  void* mean;           // element
  float* wide_mean;     // bfloat16 and float16 only
  void* hess;           // state
  void* momentum;       // state
  void* sampled;        // element; written by kSample and kStep
  const void* theta;    // element; read with StatisticFrom::kTheta
  void* gradient_sum;   // state
  void* statistic_sum;  // state
  int64_t* skipped;     // counts elements that were left alone
  int64_t count;
  int64_t first_chunk;  // chunks of the tasks before this one
  int64_t* step;        // capturable: updates of this parameter, and after it the two doubles of
                        // Rates; else null
  const double* lr;     // capturable: learning rate of its group
  uint32_t parameter;   // of the noise
  uint32_t set;         // of Launch::sets
  uint32_t from;        // StatisticFrom
  uint32_t first;       // kAccumulate: writes the sums instead of adding to them
  uint32_t aligned;     // whether every array begins at a multiple of 16 bytes
  uint32_t reserved;
};

/// capturable: what changes from replay to replay for one parameter, in device memory.
struct Rates {
  double debias;
  double step_size;
};

/// capturable: the positions of the noise stream in device memory. A key's draw then counts from
/// these.
struct Position {
  uint64_t seed;
  uint64_t draws[2];  // training, prediction
};

/// What many parameters of one launch share.
struct Set {
  Drawing drawn;  // of the sample that the gradients belong to
  Drawing next;   // of the sample to draw
  UpdateCoefficients update;
  double samples;     // kSums: the averages are sums / samples
  double rate;        // capturable: step_size / lr
  uint64_t debiased;  // capturable: whether momentum is debiased
};

/// A chunk of a task: elements kChunk * part ... of it.
struct Chunk {
  uint32_t task;
  uint32_t part;
};

/// Arguments of every pass.
struct Launch {
  const Task* tasks;
  const void* const* gradients;  // of each task
  const Chunk* chunks;           // one a thread block
  const Position* position;      // null unless capturable
  Set sets[kMaxSets];
};

/// Arguments of the kernel that writes a piece of a table: 4-byte words.
struct Page {
  uint32_t* destination;
  uint64_t words;
  uint32_t data[kPageBytes / 4];
};

/// Arguments of the kernel that lists the chunks of a table of tasks.
struct Listing {
  const Task* tasks;
  int64_t tasks_count;
  Chunk* chunks;
  int64_t chunks_count;
};

/// Arguments of the kernel that counts: samples taken of each domain, and updates.
struct Counting {
  Position* position;  // may be null
  uint64_t draws[2];   // are added
  const Task* tasks;   // of which each step is counted and its Rates computed
  int64_t tasks_count;
  Set sets[kMaxSets];
};

/// Arguments of the kernel that writes normals as floats.
struct Filling {
  NoiseKey noise;
  float* out;
  int64_t count;
};

inline int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

}  // namespace detail::cuda
IVON_NAMESPACE_END
