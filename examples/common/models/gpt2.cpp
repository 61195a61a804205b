// SPDX-License-Identifier: Apache-2.0
// Inside the model the tokens of all sequences are the rows of one matrix [n t, width], which saves
// a view at every projection.
#include "common/models/gpt2.hpp"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "common/activation_checkpoint.hpp"
#include "common/models/fast_linear.hpp"

namespace examples {

// This is not an unnamed namespace, because Gpt2Layer, which the header declares, has members of
// these types.
namespace gpt2_parts {

using torch::Tensor;

constexpr double kLayerNormEpsilon = 1e-5;
constexpr double kDeviation = 0.02;  // of the initial weights

Tensor layer_norm(const Tensor& x, const torch::nn::LayerNorm& norm) {
  return at::layer_norm(x, {x.size(-1)}, norm->weight, norm->bias, kLayerNormEpsilon);
}

Tensor dropped(const Tensor& x, double dropout) {
  return dropout > 0 ? at::dropout(x, dropout, /*train=*/true) : x;
}

// Where a layer finds the keys and values of the tokens before, and puts those of the new ones.
struct LayerCache {
  Tensor keys, values;  // [n, heads, context, width / heads], the first `tokens` are filled
  int64_t tokens;
};

// The attention of t new tokens to themselves and to those of the cache, to which it adds k and v.
// q, k, v [n, heads, t, size] -> the same shape.
Tensor cached_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const LayerCache& cache) {
  const int64_t t = q.size(2), all = cache.tokens + t;
  cache.keys.narrow(2, cache.tokens, t).copy_(k);
  cache.values.narrow(2, cache.tokens, t).copy_(v);
  const Tensor keys = cache.keys.narrow(2, 0, all);      // [n, heads, all, size]
  const Tensor values = cache.values.narrow(2, 0, all);  // [n, heads, all, size]
  if (t == 1) return at::scaled_dot_product_attention(q, keys, values);
  // A new token sees the cached ones, itself and the new ones before it.
  const Tensor mask = torch::ones({t, all}, q.options().dtype(torch::kBool)).tril(cache.tokens);
  return at::scaled_dot_product_attention(q, keys, values, mask);
}

struct Gpt2Attention : torch::nn::Module {
  explicit Gpt2Attention(const Gpt2Options& o)
      : heads(o.heads),
        c_attn(register_module("c_attn", std::make_shared<Projection>(o.width, 3 * o.width))),
        c_proj(register_module("c_proj", std::make_shared<Projection>(o.width, o.width))) {}

  // x [n t, width] -> the same shape
  Tensor forward(const Tensor& x, int64_t n, double dropout, const LayerCache* cache) const {
    const int64_t rows = x.size(0), width = x.size(1), t = rows / n;
    // The order [n, t, 3, ...] makes the backward pass join the three gradients in one copy.
    const std::vector<Tensor> qkv = c_attn->forward(x)
                                        .view({n, t, 3, heads, width / heads})
                                        .unbind(2);  // each [n, t, heads, size]
    const Tensor q = qkv[0].transpose(1, 2);         // [n, heads, t, size]
    const Tensor k = qkv[1].transpose(1, 2);         // [n, heads, t, size]
    const Tensor v = qkv[2].transpose(1, 2);         // [n, heads, t, size]
    const Tensor y = cache != nullptr && cache->tokens > 0
                         ? cached_attention(q, k, v, *cache)
                         : first_attention(q, k, v, dropout, cache);
    return c_proj->forward(y.transpose(1, 2).reshape({rows, width}));
  }

  static Tensor first_attention(const Tensor& q, const Tensor& k, const Tensor& v, double dropout,
                                const LayerCache* cache) {
    if (cache != nullptr) {
      cache->keys.narrow(2, 0, k.size(2)).copy_(k);
      cache->values.narrow(2, 0, v.size(2)).copy_(v);
    }
    return at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, dropout, /*is_causal=*/true);
  }

  int64_t heads;
  std::shared_ptr<Projection> c_attn, c_proj;
};

struct Gpt2Mlp : torch::nn::Module {
  explicit Gpt2Mlp(const Gpt2Options& o)
      : c_fc(register_module("c_fc", std::make_shared<Projection>(o.width, 4 * o.width))),
        c_proj(register_module("c_proj", std::make_shared<Projection>(4 * o.width, o.width))) {}

  // x [n t, width] -> the same shape
  Tensor forward(const Tensor& x) const {
    return c_proj->forward(at::gelu(c_fc->forward(x), "tanh"));
  }

  std::shared_ptr<Projection> c_fc, c_proj;
};

