// SPDX-License-Identifier: Apache-2.0
// The arguments of the CUDA kernels. The host and the kernels' text both include these structs.
// Their members have 4 or 8 bytes and are ordered so that there is no padding, so every compiler
// gives them the same layout. This file does not use LibTorch.
#pragma once

#include <cstdint>
#include <ivon/kernels/coefficients.hpp>
#include <ivon/kernels/noise_key.hpp>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

inline constexpr int64_t kChunk = 4096;       // elements that one thread block passes over
inline constexpr uint32_t kThreads = 256;     // threads of a thread block
inline constexpr uint32_t kMaxShared = 15;    // sets of shared values that one launch takes
inline constexpr uint32_t kPageBytes = 3072;  // bytes of a table that one launch writes

/// The kernels. The first four are passes over parameters, compiled for a dtype and an estimator;
/// the others serve every pass.
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

/// One parameter of a launch, as a row of a table in device memory. Pointers that a pass does not
/// use may be null. "State" below means the dtype of the parameter's state.
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
                        // else null
  const double* lr;     // capturable: learning rate of its group
  uint32_t parameter;   // number of the parameter in its noise key
  uint32_t shared;      // index in Launch::shared
  uint32_t from;        // StatisticFrom
  uint32_t overwrite;   // kAccumulate: writes the sums instead of adding to them
  uint32_t aligned;     // whether every array begins at a multiple of 16 bytes
  uint32_t reserved;
};

/// capturable: what changes from replay to replay for one parameter, in device memory.
struct StepScalars {
  double debias;
  double step_size;
  double kept_mean;
  double square_weight;
  double kept_square;
};

/// capturable: the positions of the noise stream in device memory. The draw in a noise key is then
/// the distance from the draws here.
struct Position {
  uint64_t seed;
  uint64_t draws[2];  // training, prediction
};

/// Values that are the same for many parameters of one kernel launch. The field `parameter` of both
/// noise keys is 0 here; each Task holds the number of its own parameter.
struct SharedValues {
  Drawing drawn;  // noise and scale of the sample to which the gradients belong
  Drawing next;   // noise and scale of the sample that is drawn next
  UpdateCoefficients update;
  double samples;           // kSums: the averages are sums / samples
  double step_size_per_lr;  // capturable; with damping it is the damping
  double decay_per_lr;      // capturable: the decoupled weight decay
  uint64_t debiased;        // capturable: whether momentum and mean square are debiased
};
// SharedValues are compared byte by byte, so no byte may be padding.
static_assert(sizeof(SharedValues) == 2 * sizeof(Drawing) + sizeof(UpdateCoefficients) + 32,
              "ivon: SharedValues has padding");

/// A chunk of a task: its elements from kChunk * part on, at most kChunk of them.
struct Chunk {
  uint32_t task;
  uint32_t part;
};

/// Arguments of the kernels that are passes over parameters.
struct Launch {
  const Task* tasks;
  const void* const* gradients;  // one for each task
  const Chunk* chunks;           // one for each thread block
  const Position* position;      // null unless capturable
  SharedValues shared[kMaxShared];
};
static_assert(sizeof(Launch) <= 4096, "ivon: a launch takes at most 4 KiB of arguments");

/// Arguments of the kernel that writes a piece of a table, in words of 4 bytes.
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

/// Arguments of the kernel that counts the samples of each noise domain and the updates of each
/// task.
struct Counting {
  Position* position;  // may be null
  uint64_t draws[2];   // are added to position->draws
  const Task* tasks;   // each task's step is counted and its StepScalars are computed
  int64_t tasks_count;
  SharedValues shared[kMaxShared];
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
