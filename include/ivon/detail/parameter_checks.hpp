// SPDX-License-Identifier: Apache-2.0
// Which tensors an optimizer accepts, and how messages name them.
#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <ivon/kernels/dispatch.hpp>
#include <ivon/version.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// A tensor of the optimizer with its place: what messages say and what numbers its noise.
struct ParameterRef {
  at::Tensor tensor;
  size_t group = 0;
  int64_t index = 0;  // among all distinct tensors in order of the groups, frozen ones included

  /// E.g. "parameter 3 (group 0, shape [10, 5])".
  std::string describe() const {
    std::ostringstream text;
    text << "parameter " << index << " (group " << group;
    if (tensor.defined()) text << ", shape " << tensor.sizes();
    text << ")";
    return text.str();
  }
};

inline void check_parameter(const ParameterRef& ref) {
  const at::Tensor& tensor = ref.tensor;
  TORCH_CHECK(tensor.defined(), "ivon: ", ref.describe(),
              " is an undefined tensor; pass initialised parameters");
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
  TORCH_CHECK(ref.index < kMaxNoiseParameters, "ivon: an optimizer takes at most ",
              kMaxNoiseParameters, " parameters, got more; use several optimizers");
}

/// The stretch of memory from a tensor's first to its last element.
struct MemorySpan {
  const char* begin;
  const char* end;
  const ParameterRef* ref;

  explicit MemorySpan(const ParameterRef& parameter) : ref(&parameter) {
    const at::Tensor& tensor = parameter.tensor;
    int64_t last = 0;
    for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
      last += (tensor.size(dim) - 1) * tensor.stride(dim);
    }
    begin = static_cast<const char*>(tensor.const_data_ptr());
    end = begin + (last + 1) * static_cast<int64_t>(tensor.element_size());
  }
};

/// Whether tensors with overlapping spans share an element: interleaved slices (columns of one
/// matrix) do not.
inline bool share_elements(const MemorySpan& a, const MemorySpan& b) {
  const auto size = static_cast<int64_t>(a.ref->tensor.element_size());
  if (b.ref->tensor.element_size() != a.ref->tensor.element_size()) return true;
  const char* base = std::min(a.begin, b.begin);
  at::Tensor taken = at::zeros({(std::max(a.end, b.end) - base) / size}, at::kByte);
  const auto view = [&](const MemorySpan& span) {
    return taken.as_strided(span.ref->tensor.sizes(), span.ref->tensor.strides(),
                            (span.begin - base) / size);
  };
  view(a).fill_(1);
  return view(b).any().item<bool>();
}

/// Throws where two distinct tensors share an element in memory.
inline void check_overlaps(const std::vector<ParameterRef>& refs) {
  std::vector<MemorySpan> spans;
  for (const ParameterRef& ref : refs) {
    if (ref.tensor.numel() > 0 && !ref.tensor.is_meta()) spans.emplace_back(ref);
  }
  std::sort(spans.begin(), spans.end(),
            [](const MemorySpan& a, const MemorySpan& b) { return a.begin < b.begin; });
  for (size_t i = 0; i < spans.size(); ++i) {
    for (size_t j = i + 1; j < spans.size() && spans[j].begin < spans[i].end; ++j) {
      const ParameterRef* first = spans[i].ref;
      const ParameterRef* second = spans[j].ref;
      if (first->index > second->index) std::swap(first, second);
      TORCH_CHECK(!share_elements(spans[i], spans[j]), "ivon: ", first->describe(), " and ",
                  second->describe(),
                  " are distinct tensors that overlap in memory; pass the one that holds both");
    }
  }
}

/// Throws where state that exists no longer fits its parameter.
inline void check_state_fits(const ParameterRef& ref, const at::Tensor& hess) {
  const at::Tensor& tensor = ref.tensor;
  TORCH_CHECK(hess.sizes() == tensor.sizes(), "ivon: ", ref.describe(),
              " was resized after its state was created with shape ", hess.sizes(),
              "; build a new optimizer");
  TORCH_CHECK(hess.device() == tensor.device() && hess.scalar_type() == state_dtype(tensor),
              "ivon: ", ref.describe(), " moved to ", tensor.device(), " and ",
              tensor.scalar_type(), " after its state was created on ", hess.device(), " in ",
              hess.scalar_type(),
              "; move the model before the first sample, or save() the optimizer, build a new one "
              "and load()");
}

/// The gradient of a parameter, checked against what the update can use.
inline const at::Tensor& checked_gradient(const ParameterRef& ref) {
  const at::Tensor& gradient = ref.tensor.grad();
  TORCH_CHECK(gradient.defined(), "ivon: the gradient of ", ref.describe(),
              " was there when its sample ended and is gone now; call the optimizer's own "
              "zero_grad(), which reads it first, or step() before clearing gradients");
  TORCH_CHECK(gradient.layout() == at::kStrided, "ivon: the gradient of ", ref.describe(),
              " must be dense, got layout ", gradient.layout(),
              "; switch sparse gradients off (EmbeddingOptions::sparse(false))");
  TORCH_CHECK(gradient.sizes() == ref.tensor.sizes() && gradient.device() == ref.tensor.device() &&
                  gradient.scalar_type() == ref.tensor.scalar_type(),
              "ivon: the gradient of ", ref.describe(), " must have the parameter's shape, device ",
              "and dtype, got shape ", gradient.sizes(), " on ", gradient.device(), " in ",
              gradient.scalar_type(), "; assign a matching one");
  return gradient;
}

}  // namespace detail
IVON_NAMESPACE_END
