// SPDX-License-Identifier: Apache-2.0
#include "scores.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/autocast.hpp"
#include "common/progress.hpp"

namespace gpt2 {
namespace {

constexpr int64_t kScoredBatchTokens = 4096;  // of a forward pass
// The most logits that are made at a time: 128 MiB in float32. With GPT-2's vocabulary of 50,257,
// those of a whole forward pass would take 823 MB, and the cross entropy makes a copy of them.
constexpr int64_t kScoredLogits = int64_t{1} << 25;
constexpr int64_t kNotScored = -1;

int64_t batch_of(int64_t context) { return std::max<int64_t>(1, kScoredBatchTokens / context); }

torch::Tensor batch_log_probabilities(examples::Gpt2& model, const examples::TokenBatch& batch,
                                      bool bf16) {
  const examples::Autocast autocast(batch.inputs.device().type(), bf16);
  const torch::Tensor all = batch.targets.flatten();
  const torch::Tensor scored = all.ne(kNotScored).nonzero().squeeze(1);  // int64 [m]
  const torch::Tensor features =                                         // [m, width]
      model.features(batch.inputs).flatten(0, 1).index_select(0, scored);
  return log_probabilities_of(model, features, all.index_select(0, scored))
      .to(torch::kCPU, torch::kFloat);
}

// One pass over the text; `progress` goes on from `done` batches.
torch::Tensor pass(examples::Gpt2& model, const ScoredText& text, bool bf16,
                   examples::CountProgress& progress, int64_t done) {
  std::vector<torch::Tensor> parts;
  for (int64_t i = 0; i < text.batches; ++i) {
    parts.push_back(batch_log_probabilities(model, text.batch(i), bf16));
    progress.show(static_cast<double>(done + i + 1));
  }
  return torch::cat(parts);
}

}  // namespace

torch::Tensor log_probabilities_of(const examples::Gpt2& model, const torch::Tensor& features,
                                   const torch::Tensor& targets) {
  const int64_t rows = std::max<int64_t>(1, kScoredLogits / model.options().vocabulary);
  std::vector<torch::Tensor> losses;
  for (int64_t begin = 0; begin < targets.size(0); begin += rows) {
    torch::Tensor logits = model.head(features.slice(0, begin, begin + rows));
    if (logits.element_size() < 4) logits = logits.to(torch::kFloat);  // [rows, vocabulary]
    losses.push_back(torch::cross_entropy_loss(logits, targets.slice(0, begin, begin + rows),
                                               /*weight=*/{}, at::Reduction::None));
  }
  return torch::cat(losses).neg();
}

ScoredText spread_pieces(const examples::TokenBatches& text, int64_t count,
                         const torch::Device& device) {
  const int64_t whole = text.whole_pieces();
  const int64_t pieces = count > 0 ? std::min(count, whole) : whole;
  const int64_t batch = batch_of(text.context());
  return {(pieces + batch - 1) / batch, [&text, pieces, batch, device](int64_t i) {
            return text.spread(i * batch, batch, pieces, device);
          }};
}

ScoredText strided_windows(const torch::Tensor& ids, int64_t context, int64_t stride,
                           const torch::Device& device) {
  const int64_t targets = ids.size(0) - 1;
  // The last window is the first one that reaches the end.
  const int64_t windows = targets <= context ? 1 : 1 + (targets - context + stride - 1) / stride;
  const int64_t batch = targets <= context ? 1 : batch_of(context);
  const auto window = [ids, context, stride, targets](int64_t index) {
    const int64_t begin = index * stride;
    const int64_t end = std::min(begin + context, targets);
    const int64_t scored_before = index == 0 ? 0 : begin + context - stride;
    examples::TokenBatch one{ids.slice(0, begin, end), ids.slice(0, begin + 1, end + 1).clone()};
    one.targets.slice(0, 0, scored_before - begin).fill_(kNotScored);
    const int64_t missing = std::min(context, targets) - (end - begin);
    one.inputs = torch::constant_pad_nd(one.inputs, {0, missing}, 0);
    one.targets = torch::constant_pad_nd(one.targets, {0, missing}, kNotScored);
    return one;
  };
  return {(windows + batch - 1) / batch, [window, windows, batch, device](int64_t i) {
            std::vector<torch::Tensor> inputs, wanted;
            for (int64_t w = i * batch; w < std::min((i + 1) * batch, windows); ++w) {
              const examples::TokenBatch one = window(w);
              inputs.push_back(one.inputs);
              wanted.push_back(one.targets);
            }
            return examples::TokenBatch{torch::stack(inputs).to(device),
                                        torch::stack(wanted).to(device)};
          }};
}

torch::Tensor log_probabilities(examples::Gpt2& model, const ScoredText& text, bool bf16,
                                const std::string& label) {
  const torch::NoGradGuard no_grad;
  examples::CountProgress progress(label, text.batches, "batches");
  torch::Tensor result = pass(model, text, bf16, progress, 0);
  progress.end();
  return result;
}

torch::Tensor averaged_log_probabilities(examples::Gpt2& model, ivon::Posterior& posterior,
                                         int64_t samples, const ScoredText& text, bool bf16,
                                         const std::string& label) {
  const torch::NoGradGuard no_grad;
  examples::CountProgress progress(label, text.batches * samples, "batches");
  torch::Tensor sum;  // of the probabilities, as their logarithm
  for (int64_t i = 0; i < samples; ++i) {
    const auto sample = posterior.sampled_params(model);
    const torch::Tensor one =
        pass(model, text, bf16, progress, i * text.batches).to(torch::kDouble);
    sum = sum.defined() ? torch::logaddexp(sum, one) : one;
  }
  progress.end();
  return (sum - std::log(static_cast<double>(samples))).to(torch::kFloat);
}

double mean_loss(const torch::Tensor& log_probabilities) {
  return -log_probabilities.to(torch::kDouble).mean().item<double>();
}

}  // namespace gpt2
