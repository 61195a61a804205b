// SPDX-License-Identifier: Apache-2.0
// A block of a task as two parts that packs can walk: full rounds in place, the last elements in
// arrays with room for a whole round. No LibTorch.
#pragma once

#include <cstdint>
#include <cstring>
#include <ivon/kernels/tasks.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <type_traits>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr int64_t kRound = 32;  // elements: two packs, what one call makes of normals

inline bool is_half(Element element) {
  return element == Element::kBFloat16 || element == Element::kFloat16;
}
inline int64_t element_bytes(Element element) {
  return is_half(element) ? 2 : element == Element::kFloat64 ? 8 : 4;
}
inline int64_t state_bytes(Element element) { return element == Element::kFloat64 ? 8 : 4; }

// The one list of a task's arrays: visit(pointer, bytes of an element, whether it is written).
template <class Visit>
void visit_arrays(PosteriorArrays& posterior, bool written, Visit&& visit) {
  visit(posterior.mean, element_bytes(posterior.element), written);
  visit(posterior.wide_mean, state_bytes(posterior.element), written);
  visit(posterior.hess, state_bytes(posterior.element), written);
}
template <class Visit>
void visit_arrays(SampleTask& task, Visit&& visit) {
  visit_arrays(task.posterior, false, visit);
  visit(task.theta, element_bytes(task.posterior.element), true);
}
template <class Visit>
void visit_arrays(AccumulateTask& task, Visit&& visit) {
  const Element element = task.posterior.element;
  visit_arrays(task.posterior, false, visit);
  visit(task.theta, element_bytes(element), false);
  visit(task.gradient, element_bytes(element), false);
  visit(task.gradient_sum, state_bytes(element), true);
  visit(task.statistic_sum, state_bytes(element), true);
}
template <class Visit>
void visit_arrays(UpdateTask& task, Visit&& visit) {
  const Element element = task.posterior.element;
  visit_arrays(task.posterior, true, visit);
  visit(task.momentum, state_bytes(element), true);
  visit(task.theta, element_bytes(element), false);
  visit(task.gradient, element_bytes(element), false);
  visit(task.gradient_sum, state_bytes(element), false);
  visit(task.statistic_sum, state_bytes(element), false);
}

/// Makes a task one of its elements begin ... begin + count - 1 only.
template <class Task>
void narrow_to(Task& task, int64_t begin, int64_t count) {
  visit_arrays(task, [begin](auto*& array, int64_t bytes, bool /*written*/) {
    using Array = std::remove_reference_t<decltype(array)>;
    using Byte =
        std::conditional_t<std::is_const_v<std::remove_pointer_t<Array>>, const char, char>;
    if (array != nullptr) {
      array = reinterpret_cast<Array>(reinterpret_cast<Byte*>(array) + begin * bytes);
    }
  });
  task.posterior.count = count;
}

/// Block `block` of a task. Passes may read and write up to the next full round. What they write to
/// the rest reaches the task's arrays by copy_back().
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

  /// To walk the parts: whole(), then after() until it is null.
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
    void* original;  // null: only read
    size_t bytes;
  };

  void copy_rest(int64_t count) {
    rest_ = whole_;
    narrow_to(*rest_, whole_.posterior.count, count);
    visit_arrays(*rest_, [this, count](auto*& array, int64_t element_size, bool written) {
      if (array == nullptr) return;
      char* const room = room_[used_];
      const auto bytes = static_cast<size_t>(count * element_size);
      std::memset(room, 0, sizeof(room_[0]));
      std::memcpy(room, array, bytes);
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
