// SPDX-License-Identifier: Apache-2.0
// Products with the Jacobian of one example's outputs with respect to the parameters of a
// posterior, by backward passes only.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/autograd.h>

#include <cstddef>
#include <cstdint>
#include <ivon/posterior/internal/bound_module.hpp>
#include <ivon/version.hpp>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// While it lives, operations make ordinary tensors and record gradients, whatever mode the caller
/// has set.
struct RecordedTensors {
  c10::InferenceMode no_inference{false};
  at::AutoGradMode record{true};
};

/// While it lives, all parameters of a bound module require gradients. Then those that did not
/// require them before, such as those of a model that is frozen for inference, do not again.
class DifferentiableParameters {
 public:
  explicit DifferentiableParameters(const BoundModule& bound) : DifferentiableParameters() {
    for (const BoundModule::Entry& entry : bound.entries()) {
      if (entry.parameter().requires_grad()) continue;
      entry.parameter().requires_grad_(true);
      frozen_.push_back(entry.parameter());
    }
  }
  ~DifferentiableParameters() {
    for (const at::Tensor& parameter : frozen_) parameter.requires_grad_(false);
  }
  DifferentiableParameters(const DifferentiableParameters&) = delete;
  DifferentiableParameters& operator=(const DifferentiableParameters&) = delete;

 private:
  // The public constructor delegates to this one, so that the destructor also runs if it throws.
  DifferentiableParameters() = default;
  std::vector<at::Tensor> frozen_;
};

/// The Jacobian J [C, P] of the outputs [C] of one example, which carry their graph, at the values
/// that the module shows. With v = 1 / precision, V = J diag(v) J^T [C, C]. Neither J nor V is
/// stored. The fields `grad` of the parameters are not touched.
class OutputJacobian {
 public:
  OutputJacobian(const BoundModule& bound, at::Tensor outputs) : outputs_(std::move(outputs)) {
    TORCH_CHECK(outputs_.requires_grad(),
                "ivon: forward must compute its outputs from the module's parameters with "
                "gradients on, got outputs without a gradient; remove NoGradGuard and detach() "
                "from forward");
    for (const BoundModule::Entry& entry : bound.entries()) {
      parameters_.push_back(entry.parameter());
      precisions_.push_back(entry.precision);
    }
  }

  /// Returns V e as float64 [C] for a vector e [C]. A backward pass gives g(w) = J^T w, which is
  /// linear in w, at w = e. With u = v g(e), the gradient of <g(w), u> with respect to w is J u, so
  /// a second backward pass takes the place of forward-mode differentiation.
  at::Tensor covariance_times(const at::Tensor& e) const {
    const at::Tensor w = e.detach().to(outputs_.scalar_type(), false, /*copy=*/true);
    w.requires_grad_(true);
    std::vector<at::Tensor> reached, scaled;
    const auto gradients =
        torch::autograd::grad({outputs_}, parameters_, {w}, /*retain_graph=*/true,
                              /*create_graph=*/true, /*allow_unused=*/true);
    for (size_t i = 0; i < gradients.size(); ++i) {
      const at::Tensor& g = gradients[i];
      if (!g.defined() || !g.requires_grad()) continue;
      const at::Tensor u = g.detach().to(precisions_[i].scalar_type()) / precisions_[i];
      reached.push_back(g);
      scaled.push_back(u.to(g.scalar_type()));
    }
    if (reached.empty()) return at::zeros_like(w, at::kDouble);
    const at::Tensor product =
        torch::autograd::grad(reached, {w}, scaled, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true)[0];
    return product.defined() ? product.to(at::kDouble) : at::zeros_like(w, at::kDouble);
  }

  /// Returns the diagonal of V as float64 [C], by one backward pass for each output.
  at::Tensor variances() const {
    std::vector<at::Tensor> variances;
    const int64_t count = outputs_.numel();
    for (int64_t k = 0; k < count; ++k) {
      const auto gradients =
          torch::autograd::grad({outputs_.select(0, k)}, parameters_, {},
                                /*retain_graph=*/k + 1 < count, /*create_graph=*/false,
                                /*allow_unused=*/true);
      at::Tensor sum = at::zeros({}, outputs_.options().dtype(at::kDouble));
      for (size_t i = 0; i < gradients.size(); ++i) {
        if (!gradients[i].defined()) continue;
        const at::Tensor g = gradients[i].to(precisions_[i].scalar_type());
        sum = sum + (g.square() / precisions_[i]).sum(at::kDouble).to(sum.device());
      }
      variances.push_back(sum);
    }
    return at::stack(variances);
  }

 private:
  at::Tensor outputs_;
  std::vector<at::Tensor> parameters_, precisions_;
};

}  // namespace detail
IVON_NAMESPACE_END
