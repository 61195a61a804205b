// SPDX-License-Identifier: Apache-2.0
// Checks whether an optimizer can accept a tensor as a parameter, and names parameters in error
// messages.
#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <ivon/dispatch/tensors.hpp>
#include <ivon/sampling/work_count.hpp>
#include <ivon/version.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// A parameter tensor and its position in the optimizer's groups. Error messages print the
/// position. `index` also is part of the key from which the parameter's noise is drawn.
struct ParameterRef {
  at::Tensor tensor;
  size_t group = 0;
  int64_t index = 0;    // among all distinct tensors in order of the groups, frozen ones included
  size_t position = 0;  // in the group's params()

  /// Returns for instance "parameter 3 (group 0, shape [10, 5])".
  std::string describe() const {
    std::ostringstream text;
    text << "parameter " << index << " (group " << group;
    if (tensor.defined()) text << ", shape " << tensor.sizes();
    text << ")";
    return text.str();
  }
};

/// Throws if the tensor is a lazily negated view, such as the imaginary part of a conjugate,
/// because the memory of such a tensor does not hold its values.
inline void check_not_negated(const ParameterRef& ref) {
  TORCH_CHECK(!ref.tensor.is_neg(), "ivon: ", ref.describe(),
              " must hold its own values, but it is a negated view (is_neg()); pass resolve_neg() "
              "of it");
}

/// Throws if an optimizer cannot take this tensor as a parameter. The tensor must be defined.
inline void check_parameter(const ParameterRef& ref) {
  const at::Tensor& tensor = ref.tensor;
  TORCH_CHECK(tensor.layout() == at::kStrided, "ivon: ", ref.describe(),
              " must be dense, got layout ", tensor.layout(),
              "; keep sparse parameters with another optimizer");
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble || is_half(dtype),
              "ivon: ", ref.describe(), " must be float32, float64, bfloat16 or float16, got ",
              dtype, "; leave it out of the optimizer");
  TORCH_CHECK(tensor.is_leaf(), "ivon: ", ref.describe(),
              " must be a leaf, but it is the result of an operation; pass the tensor it was made "
              "from, or detach() it and call requires_grad_()");
  TORCH_CHECK(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, "ivon: ", ref.describe(),
              " must have a memory location for each element, got strides ", tensor.strides(),
              "; clone() it");
  TORCH_CHECK(tensor.has_storage() && !tensor._is_zerotensor(), "ivon: ", ref.describe(),
              " must have memory of its own, but it is a tensor without storage; clone() it");
  check_not_negated(ref);
  TORCH_CHECK(ref.index < kMaxNoiseParameters, "ivon: an optimizer takes at most ",
              kMaxNoiseParameters, " parameters, got more; use several optimizers");
}

/// Returns the distance in memory, in elements, from a tensor's first to its last element.
inline int64_t last_element(const at::Tensor& tensor) {
  if (tensor.is_non_overlapping_and_dense()) return tensor.numel() - 1;
  int64_t last = 0;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    last += (tensor.size(dim) - 1) * tensor.stride(dim);
  }
  return last;
}

/// The stretch of memory from a tensor's first to its last element.
struct MemorySpan {
  const char* begin;
  const char* end;
  const ParameterRef* ref;

  explicit MemorySpan(const ParameterRef& parameter) : ref(&parameter) {
    const at::Tensor& tensor = parameter.tensor;
    begin = static_cast<const char*>(tensor.const_data_ptr());
    end = begin + (last_element(tensor) + 1) * static_cast<int64_t>(tensor.element_size());
  }
};

/// Marks the bytes of a stretch of memory that belong to some tensor, to find tensors that share
/// bytes.
class TakenBytes {
 public:
  TakenBytes(const char* begin, const char* end)
      : begin_(begin), taken_(at::zeros({end - begin}, at::kByte)) {}

  /// Marks the bytes of a tensor's elements and returns true. If one of them is marked already, it
  /// marks nothing and returns false.
  bool take(const MemorySpan& span) {
    const at::Tensor& tensor = span.ref->tensor;
    const auto size = static_cast<int64_t>(tensor.element_size());
    std::vector<int64_t> sizes = tensor.sizes().vec();
    std::vector<int64_t> strides = tensor.strides().vec();
    for (int64_t& stride : strides) stride *= size;
    sizes.push_back(size);
    strides.push_back(1);
    const at::Tensor bytes = taken_.as_strided(sizes, strides, span.begin - begin_);
    if (bytes.any().item<bool>()) return false;
    bytes.fill_(1);
    return true;
  }

