// SPDX-License-Identifier: Apache-2.0
// A linear layer that can carry a low-rank adapter (LoRA: Hu et al. 2021, arXiv 2106.09685).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

namespace examples {

// y = x W' + b, and with an adapter y = x W' + b + scale (x A') B'.
struct Projection : torch::nn::Module {
  // The weight is not initialised; the bias is 0.
  Projection(int64_t inputs, int64_t outputs);

  // x [..., inputs] -> [..., outputs]
  torch::Tensor forward(const torch::Tensor& x) const;

  // Adds an adapter of that rank, A from LoRA's usual initial distribution (Kaiming uniform,
  // a = sqrt(5)), B zero, so that outputs stay as they are. Its device and type are the weight's.
  // A is drawn from `generator`, a generator of the CPU, or without one from the CPU's default.
  // Throws std::invalid_argument unless 1 <= rank <= both sizes, std::logic_error if there is one.
  void add_adapter(int64_t rank, double adapter_scale,
                   const std::optional<at::Generator>& generator = {});

  bool has_adapter() const { return lora_a.defined(); }

  // W + scale B A, [outputs, inputs]: the weight with which a layer without adapter does the same.
  // The weight itself where there is no adapter.
  torch::Tensor merged_weight() const;

  torch::Tensor weight;  // [outputs, inputs]
  torch::Tensor bias;    // [outputs]
  torch::Tensor lora_a;  // [rank, inputs]; undefined without an adapter
  torch::Tensor lora_b;  // [outputs, rank]
  double scale = 0;      // of the adapter
};

}  // namespace examples
