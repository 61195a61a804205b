// SPDX-License-Identifier: Apache-2.0
#include "common/models/vit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples {

// This is not an unnamed namespace, because VisionTransformerEncoder, which the header declares,
// has members of these types.
namespace vit_parts {

using torch::Tensor;

torch::nn::LayerNorm layer_norm(int64_t width) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-6));
}

void check_vit_multiple(const char* what, int64_t value, const char* of_what, int64_t of) {
  if (value > 0 && of > 0 && value % of == 0) return;
  if (of <= 0) {
    throw std::invalid_argument(
        fmt::format("vision transformer: {} must be at least 1, but is {}; choose one that divides "
                    "{}, {}",
                    of_what, of, what, value));
  }
  throw std::invalid_argument(
      fmt::format("vision transformer: {} must be a positive multiple of {}, {}, but is {}; choose "
                  "{} or another multiple",
                  what, of_what, of, value, (std::max<int64_t>(value, 0) / of + 1) * of));
}

struct ViTAttention : torch::nn::Module {
  explicit ViTAttention(const ViTOptions& o)
      : heads(o.heads),
        in_proj_weight(register_parameter("in_proj_weight", torch::empty({3 * o.width, o.width}))),
        in_proj_bias(register_parameter("in_proj_bias", torch::zeros(3 * o.width))),
        out_proj(register_module("out_proj", torch::nn::Linear(o.width, o.width))) {
    torch::nn::init::xavier_uniform_(in_proj_weight);
    torch::nn::init::zeros_(out_proj->bias);
  }

  // x [n, tokens, width] -> the same shape
  Tensor forward(const Tensor& x) {
    const int64_t n = x.size(0), tokens = x.size(1), width = x.size(2);
    // Queries, keys and values: [3, n, heads, tokens, width / heads].
    const Tensor qkv = torch::linear(x, in_proj_weight, in_proj_bias)
                           .view({n, tokens, 3, heads, width / heads})
                           .permute({2, 0, 3, 1, 4});
    const Tensor y = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
    return out_proj->forward(y.transpose(1, 2).reshape({n, tokens, width}));
  }

  int64_t heads;
  Tensor in_proj_weight, in_proj_bias;  // [3 width, width], [3 width]
  torch::nn::Linear out_proj;
};

// torchvision counts activation and dropout, so the linear layers are "0" and "3".
struct ViTMlp : torch::nn::Module {
  explicit ViTMlp(const ViTOptions& o)
      : first(register_module("0", torch::nn::Linear(o.width, o.mlp))),
        second(register_module("3", torch::nn::Linear(o.mlp, o.width))) {
    for (const auto& linear : {first, second}) {
      torch::nn::init::xavier_uniform_(linear->weight);
      torch::nn::init::normal_(linear->bias, 0, 1e-6);
    }
  }

  torch::nn::Linear first, second;
};

struct ViTLayer : torch::nn::Module {
  explicit ViTLayer(const ViTOptions& o)
      : dropout(o.dropout),
        ln_1(register_module("ln_1", layer_norm(o.width))),
        attention(register_module("self_attention", std::make_shared<ViTAttention>(o))),
        ln_2(register_module("ln_2", layer_norm(o.width))),
        mlp(register_module("mlp", std::make_shared<ViTMlp>(o))) {}

  // x [n, tokens, width] -> the same shape
  Tensor forward(const Tensor& x) {
    const Tensor y = x + dropped(attention->forward(ln_1->forward(x)));
    const Tensor hidden = dropped(torch::gelu(mlp->first->forward(ln_2->forward(y))));
    return y + dropped(mlp->second->forward(hidden));
  }

  Tensor dropped(const Tensor& x) const {
    return dropout > 0 ? torch::dropout(x, dropout, is_training()) : x;
  }

  double dropout;
  torch::nn::LayerNorm ln_1;
  std::shared_ptr<ViTAttention> attention;
  torch::nn::LayerNorm ln_2;
  std::shared_ptr<ViTMlp> mlp;
};

}  // namespace vit_parts

using namespace vit_parts;

struct VisionTransformerEncoder : torch::nn::Module {
  VisionTransformerEncoder(const ViTOptions& o, int64_t tokens)
      : dropout(o.dropout),
        pos_embedding(register_parameter("pos_embedding",
                                         torch::empty({1, tokens, o.width}).normal_(0, 0.02))) {
    const auto all = register_module("layers", std::make_shared<torch::nn::Module>());
    for (int64_t i = 0; i < o.layers; ++i) {
      layers.push_back(all->register_module("encoder_layer_" + std::to_string(i),
                                            std::make_shared<ViTLayer>(o)));
    }
    ln = register_module("ln", layer_norm(o.width));
  }

  // x [n, tokens, width] -> the first token [n, width]
  Tensor forward(const Tensor& tokens) {
    Tensor x = tokens + pos_embedding;
    if (dropout > 0) x = torch::dropout(x, dropout, is_training());
    for (const auto& layer : layers) x = layer->forward(x);
    return ln->forward(x.select(1, 0));
  }

  double dropout;
  Tensor pos_embedding;  // [1, tokens, width]
  std::vector<std::shared_ptr<ViTLayer>> layers;
  torch::nn::LayerNorm ln{nullptr};
};

VisionTransformer::VisionTransformer(const ViTOptions& o) : side_(o.side) {
  check_vit_multiple("the side of the images", o.side, "the side of a patch", o.patch);
  check_vit_multiple("the width", o.width, "the number of heads", o.heads);
  const int64_t along = o.side / o.patch;
  class_token_ = register_parameter("class_token", torch::zeros({1, 1, o.width}));
  conv_proj_ = register_module(
      "conv_proj",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(o.channels, o.width, o.patch).stride(o.patch)));
  const auto fan_in = static_cast<double>(o.channels * o.patch * o.patch);
  torch::nn::init::normal_(conv_proj_->weight, 0, std::sqrt(1 / fan_in));
  torch::nn::init::zeros_(conv_proj_->bias);
  encoder_ =
      register_module("encoder", std::make_shared<VisionTransformerEncoder>(o, along * along + 1));
  const auto heads = register_module("heads", std::make_shared<torch::nn::Module>());
  head_ = heads->register_module("head", torch::nn::Linear(o.width, o.classes));
  torch::nn::init::zeros_(head_->weight);
  torch::nn::init::zeros_(head_->bias);
}

torch::Tensor VisionTransformer::forward(const torch::Tensor& images) {
  if (images.dim() != 4 || images.size(2) != side_ || images.size(3) != side_) {
    throw std::invalid_argument(fmt::format(
        "vision transformer: the images must be [n, channels, {0}, {0}], but have {1} dimensions "
        "with the last {2}; resize them or build the model for their side",
        side_, images.dim(), images.dim() > 0 ? images.size(-1) : 0));
  }
  const torch::Tensor patches = conv_proj_->forward(images).flatten(2).transpose(1, 2);
  const torch::Tensor first =
      class_token_.expand({images.size(0), -1, -1}).to(patches.scalar_type());
  return head_->forward(encoder_->forward(torch::cat({first, patches}, 1)));
}

}  // namespace examples