void check_gpt2_options(const Gpt2Options& o) {
  const std::pair<const char*, int64_t> sizes[] = {{"layers", o.layers},
                                                   {"heads", o.heads},
                                                   {"width", o.width},
                                                   {"context", o.context},
                                                   {"vocabulary", o.vocabulary}};
  for (const auto& [name, value] : sizes) {
    if (value >= 1) continue;
    throw std::invalid_argument(fmt::format(
        "GPT-2: {} must be at least 1, but is {}; choose a positive number", name, value));
  }
  if (o.width % o.heads != 0) {
    throw std::invalid_argument(fmt::format(
        "GPT-2: the width must be a multiple of the number of heads, {}, but is {}; choose {} or "
        "another multiple",
        o.heads, o.width, (o.width / o.heads + 1) * o.heads));
  }
  if (!(o.dropout >= 0 && o.dropout < 1)) {
    throw std::invalid_argument(fmt::format(
        "GPT-2: the dropout must be at least 0 and below 1, but is {}; choose 0 for none",
        o.dropout));
  }
}

}  // namespace gpt2_parts

struct Gpt2Layer : torch::nn::Module {
  explicit Gpt2Layer(const Gpt2Options& o)
      : dropout(o.dropout),
        ln_1(register_module("ln_1", norm(o.width))),
        attn(register_module("attn", std::make_shared<gpt2_parts::Gpt2Attention>(o))),
        ln_2(register_module("ln_2", norm(o.width))),
        mlp(register_module("mlp", std::make_shared<gpt2_parts::Gpt2Mlp>(o))) {}

  static torch::nn::LayerNorm norm(int64_t width) {
    return torch::nn::LayerNorm(
        torch::nn::LayerNormOptions({width}).eps(gpt2_parts::kLayerNormEpsilon));
  }

  // x [n t, width] -> the same shape
  torch::Tensor forward(const torch::Tensor& x, int64_t n, const gpt2_parts::LayerCache* cache) {
    using gpt2_parts::dropped;
    using gpt2_parts::layer_norm;
    const double p = is_training() ? dropout : 0;
    const torch::Tensor y = x + dropped(attn->forward(layer_norm(x, ln_1), n, p, cache), p);
    return y + dropped(mlp->forward(layer_norm(y, ln_2)), p);
  }

  double dropout;
  torch::nn::LayerNorm ln_1;
  std::shared_ptr<gpt2_parts::Gpt2Attention> attn;
  torch::nn::LayerNorm ln_2;
  std::shared_ptr<gpt2_parts::Gpt2Mlp> mlp;
};

Gpt2Options gpt2_options(const std::string& name) {
  Gpt2Options o;
  if (name == "124M") return o;
  if (name == "355M") o.layers = 24, o.heads = 16, o.width = 1024;
  if (name == "774M") o.layers = 36, o.heads = 20, o.width = 1280;
  if (name == "1558M") o.layers = 48, o.heads = 25, o.width = 1600;
  if (o.layers != 12) return o;
  throw std::invalid_argument(fmt::format(
      "GPT-2: the size must be 124M, 355M, 774M or 1558M, but is '{}'; choose one of these", name));
}

Gpt2::Gpt2(const Gpt2Options& o) : options_(o) {
  gpt2_parts::check_gpt2_options(o);
  const auto embedding = [](int64_t rows, int64_t width) {
    return torch::nn::Embedding(
        torch::nn::EmbeddingOptions(rows, width)._weight(torch::empty({rows, width})));
  };
  wte_ = register_module("wte", embedding(o.vocabulary, o.width));
  wpe_ = register_module("wpe", embedding(o.context, o.width));
  const auto all = register_module("h", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < o.layers; ++i) {
    layers_.push_back(all->register_module(std::to_string(i), std::make_shared<Gpt2Layer>(o)));
  }
  ln_f_ = register_module("ln_f", Gpt2Layer::norm(o.width));
  if (!o.initialise) return;
  const torch::NoGradGuard no_grad;
  const double small = gpt2_parts::kDeviation / std::sqrt(2.0 * static_cast<double>(o.layers));
  wte_->weight.normal_(0, gpt2_parts::kDeviation);
  wpe_->weight.normal_(0, gpt2_parts::kDeviation);
  for (const auto& layer : layers_) {
    layer->attn->c_attn->weight.normal_(0, gpt2_parts::kDeviation);
    layer->attn->c_proj->weight.normal_(0, small);
    layer->mlp->c_fc->weight.normal_(0, gpt2_parts::kDeviation);
    layer->mlp->c_proj->weight.normal_(0, small);
  }
}

