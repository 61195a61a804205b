// SPDX-License-Identifier: Apache-2.0
// Splits a block of a task into two parts that packs can pass over: the full rounds, which are used
// in place, and the last elements, which are copied to arrays with room for a whole round. This
// file does not use LibTorch.
#pragma once

#include <cstdint>
#include <cstring>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <type_traits>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr int64_t kRound = 32;  // elements: two packs, one call of NormalBlock::next()

inline int64_t element_bytes(Dtype dtype) {
  return is_half(dtype) ? 2 : dtype == Dtype::kFloat64 ? 8 : 4;
}
inline int64_t state_bytes(Dtype dtype) { return dtype == Dtype::kFloat64 ? 8 : 4; }

// Calls visit(pointer, bytes of an element, whether the array is written) for each array of a task.
template <class Visit>
void visit_arrays(PosteriorArrays& posterior, bool written, Visit&& visit) {
  visit(posterior.mean, element_bytes(posterior.dtype), written);
  visit(posterior.wide_mean, state_bytes(posterior.dtype), written);
  visit(posterior.hess, state_bytes(posterior.dtype), written);
}
template <class Visit>
void visit_arrays(SampleTask& task, Visit&& visit) {
  visit_arrays(task.posterior, false, visit);
  visit(task.theta, element_bytes(task.posterior.dtype), true);
}
template <class Visit>
void visit_arrays(AccumulateTask& task, Visit&& visit) {
  const Dtype dtype = task.posterior.dtype;
  visit_arrays(task.posterior, false, visit);
  visit(task.theta, element_bytes(dtype), false);
  visit(task.gradient, element_bytes(dtype), false);
  visit(task.gradient_sum, state_bytes(dtype), true);
  visit(task.statistic_sum, state_bytes(dtype), true);
}
template <class Visit>
void visit_arrays(UpdateTask& task, Visit&& visit) {
  const Dtype dtype = task.posterior.dtype;
  visit_arrays(task.posterior, true, visit);
  visit(task.momentum, state_bytes(dtype), true);
  visit(task.theta, element_bytes(dtype), false);
  visit(task.gradient, element_bytes(dtype), false);
  visit(task.gradient_sum, state_bytes(dtype), false);
  visit(task.statistic_sum, state_bytes(dtype), false);
}

/// The arrays of an update and of the sample that follows it.
struct StepArrays {
  PosteriorArrays posterior;
  void* momentum;
  void* theta;  // of the sample before, then of the next one
  const void* gradient;
};
template <class Visit>
void visit_arrays(StepArrays& arrays, Visit&& visit) {
  const Dtype dtype = arrays.posterior.dtype;
  visit_arrays(arrays.posterior, true, visit);
  visit(arrays.momentum, state_bytes(dtype), true);
  visit(arrays.theta, element_bytes(dtype), true);
  visit(arrays.gradient, element_bytes(dtype), false);
}

/// Narrows a task to its elements begin ... begin + count - 1.
template <class Task>
void narrow_to(Task& task, int64_t begin, int64_t count) {
  visit_arrays(task, [begin](auto*& array, int64_t bytes, bool /*written*/) {
    using Array = std::remove_reference_t<decltype(array)>;
    using Char =
        std::conditional_t<std::is_const_v<std::remove_pointer_t<Array>>, const char, char>;
    if (array != nullptr) {
      array = reinterpret_cast<Array>(reinterpret_cast<Char*>(array) + begin * bytes);
    }
  });
  task.posterior.count = count;
}

/// The two parts of block `block` of a task. Passes may read and write up to the end of the last
/// round. copy_back() then copies what they wrote to the last elements into the task's arrays.
template <class Task>
class BlockParts {
 public:
  BlockParts(const Task& task, int64_t block) : whole_(task) {
    const int64_t count = block_size(task.posterior.count, block);
    const int64_t rounds = count / kRound * kRound;
    narrow_to(whole_, block * kNoiseBlock, rounds);
    if (rounds < count) copy_rest(count - rounds);
  }
  BlockParts(const BlockParts&) = delete;
  BlockParts& operator=(const BlockParts&) = delete;

  /// Call whole() for the first part, then after() for the next part until it returns null.
  const Task* whole() const { return &whole_; }
  const Task* after(const Task* part) const { return part == &whole_ && rest_ ? &*rest_ : nullptr; }

  void copy_back() const {
    for (int i = 0; i < used_; ++i) {
      if (copies_[i].original != nullptr) {
        std::memcpy(copies_[i].original, room_[i], copies_[i].bytes);
      }
    }
  }

 private:
  struct Copy {
    void* original;  // null if the array is only read
    size_t bytes;
  };

  void copy_rest(int64_t count) {
    rest_ = whole_;
    narrow_to(*rest_, whole_.posterior.count, count);
    visit_arrays(*rest_, [this, count](auto*& array, int64_t element_size, bool written) {
      if (array == nullptr) return;
      char* const room = room_[used_];
      const auto bytes = static_cast<size_t>(count * element_size);
      std::memcpy(room, array, bytes);
      std::memset(room + bytes, 0, static_cast<size_t>(kRound * element_size) - bytes);
      using Array = std::remove_reference_t<decltype(array)>;
      void* original = nullptr;
      if constexpr (!std::is_const_v<std::remove_pointer_t<Array>>) {
        if (written) original = array;
      }
      copies_[used_++] = {original, bytes};
      array = reinterpret_cast<Array>(room);
    });
  }

  Task whole_;
  std::optional<Task> rest_;
  int used_ = 0;
  Copy copies_[8];
  alignas(64) char room_[8][static_cast<size_t>(kRound) * 8];
};

}  // namespace detail
IVON_NAMESPACE_END
