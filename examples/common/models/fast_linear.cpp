// SPDX-License-Identifier: Apache-2.0
#include "common/models/fast_linear.hpp"

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>

#include <optional>

namespace examples {
namespace {

using torch::Tensor;

// LibTorch's operator for compiled graphs, which takes ordinary tensors and has no gradient. It
// also applies an activation: `attr` names it, "none" here.
using OneDnnLinear = Tensor(const Tensor& x, const Tensor& weight,
                            const std::optional<Tensor>& bias, c10::string_view attr,
                            c10::List<std::optional<at::Scalar>> scalars,
                            std::optional<c10::string_view> algorithm);

const std::optional<c10::TypedOperatorHandle<OneDnnLinear>>& one_dnn_linear() {
  static const auto found = []() -> std::optional<c10::TypedOperatorHandle<OneDnnLinear>> {
    const auto handle = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!handle || !handle->hasKernelForDispatchKey(c10::DispatchKey::CPU)) return {};
    try {
      return handle->typed<OneDnnLinear>();
    } catch (const c10::Error&) {
      return {};  // the operator of this LibTorch has other arguments
    }
  }();
  return found;
}

// x weight' + bias
Tensor product(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  return one_dnn_linear()->call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(),
                                "");
}

struct FastLinear : torch::autograd::Function<FastLinear> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const Tensor& weight, const std::optional<Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();
    return product(x, weight, bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &gradient = gradients[0];
    // A gradient of a gradient needs operators that have one.
    const bool plain = torch::GradMode::is_enabled();
    const auto multiply = [plain](const Tensor& a, const Tensor& b) {
      return plain ? at::mm(a, b.t()) : product(a, b, {});
    };
    Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = multiply(gradient, weight.t());
    if (context->needs_input_grad(1)) of_weight = multiply(gradient.t(), x.t());
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) {
      of_bias = gradient.sum(0);
    }
    return {of_x, of_weight, of_bias};
  }
};

// Below this size, what oneDNN needs to begin a product, some ten microseconds, costs more than it
// saves. The size at which the times are equal hardly depends on the number of rows.
constexpr int64_t kLeastProducts = 1'000'000;

bool is_large(const Tensor& x, const Tensor& weight) {
  return x.dim() == 2 && x.size(0) * weight.numel() >= kLeastProducts;
}

bool one_dnn_takes(const Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat;
}

}  // namespace

Tensor fast_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (one_dnn_takes(x) && one_dnn_takes(weight) && is_large(x, weight) &&
      !at::autocast::is_autocast_enabled(at::kCPU) && one_dnn_linear()) {
    return FastLinear::apply(x, weight,
                             bias.defined() ? std::optional<Tensor>(bias) : std::nullopt);
  }
  return at::linear(x, weight, bias);
}

}  // namespace examples
