// SPDX-License-Identifier: Apache-2.0
// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): a transformer
// that predicts the next token. Names of the parameters are Hugging Face's and nanoGPT's.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/models/projection.hpp"

namespace examples {

struct Gpt2Options {
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t width = 768;     // numbers in the vector of a token, a multiple of `heads`
  int64_t context = 1024;  // the most tokens that one prediction can use
  int64_t vocabulary = 50257;
  // The probability, 0 to below 1, with which a number is dropped in training mode: after the
  // embedding, in the attention weights, and at the end of attention and MLP.
  double dropout = 0;
  // Computes the activations of a layer again in the backward pass instead of keeping them: a third
  // more work, and memory for one layer instead of all (activation_checkpoint.hpp).
  bool recompute = false;
  // Whether the weights get their initial values. Without it they are undefined until others are
  // copied in, and no time is lost in drawing them.
  bool initialise = true;
};

// "124M", "355M", "774M" and "1558M": the sizes of the published models. Throws
// std::invalid_argument listing the names for another one.
Gpt2Options gpt2_options(const std::string& name);

// The keys and values of the tokens that a model has seen, so that the next token costs one token's
// work. Made empty; Gpt2::forward() fills it.
struct KeyValueCache {
  // Of each layer: [n, heads, context, width / heads], of which the first `tokens` are filled, in
  // the type in which the model computes: that of autocast inside of it, else that of its weights.
  std::vector<torch::Tensor> keys, values;
  int64_t tokens = 0;
};

struct Gpt2Layer;

struct Gpt2 : torch::nn::Module {
  // Initialised as GPT-2 is: normal with deviation 0.02, biases 0, and deviation
  // 0.02 / sqrt(2 layers) where attention and MLP add to the residual stream. Throws
  // std::invalid_argument for options out of range.
  explicit Gpt2(const Gpt2Options& options);

  // tokens int64 [n >= 1, t >= 1] -> logits [n, t, vocabulary]. With a cache, the tokens follow
  // those that it holds, and are added to it; that is for predictions only: the logits then have no
  // gradients. Throws std::invalid_argument for tokens of another shape or type, if they are more
  // than the context, with those in the cache, or if the cache was filled by a model of other
  // sizes, with another n, in another type or on another device. That the weights are still the
  // same is not checked.
  torch::Tensor forward(const torch::Tensor& tokens, KeyValueCache* cache = nullptr);

  // The vectors before the head: tokens int64 [n, t] -> [n, t, width].
  torch::Tensor features(const torch::Tensor& tokens, KeyValueCache* cache = nullptr);

  // features [..., width] -> logits [..., vocabulary]. The head's weights are those of the token
  // embedding.
  torch::Tensor head(const torch::Tensor& features) const;

  // The mean cross entropy in nats of targets int64 [n, t] after inputs int64 [n, t].
  torch::Tensor loss(const torch::Tensor& inputs, const torch::Tensor& targets);

  const Gpt2Options& options() const { return options_; }

  // All projections of attention and MLPs, with their names, such as "h.0.attn.c_attn".
  std::vector<std::pair<std::string, std::shared_ptr<Projection>>> projections() const;

 private:
  void check_tokens(const torch::Tensor& tokens, int64_t before) const;

  // Makes the tensors of an empty cache for n sequences; throws for a cache that does not fit.
  void prepare(KeyValueCache& cache, int64_t n) const;

  Gpt2Options options_;
  torch::nn::Embedding wte_{nullptr};  // weight [vocabulary, width]
  torch::nn::Embedding wpe_{nullptr};  // weight [context, width]
  std::vector<std::shared_ptr<Gpt2Layer>> layers_;
  torch::nn::LayerNorm ln_f_{nullptr};
};

// Whether the name of a parameter or module, whose parts are joined by dots, is `end` or ends with
// a dot and `end`.
inline bool ends_with_name(const std::string& name, const std::string& end) {
  const std::string dotted = "." + name, dotted_end = "." + end;
  return dotted.size() >= dotted_end.size() &&
         dotted.compare(dotted.size() - dotted_end.size(), dotted_end.size(), dotted_end) == 0;
}

// The number of parameters, the tied head counted once.
int64_t parameter_count(const torch::nn::Module& module);

}  // namespace examples