 private:
  const char* begin_;
  at::Tensor taken_;
};

[[noreturn]] inline void refuse_overlap(const ParameterRef* first, const ParameterRef* second) {
  if (first->index > second->index) std::swap(first, second);
  TORCH_CHECK(false, "ivon: ", first->describe(), " and ", second->describe(),
              " are distinct tensors that overlap in memory; pass the one that holds both");
}

/// Throws if two distinct tensors share an element in memory. Slices that interleave without
/// sharing an element, such as the columns of one matrix, are allowed. The time is that of sorting
/// the tensors and of visiting each element once where the spans of tensors overlap.
inline void check_overlaps(const std::vector<ParameterRef>& refs) {
  std::vector<MemorySpan> spans;
  spans.reserve(refs.size());
  for (const ParameterRef& ref : refs) {
    if (ref.tensor.numel() > 0 && !ref.tensor.is_meta()) spans.emplace_back(ref);
  }
  std::sort(spans.begin(), spans.end(),
            [](const MemorySpan& a, const MemorySpan& b) { return a.begin < b.begin; });
  for (size_t first = 0, last = 0; first < spans.size(); first = last) {
    const char* end = spans[first].end;
    for (last = first + 1; last < spans.size() && spans[last].begin < end; ++last) {
      end = std::max(end, spans[last].end);
    }
    if (last - first == 1) continue;
    TakenBytes all(spans[first].begin, end);
    for (size_t i = first; i < last; ++i) {
      IVON_DETAIL_COUNT(1);
      if (all.take(spans[i])) continue;
      for (size_t j = first; j < i; ++j) {  // finds the tensor that shares memory with spans[i]
        TakenBytes one(spans[first].begin, end);
        one.take(spans[j]);
        if (!one.take(spans[i])) refuse_overlap(spans[j].ref, spans[i].ref);
      }
    }
  }
}

[[noreturn]] inline void refuse_written_state(const ParameterRef& ref) {
  TORCH_CHECK(false, "ivon: the state of ", ref.describe(),
              " must hold tensors of one shape, dtype and device, but was changed from outside; "
              "build a new optimizer");
}

/// Throws if a tensor of a parameter's state does not have the shape, dtype and device of `hess`.
inline void check_state_tensor(const ParameterRef& ref, const at::Tensor& hess,
                               const at::Tensor& other) {
  if (!other.defined() || other.sizes() != hess.sizes() || other.device() != hess.device() ||
      other.scalar_type() != hess.scalar_type()) {
    refuse_written_state(ref);
  }
}

/// Throws if the parameter's shape, dtype or device no longer fit its state. `wide_mean` is defined
/// if the parameter was bfloat16 or float16 when its state was created.
inline void check_state_fits(const ParameterRef& ref, const at::Tensor& hess,
                             const at::Tensor& wide_mean) {
  const at::Tensor& tensor = ref.tensor;
  if (!hess.defined()) refuse_written_state(ref);
  if (wide_mean.defined()) check_state_tensor(ref, hess, wide_mean);
  TORCH_CHECK(hess.sizes() == tensor.sizes(), "ivon: ", ref.describe(),
              " was resized after its state was created with shape ", hess.sizes(),
              "; build a new optimizer");
  TORCH_CHECK(hess.scalar_type() == state_dtype(tensor) &&
                  wide_mean.defined() == is_half(tensor.scalar_type()),
              "ivon: ", ref.describe(), " was converted to ", tensor.scalar_type(),
              " after its state was created for ",
              wide_mean.defined() ? "bfloat16 or float16" : c10::toString(hess.scalar_type()),
              "; convert the model before the first sample (with sample_on_step: before the "
              "optimizer is built), or build a new optimizer");
  TORCH_CHECK(hess.device() == tensor.device(), "ivon: ", ref.describe(), " moved to ",
              tensor.device(), " after its state was created on ", hess.device(),
              "; move the model before the first sample (with sample_on_step: before the optimizer "
              "is built), or save() the optimizer, build a new one and load()");
}

}  // namespace detail
IVON_NAMESPACE_END
