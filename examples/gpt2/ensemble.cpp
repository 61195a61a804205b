// SPDX-License-Identifier: Apache-2.0
#include "ensemble.hpp"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace gpt2 {
namespace {

// While it lives, the parameters of a module show the weights of a member. Only the tensors'
// storage is exchanged: no weight is copied.
class ShownWeights {
 public:
  ShownWeights(const std::vector<torch::Tensor>& parameters,
               const std::vector<torch::Tensor>& weights)
      : parameters_(parameters) {
    for (size_t i = 0; i < weights.size(); ++i) {
      own_.push_back(parameters_[i].variable_data());
      parameters_[i].set_data(weights[i]);
    }
    forget_casts();
  }
  ~ShownWeights() {
    for (size_t i = 0; i < own_.size(); ++i) parameters_[i].set_data(own_[i]);
    forget_casts();
  }
  ShownWeights(const ShownWeights&) = delete;
  ShownWeights& operator=(const ShownWeights&) = delete;

 private:
  // Autocast remembers the bfloat16 copy of a parameter and does not notice new storage.
  void forget_casts() const {
    if (!own_.empty()) at::autocast::clear_cache();
  }

  std::vector<torch::Tensor> parameters_, own_;
};

void check_ensemble_tokens(const torch::Tensor& tokens, const torch::Tensor& seen) {
  const bool fits = tokens.dim() == 2 && tokens.size(1) >= 1 && tokens.scalar_type() == at::kLong &&
                    (!seen.defined() || seen.size(0) == tokens.size(0));
  if (fits) return;
  throw std::invalid_argument(fmt::format(
      "ensemble: the tokens must be int64 [n, t] with t >= 1{}, but are {} {}; call clear() before "
      "another number of texts",
      seen.defined() ? fmt::format(" and n = {}", seen.size(0)) : "",
      c10::toString(tokens.scalar_type()), c10::str(tokens.sizes())));
}

// Makes the cache of one text that of n equal ones.
void repeat_cache(examples::KeyValueCache& cache, int64_t n) {
  for (torch::Tensor& keys : cache.keys) keys = keys.repeat({n, 1, 1, 1});
  for (torch::Tensor& values : cache.values) values = values.repeat({n, 1, 1, 1});
}

}  // namespace

Ensemble::Ensemble(examples::Gpt2& model)
    : model_(&model), device_(model.parameters().front().device()), members_(1) {
  model.eval();
}

Ensemble::Ensemble(examples::Gpt2& model, ivon::Posterior& posterior, int64_t samples)
    : Ensemble(model) {
  if (samples < 1) {
    throw std::invalid_argument(fmt::format(
        "ensemble: the number of samples must be >= 1, but is {}; use the posterior mean for a "
        "model without samples",
        samples));
  }
  const std::vector<std::string>& left_out = posterior.left_out();
  for (const auto& parameter : model.named_parameters()) {
    if (std::find(left_out.begin(), left_out.end(), parameter.key()) == left_out.end()) {
      parameters_.push_back(parameter.value());
    }
  }
  members_.clear();
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < samples; ++i) {
    const auto sample = posterior.sampled_params(model);
    Member& member = members_.emplace_back();
    for (const torch::Tensor& p : parameters_) member.weights.push_back(p.detach().clone());
  }
}

void Ensemble::clear() {
  for (Member& member : members_) member.cache = {};
  seen_ = torch::Tensor();
}

torch::Tensor Ensemble::next(const torch::Tensor& tokens) {
  check_ensemble_tokens(tokens, seen_);
  const torch::NoGradGuard no_grad;
  const bool begins = !seen_.defined();
  const int64_t context = model_->options().context, n = tokens.size(0);
  torch::Tensor text = begins ? tokens.cpu() : torch::cat({seen_, tokens.cpu()}, 1);
  torch::Tensor added = tokens;
  if (text.size(1) > context) {
    const int64_t kept = begins ? context : std::max<int64_t>(context / 2, 1);
    text = text.slice(1, text.size(1) - kept).contiguous();
    added = text;
    clear();
  }
  const bool equal = begins && n > 1 && text.eq(text[0]).all().item<bool>();
  if (equal) added = added.slice(0, 0, 1);
  added = added.to(device_);
  std::vector<torch::Tensor> all;
  for (Member& member : members_) {
    all.push_back(next_of(member, added));
    if (equal) repeat_cache(member.cache, n);
  }
  seen_ = text;
  const torch::Tensor joined = all.size() == 1 ? all[0].unsqueeze(0) : torch::stack(all);
  return joined.cpu().expand({-1, n, -1});
}

torch::Tensor Ensemble::next_of(Member& member, const torch::Tensor& tokens) {
  const ShownWeights shown(parameters_, member.weights);
  const torch::Tensor features = model_->features(tokens, &member.cache);
  const torch::Tensor logits = model_->head(features.select(1, features.size(1) - 1));
  return torch::softmax(logits, -1, torch::kFloat);
}

}  // namespace gpt2
