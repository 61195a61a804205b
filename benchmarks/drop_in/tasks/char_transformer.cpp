// SPDX-License-Identifier: Apache-2.0
// A small decoder-only transformer that predicts the next character of the King James Bible: two
// pre-norm layers of width 64 with four heads, context of 64 characters, no dropout. AdamW with the
// usual settings of small language models: betas 0.9 and 0.99, weight decay 0.1, linear warm-up and
// then a cosine to a tenth of the rate, gradients clipped to norm 1.
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <tuple>

#include "drop_in/classifier.hpp"
#include "drop_in/data.hpp"
#include "drop_in/language_model.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kCharContext = 64, kCharWidth = 64, kCharHeads = 4;

struct CharBlockImpl : torch::nn::Module {
  CharBlockImpl() {
    register_module("norm1", norm1);
    register_module("query_key_value", query_key_value);
    register_module("projection", projection);
    register_module("norm2", norm2);
    register_module("mlp", mlp);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor heads = query_key_value->forward(norm1->forward(x))
                                    .unflatten(2, {3, kCharHeads, kCharWidth / kCharHeads})
                                    .permute({2, 0, 3, 1, 4});
    const torch::Tensor attended =
        torch::scaled_dot_product_attention(heads[0], heads[1], heads[2], /*attn_mask=*/{},
                                            /*dropout_p=*/0.0, /*is_causal=*/true);
    const torch::Tensor y = x + projection->forward(attended.transpose(1, 2).flatten(2));
    return y + mlp->forward(norm2->forward(y));
  }

  torch::nn::LayerNorm norm1{torch::nn::LayerNormOptions({kCharWidth})};
  torch::nn::Linear query_key_value{kCharWidth, 3 * kCharWidth};
  torch::nn::Linear projection{kCharWidth, kCharWidth};
  torch::nn::LayerNorm norm2{torch::nn::LayerNormOptions({kCharWidth})};
  torch::nn::Sequential mlp =
      torch::nn::Sequential(torch::nn::Linear(kCharWidth, 4 * kCharWidth), torch::nn::GELU(),
                            torch::nn::Linear(4 * kCharWidth, kCharWidth));
};
TORCH_MODULE(CharBlock);

struct CharTransformerImpl : torch::nn::Module {
  explicit CharTransformerImpl(int64_t vocabulary)
      : characters(vocabulary, kCharWidth), head(kCharWidth, vocabulary) {
    register_module("characters", characters);
    register_module("positions", positions);
    register_module("blocks", blocks);
    register_module("norm", norm);
    register_module("head", head);
    // Matrices start from a normal distribution of standard deviation 0.02, and biases from zero.
    for (const auto& parameter : named_parameters()) {
      const torch::Tensor& value = parameter.value();
      if (value.dim() == 2) torch::nn::init::normal_(value, 0.0, 0.02);
      if (parameter.key().find("bias") != std::string::npos) torch::nn::init::zeros_(value);
    }
  }

  // Takes characters [n, length] and returns logits [n, length, vocabulary].
  torch::Tensor forward(const torch::Tensor& text) {
    const torch::Tensor x = characters->forward(text) + positions->weight.slice(0, 0, text.size(1));
    return head->forward(norm->forward(blocks->forward(x)));
  }

  torch::nn::Embedding characters;
  torch::nn::Embedding positions{kCharContext, kCharWidth};
  torch::nn::Sequential blocks = torch::nn::Sequential(CharBlock(), CharBlock());
  torch::nn::LayerNorm norm{torch::nn::LayerNormOptions({kCharWidth})};
  torch::nn::Linear head;
};
TORCH_MODULE(CharTransformer);

// Returns the rate of a linear warm-up over the first twentieth of the steps and then a cosine.
double char_rate(double lr, int64_t step, int64_t steps) {
  const int64_t warm_up = std::max<int64_t>(1, steps / 20);
  if (step < warm_up) return lr * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  return 0.1 * lr + cosine(0.9 * lr, step - warm_up, steps - warm_up);
}

}  // namespace

Result train_char_transformer(const Run& run) {
  torch::manual_seed(run.seed);
  const Text& text = characters(run.data);
  CharTransformer model(text.vocabulary);
  std::mt19937_64 order(run.seed);
  const double lr = 1e-3;
  const auto optimizer = run.contender.make(
      model->parameters(),
      torch::optim::AdamWOptions(lr).betas(std::make_tuple(0.9, 0.99)).weight_decay(0.1),
      static_cast<double>(text.train.size(0)));
  const int64_t steps = run.scaled(6'500);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->set_lr(char_rate(lr, step, steps));
    optimizer->zero_grad();
    next_token_loss(model, random_windows(text.train, /*batch_size=*/16, kCharContext, order))
        .backward();
    torch::nn::utils::clip_grad_norm_(model->parameters(), 1.0);
    optimizer->step();
  }
  return score_language_model(model, *optimizer, text.validation, /*batches=*/16,
                              /*batch_size=*/64, kCharContext);
}

}  // namespace drop_in
