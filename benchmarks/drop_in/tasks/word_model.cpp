// SPDX-License-Identifier: Apache-2.0
// A language model of words on the King James Bible: an embedding of width 64, an LSTM of width 128
// and a linear layer to the 8,001 words. Adam at a constant rate of 1e-3 in windows of 20 words,
// gradients clipped to norm 0.25, as is usual for such models.
#include <torch/torch.h>

#include <cstdint>
#include <random>
#include <tuple>

#include "drop_in/data.hpp"
#include "drop_in/language_model.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kWordWindow = 20;

struct WordModelImpl : torch::nn::Module {
  explicit WordModelImpl(int64_t vocabulary)
      : embedding(vocabulary, 64),
        lstm(torch::nn::LSTMOptions(64, 128).batch_first(true)),
        head(128, vocabulary) {
    register_module("embedding", embedding);
    register_module("lstm", lstm);
    register_module("head", head);
  }

  // Takes words [n, length] and returns logits [n, length, vocabulary].
  torch::Tensor forward(const torch::Tensor& text) {
    return head->forward(std::get<0>(lstm->forward(embedding->forward(text))));
  }

  torch::nn::Embedding embedding;
  torch::nn::LSTM lstm;
  torch::nn::Linear head;
};
TORCH_MODULE(WordModel);

}  // namespace

Result train_word_model(const Run& run) {
  torch::manual_seed(run.seed);
  const Text& text = words(run.data);
  WordModel model(text.vocabulary);
  std::mt19937_64 order(run.seed);
  const auto optimizer = run.contender.make(model->parameters(), torch::optim::AdamOptions(1e-3),
                                            static_cast<double>(text.train.size(0)));
  const int64_t steps = run.scaled(2'800);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->zero_grad();
    next_token_loss(model, random_windows(text.train, /*batch_size=*/16, kWordWindow, order))
        .backward();
    torch::nn::utils::clip_grad_norm_(model->parameters(), 0.25);
    optimizer->step();
  }
  return score_language_model(model, *optimizer, text.validation, /*batches=*/20,
                              /*batch_size=*/50, kWordWindow);
}

}  // namespace drop_in
