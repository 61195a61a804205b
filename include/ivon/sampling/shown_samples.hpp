// SPDX-License-Identifier: Apache-2.0
// The list of all parameters of this process that show a sample now, with which an optimizer
// notices that another optimizer shows a sample in one of its parameters.
//
// All libraries of a process share one list, also those that are built with another version of ivon
// or with hidden visibility. So the types of the list are outside ivon's versioned namespace, and
// their layout never changes. A new layout must get new names.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ivon/sampling/parameter_checks.hpp>
#include <ivon/version.hpp>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#if defined(__GNUC__)
#define IVON_DETAIL_SHARED __attribute__((visibility("default")))
#else
#define IVON_DETAIL_SHARED
#endif

namespace ivon_process {

/// The bytes of a storage from the first to the last element of one tensor.
struct IVON_DETAIL_SHARED Span1 {
  const void* storage;  // c10::StorageImpl
  uint64_t begin;
  uint64_t end;
};

/// The tensors in which one optimizer shows samples.
struct IVON_DETAIL_SHARED Shown1 {
  const void* owner;  // identifies the optimizer
  Span1* spans;
  uint64_t count;
  uint64_t sorted;    // 1: spans are sorted by storage and begin, and none touches the next
  uint64_t resident;  // 1: shown by sample_on_step; 0: shown by a scope
  Shown1* next;
};

struct IVON_DETAIL_SHARED ShownList1 {
  std::atomic<uint32_t> locked;
  std::atomic<uint32_t> entries;
  Shown1* first;
};

/// Its destructor does nothing, so optimizers of static storage duration may use it until they end.
inline IVON_DETAIL_SHARED ShownList1 shown_list_1{};

}  // namespace ivon_process

IVON_NAMESPACE_BEGIN
namespace detail {

/// Locks the list. The list is locked for short times only, so a waiting thread spins.
class ShownListLock {
 public:
  ShownListLock() {
    while (list().locked.exchange(1, std::memory_order_acquire) != 0) std::this_thread::yield();
  }
  ~ShownListLock() { list().locked.store(0, std::memory_order_release); }
  ShownListLock(const ShownListLock&) = delete;
  ShownListLock& operator=(const ShownListLock&) = delete;

  static ivon_process::ShownList1& list() { return ivon_process::shown_list_1; }
};

inline ivon_process::Span1 storage_span(const at::Tensor& tensor) {
  const auto size = static_cast<int64_t>(tensor.element_size());
  const int64_t begin = tensor.storage_offset() * size;
  const int64_t end = tensor.numel() == 0 ? begin : begin + (last_element(tensor) + 1) * size;
  return {tensor.storage().unsafeGetStorageImpl(), static_cast<uint64_t>(begin),
          static_cast<uint64_t>(end)};
}

/// The entry in the list of the tensors that one optimizer shows by a scope, or as its resident
/// sample. Tensors of two optimizers that interleave in one storage without sharing an element,
/// such as the columns of a matrix, count as shared.
class ShownSamples {
 public:
  ShownSamples(const void* owner, bool resident) {
    entry_.owner = owner;
    entry_.resident = resident ? 1 : 0;
  }
  ~ShownSamples() { withdraw(); }
  ShownSamples(const ShownSamples&) = delete;
  ShownSamples& operator=(const ShownSamples&) = delete;

  bool published() const { return published_; }

  /// Enters tensors into the list, in place of those that this object entered before. parameter(i)
  /// returns the i-th of `count` ParameterRefs. Throws, and changes nothing, if another optimizer
  /// shows a sample in one of them.
  template <class Parameter>
  void publish(size_t count, const Parameter& parameter) {
    fill(next_spans_, count, parameter);
    Conflict conflict;
    {
      const ShownListLock lock;
      conflict = find(entry_.owner, next_spans_);
      if (!conflict) {
        std::swap(spans_, next_spans_);
        enter();
      }
    }
    if (conflict) refuse(conflict, parameter(conflict.which));
  }

  void withdraw() noexcept {
    if (!published_) return;
    const ShownListLock lock;
    auto& list = ShownListLock::list();
    for (ivon_process::Shown1** link = &list.first; *link != nullptr; link = &(*link)->next) {
      if (*link != &entry_) continue;
      *link = entry_.next;
      --list.entries;
      break;
    }
    published_ = false;
  }

