// SPDX-License-Identifier: Apache-2.0
#include "choice_model.hpp"

#include <torch/torch.h>

#include <limits>

#include "scores.hpp"

namespace gpt2 {
namespace {

// The log probabilities of the first `count` targets, [count].
torch::Tensor log_p_of_choice_targets(examples::Gpt2& model, const ChoiceBatch& batch,
                                      int64_t count) {
  const torch::Tensor features =  // [count, width]
      model.features(batch.inputs)
          .flatten(0, 1)
          .index_select(0, batch.positions.slice(0, 0, count));
  return log_probabilities_of(model, features, batch.targets.slice(0, 0, count));
}

// log_p [m_c] -> [n, most choices]. Every token has a place of its own in a table, of which the
// rows are then summed, because the sum of a scatter with equal places would come in an order that
// differs from run to run on a GPU.
torch::Tensor logits_of_choices(const torch::Tensor& log_p, const ChoiceBatch& batch,
                                bool per_token) {
  const int64_t n = batch.lengths.size(0), choices = batch.lengths.size(1);
  torch::Tensor logits = log_p.new_zeros({n * choices * batch.most_tokens})
                             .scatter(0, batch.slots, log_p)
                             .view({n, choices, batch.most_tokens})
                             .sum(2);
  if (per_token) logits = logits / batch.lengths.clamp_min(1);
  return logits.masked_fill(batch.lengths == 0, -std::numeric_limits<double>::infinity());
}

}  // namespace

torch::Tensor choice_logits(examples::Gpt2& model, const ChoiceBatch& batch,
                            const ChoiceSettings& settings) {
  return logits_of_choices(log_p_of_choice_targets(model, batch, batch.choice_targets), batch,
                           settings.per_token);
}

torch::Tensor choice_loss(examples::Gpt2& model, const ChoiceBatch& batch,
                          const ChoiceSettings& settings) {
  if (settings.next_token == 0) {
    return torch::cross_entropy_loss(choice_logits(model, batch, settings), batch.answers);
  }
  const torch::Tensor log_p = log_p_of_choice_targets(model, batch, batch.targets.size(0));
  const torch::Tensor logits =
      logits_of_choices(log_p.slice(0, 0, batch.choice_targets), batch, settings.per_token);
  const torch::Tensor next_token = -log_p.masked_fill(~batch.right, 0).sum() / batch.right.sum();
  return torch::cross_entropy_loss(logits, batch.answers) + settings.next_token * next_token;
}

}  // namespace gpt2
