// SPDX-License-Identifier: Apache-2.0
#include "common/models/filter_response_norm.hpp"

namespace examples {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kFrnEpsilon = 1e-6;

// The type of sums over activations.
torch::ScalarType sum_type(const Tensor& x) {
  return x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
}

// [channels] -> [1, channels, 1, 1] in the type of sums over x
Tensor per_channel(const Tensor& values, const Tensor& x) {
  return values.view({1, -1, 1, 1}).to(sum_type(x));
}

// [n, channels, 1, 1] -> [channels] in the type of the parameter `like`
Tensor sum_of_examples(const Tensor& values, const Tensor& like) {
  return values.sum(torch::IntArrayRef{0, 2, 3}).to(like.scalar_type());
}

// Passes over the activations. Forward: x is read for the norms; x is read and y written.
// Backward: dy is read for beta; dy and x are read and their product written, and that read for the
// sums; dy is read and dx written; dx and x are read and dx written.
struct NormalizeResponses : torch::autograd::Function<NormalizeResponses> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& gamma,
                        const Tensor& beta) {
    const auto pixels = static_cast<double>(x.size(2) * x.size(3));
    // [n, channels, 1, 1]: 1 / sqrt(nu + epsilon)
    const Tensor inverse = at::linalg_vector_norm(x, 2, {2, 3}, /*keepdim=*/true, sum_type(x))
                               .square_()
                               .div_(pixels)
                               .add_(kFrnEpsilon)
                               .rsqrt_();
    context->save_for_backward({x, gamma, beta, inverse});
    const Tensor scale = (per_channel(gamma, x) * inverse).to(x.scalar_type());
    return at::addcmul(per_channel(beta, x).to(x.scalar_type()), x, scale);
  }

  // With r = 1 / sqrt(nu + epsilon) and s = the sum of dy x over the pixels:
  // dgamma = sum of r s, dx = gamma r dy - (gamma r^3 s / pixels) x.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &gamma = saved[1], &beta = saved[2], &inverse = saved[3];
    const Tensor& dy = gradients[0];
    const auto pixels = static_cast<double>(x.size(2) * x.size(3));
    const Tensor dot = (dy * x).sum({2, 3}, /*keepdim=*/true, sum_type(x));  // [n, channels, 1, 1]
    const Tensor dbeta = dy.sum({0, 2, 3}, /*keepdim=*/false, sum_type(x));
    Tensor dx;
    if (context->needs_input_grad(0)) {
      const Tensor scale = per_channel(gamma, x) * inverse;
      const Tensor pull = scale * inverse.square() * dot / pixels;
      dx = (dy * scale.to(x.scalar_type())).addcmul_(x, pull.to(x.scalar_type()), -1);
    }
    return {dx, sum_of_examples(inverse * dot, gamma), dbeta.to(beta.scalar_type())};
  }
};

// Passes over the activations. Forward: y is read and written. Backward: the result is read and a
// mask of bytes written; dz and the mask are read and dy written; dz and dy are read for tau.
struct TakeThreshold : torch::autograd::Function<TakeThreshold> {
  static Tensor forward(AutogradContext* context, Tensor y, const Tensor& tau) {
    context->mark_dirty({y});
    y.clamp_min_(per_channel(tau, y).to(y.scalar_type()));
    context->save_for_backward({y, tau});
    return y;
  }

  // Where y was at or below the threshold, the gradient belongs to tau.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &z = saved[0], &tau = saved[1], &dz = gradients[0];
    const Tensor above = z > per_channel(tau, z).to(z.scalar_type());
    const Tensor dy = dz * above;
    const Tensor all = dz.sum({0, 2, 3}, /*keepdim=*/false, sum_type(z));
    const Tensor passed = dy.sum({0, 2, 3}, /*keepdim=*/false, sum_type(z));
    return {dy, (all - passed).to(tau.scalar_type())};
  }
};

}  // namespace

FilterResponseNormImpl::FilterResponseNormImpl(int64_t channels)
    : gamma(register_parameter("gamma", torch::ones(channels))),
      beta(register_parameter("beta", torch::zeros(channels))) {}

Tensor FilterResponseNormImpl::forward(const Tensor& x) {
  return NormalizeResponses::apply(x, gamma, beta);
}

ThresholdedLinearUnitImpl::ThresholdedLinearUnitImpl(int64_t channels)
    : tau(register_parameter("tau", torch::zeros(channels))) {}

Tensor ThresholdedLinearUnitImpl::forward(const Tensor& y) { return TakeThreshold::apply(y, tau); }

}  // namespace examples