  /// Throws if an optimizer other than `owner` shows a sample in one of the parameters. `own` is
  /// the number of list entries of `owner`. If the list has no other entries, it need not be
  /// locked.
  template <class Parameter>
  static void refuse_shown_elsewhere(const void* owner, uint32_t own, size_t count,
                                     const Parameter& parameter) {
    if (ShownListLock::list().entries.load(std::memory_order_acquire) == own) return;
    std::vector<ivon_process::Span1> asked;
    fill(asked, count, parameter);
    Conflict conflict;
    {
      const ShownListLock lock;
      conflict = find(owner, asked);
    }
    if (conflict) refuse(conflict, parameter(conflict.which));
  }

 private:
  /// The first parameter in which another optimizer shows a sample, if there is one.
  struct Conflict {
    bool found = false;
    bool resident = false;
    size_t which = 0;
    explicit operator bool() const { return found; }
  };

  template <class Parameter>
  static void fill(std::vector<ivon_process::Span1>& spans, size_t count,
                   const Parameter& parameter) {
    spans.clear();
    spans.reserve(count);
    for (size_t i = 0; i < count; ++i) spans.push_back(storage_span(parameter(i).tensor));
  }

  static bool precedes(const ivon_process::Span1& a, const ivon_process::Span1& b) {
    return std::tie(a.storage, a.begin) < std::tie(b.storage, b.begin);
  }

  /// Sorts the spans of an entry and merges those that touch, so that a binary search has to look
  /// at one span only. The first optimizer that searches the entry calls it, because most entries
  /// are never searched. The list must be locked.
  static void sort(ivon_process::Shown1& entry) {
    auto* const spans = entry.spans;
    std::sort(spans, spans + entry.count, precedes);
    size_t kept = 0;
    for (size_t i = 0; i < entry.count; ++i) {
      const ivon_process::Span1 span = spans[i];
      if (span.begin == span.end) continue;
      if (kept > 0 && spans[kept - 1].storage == span.storage &&
          spans[kept - 1].end >= span.begin) {
        spans[kept - 1].end = std::max(spans[kept - 1].end, span.end);
      } else {
        spans[kept++] = span;
      }
    }
    entry.count = kept;
    entry.sorted = 1;
  }

  // The list must be locked.
  static Conflict find(const void* owner, const std::vector<ivon_process::Span1>& asked) {
    for (auto* entry = ShownListLock::list().first; entry != nullptr; entry = entry->next) {
      if (entry->owner == owner) continue;
      if (entry->sorted == 0) sort(*entry);
      for (size_t i = 0; i < asked.size(); ++i) {
        if (overlaps(*entry, asked[i])) return {true, entry->resident != 0, i};
      }
    }
    return {};
  }
  static bool overlaps(const ivon_process::Shown1& entry, const ivon_process::Span1& span) {
    const auto* after = std::lower_bound(entry.spans, entry.spans + entry.count,
                                         ivon_process::Span1{span.storage, span.end, 0}, precedes);
    return after != entry.spans && (after - 1)->storage == span.storage &&
           (after - 1)->end > span.begin && span.begin < span.end;
  }

  [[noreturn]] static void refuse(const Conflict& conflict, const ParameterRef& ref) {
    C10_THROW_ERROR(
        Error,
        c10::str("ivon: ", ref.describe(),
                 " must hold its own value, but it shows a sample of another optimizer",
                 conflict.resident
                     ? " (sample_on_step); call that one's eval() or destroy it first. Two "
                       "optimizers with sample_on_step cannot train one parameter: list it in one"
                     : "; end the scope of that one's sampled_params() first"));
  }

  // The list must be locked.
  void enter() {
    entry_.spans = spans_.data();
    entry_.count = spans_.size();
    entry_.sorted = 0;
    if (published_) return;
    auto& list = ShownListLock::list();
    entry_.next = list.first;
    list.first = &entry_;
    ++list.entries;
    published_ = true;
  }

  ivon_process::Shown1 entry_{};
  std::vector<ivon_process::Span1> spans_;
  std::vector<ivon_process::Span1> next_spans_;  // a member, so that its memory is used again
  bool published_ = false;
};

}  // namespace detail
IVON_NAMESPACE_END
