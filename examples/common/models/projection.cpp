// SPDX-License-Identifier: Apache-2.0
#include "common/models/projection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "common/models/fast_linear.hpp"

namespace examples {

Projection::Projection(int64_t inputs, int64_t outputs)
    : weight(register_parameter("weight", torch::empty({outputs, inputs}))),
      bias(register_parameter("bias", torch::zeros({outputs}))) {}

torch::Tensor Projection::forward(const torch::Tensor& x) const {
  const torch::Tensor y = fast_linear(x, weight, bias);  // [..., outputs]
  if (!has_adapter()) return y;
  return at::add(y, at::linear(at::linear(x, lora_a), lora_b), scale);
}

void Projection::add_adapter(int64_t rank, double adapter_scale,
                             const std::optional<at::Generator>& generator) {
  if (has_adapter()) {
    throw std::logic_error(
        "projection: a layer can carry one adapter, but this one has one already; merge it first");
  }
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  if (rank < 1 || rank > std::min(inputs, outputs)) {
    throw std::invalid_argument(fmt::format(
        "projection: the rank of an adapter for {} inputs and {} outputs must be 1 to {}, but is "
        "{}; choose another rank",
        inputs, outputs, std::min(inputs, outputs), rank));
  }
  // The bound of Kaiming's uniform distribution with a = sqrt(5): sqrt(6 / (1 + a^2) / inputs).
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  // Drawn on the CPU, so that a seed means the same values on every device.
  const torch::Tensor a = torch::empty({rank, inputs}).uniform_(-bound, bound, generator);
  lora_a = register_parameter("lora_a", a.to(weight.options()));
  lora_b = register_parameter("lora_b", torch::zeros({outputs, rank}, weight.options()));
  scale = adapter_scale;
}

torch::Tensor Projection::merged_weight() const {
  return has_adapter() ? weight + scale * at::mm(lora_b, lora_a) : weight;
}

}  // namespace examples
