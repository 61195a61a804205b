// SPDX-License-Identifier: Apache-2.0
// One or several GPT-2 models that differ in their weights and read the same text.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <ivon/posterior/posterior.hpp>
#include <vector>

#include "common/models/gpt2.hpp"

namespace gpt2 {

// All members use one module, which shows the weights of a member while that member computes and
// its own at all other times. The module must outlive the ensemble and is switched to evaluation
// mode. No other thread may use it during next(), and it must stay on its device.
//
// Memory: of each member made from a posterior, a copy of the weights that the posterior covers, 4
// bytes a weight (0.5 GB for 124M, 6.2 GB for 1558M); weights outside of the posterior, such as all
// but the adapters of LoRA, are there once. And of each member the cache of keys and values: per
// text and layer 2 x context x width numbers.
class Ensemble {
 public:
  // One member, with the weights that the module holds whenever next() is called.
  explicit Ensemble(examples::Gpt2& model);

  // `samples` members, whose weights are the next samples of the posterior. Throws
  // std::invalid_argument if samples < 1, c10::Error if the posterior does not fit the module.
  Ensemble(examples::Gpt2& model, ivon::Posterior& posterior, int64_t samples);

  int64_t members() const { return static_cast<int64_t>(members_.size()); }

  // Forgets the texts, so that the next call of next() begins new ones.
  void clear();

  // tokens int64 [n, t], which follow those of the calls before, -> the probabilities of the next
  // token, float32 [members, n, vocabulary] on the CPU. n is the same until clear(), and t >= 1.
  //
  // Of a text that is longer than the context at the beginning, the last tokens that fit are used.
  // Where the context would overflow later, the last half of it is kept: the caches are filled
  // again with the last context / 2 tokens, as if each text began there. That costs one longer
  // forward pass every context / 2 tokens, and the model no longer knows what stood before. Texts
  // that are all equal at the beginning, as when one prompt is continued several times, cost the
  // work of one. Throws std::invalid_argument for other shapes.
  torch::Tensor next(const torch::Tensor& tokens);

 private:
  // The weights of a member, in the order of parameters_, and what it has read. Without weights, it
  // is a member with those of the module.
  struct Member {
    std::vector<torch::Tensor> weights;
    examples::KeyValueCache cache;
  };

  // tokens int64 [n, t] on the device of the model -> float32 [n, vocabulary] there
  torch::Tensor next_of(Member& member, const torch::Tensor& tokens);

  examples::Gpt2* model_;
  torch::Device device_;                   // of the model
  std::vector<torch::Tensor> parameters_;  // of the module, those that differ between members
  std::vector<Member> members_;
  torch::Tensor seen_;  // int64 [n, tokens] that the caches hold; undefined after clear()
};

}  // namespace gpt2