void Gpt2::prepare(KeyValueCache& cache, int64_t n) const {
  const std::vector<int64_t> shape = {n, options_.heads, options_.context,
                                      options_.width / options_.heads};
  const torch::Tensor& weight = wte_->weight;
  const at::DeviceType device = weight.device().type();
  // The type of the keys. Autocast leaves float64 as it is.
  const bool cast =
      at::autocast::is_autocast_enabled(device) && weight.scalar_type() != torch::kDouble;
  const auto type = cast ? at::autocast::get_autocast_dtype(device) : weight.scalar_type();
  const bool fits = cache.keys.size() == layers_.size() && cache.values.size() == layers_.size() &&
                    cache.keys[0].sizes() == shape && cache.keys[0].scalar_type() == type &&
                    cache.keys[0].device() == weight.device();
  if (fits) return;
  if (cache.tokens > 0) {
    throw std::invalid_argument(fmt::format(
        "GPT-2: a cache must be used with one model, number of sequences, type and device, now {} "
        "layers of [{}], {} on {}, but it was filled with others; begin with an empty cache",
        layers_.size(), fmt::join(shape, ", "), c10::toString(type), weight.device().str()));
  }
  cache = {};
  for (int64_t i = 0; i < options_.layers; ++i) {
    for (auto* list : {&cache.keys, &cache.values}) {
      list->push_back(torch::empty(shape, weight.options().dtype(type)));
    }
  }
}

void Gpt2::check_tokens(const torch::Tensor& tokens, int64_t before) const {
  if (tokens.dim() != 2 || tokens.numel() == 0 || tokens.scalar_type() != torch::kLong) {
    throw std::invalid_argument(fmt::format(
        "GPT-2: the tokens must be int64 [n, t] with at least 1 sequence of at least 1 token, but "
        "are {} [{}]; give at least one token",
        c10::toString(tokens.scalar_type()), fmt::join(tokens.sizes(), ", ")));
  }
  const int64_t t = tokens.size(1);
  if (before + t <= options_.context) return;
  throw std::invalid_argument(
      fmt::format("GPT-2: the tokens must be at most {}, the context, but are {}, {} of them in "
                  "the cache; give the last ones only",
                  options_.context, before + t, before));
}

torch::Tensor Gpt2::features(const torch::Tensor& tokens, KeyValueCache* cache) {
  const torch::AutoGradMode gradients(cache == nullptr && torch::GradMode::is_enabled());
  const int64_t before = cache != nullptr ? cache->tokens : 0;
  check_tokens(tokens, before);
  const int64_t n = tokens.size(0), t = tokens.size(1);
  if (cache != nullptr) prepare(*cache, n);
  const double dropout = is_training() ? options_.dropout : 0;
  const torch::Tensor positions =  // [t, width]
      t == options_.context ? wpe_->weight : wpe_->weight.narrow(0, before, t);
  torch::Tensor x = at::embedding(wte_->weight, tokens) + positions;  // [n, t, width]
  x = gpt2_parts::dropped(x, dropout).view({n * t, options_.width});
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::shared_ptr<Gpt2Layer>& layer = layers_[i];
    if (cache != nullptr) {
      const gpt2_parts::LayerCache here = {cache->keys[i], cache->values[i], before};
      x = layer->forward(x, n, &here);
    } else if (options_.recompute) {
      x = checkpointed(
          [layer, n](const torch::Tensor& in) { return layer->forward(in, n, nullptr); }, x);
    } else {
      x = layer->forward(x, n, nullptr);
    }
  }
  if (cache != nullptr) cache->tokens = before + t;
  return gpt2_parts::layer_norm(x, ln_f_).view({n, t, options_.width});
}

torch::Tensor Gpt2::head(const torch::Tensor& features) const {
  std::vector<int64_t> shape = features.sizes().vec();
  shape.back() = options_.vocabulary;
  return fast_linear(features.reshape({-1, options_.width}), wte_->weight).view(shape);
}

torch::Tensor Gpt2::forward(const torch::Tensor& tokens, KeyValueCache* cache) {
  const torch::AutoGradMode gradients(cache == nullptr && torch::GradMode::is_enabled());
  return head(features(tokens, cache));
}

torch::Tensor Gpt2::loss(const torch::Tensor& inputs, const torch::Tensor& targets) {
  const torch::Tensor rows = features(inputs).view({-1, options_.width});  // [n t, width]
  return at::cross_entropy_loss(head(rows), targets.reshape({-1}));
}

std::vector<std::pair<std::string, std::shared_ptr<Projection>>> Gpt2::projections() const {
  std::vector<std::pair<std::string, std::shared_ptr<Projection>>> all;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string h = "h." + std::to_string(i);
    all.emplace_back(h + ".attn.c_attn", layers_[i]->attn->c_attn);
    all.emplace_back(h + ".attn.c_proj", layers_[i]->attn->c_proj);
    all.emplace_back(h + ".mlp.c_fc", layers_[i]->mlp->c_fc);
    all.emplace_back(h + ".mlp.c_proj", layers_[i]->mlp->c_proj);
  }
  return all;
}

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

}  // namespace examples
