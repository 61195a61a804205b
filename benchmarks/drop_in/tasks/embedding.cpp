// SPDX-License-Identifier: Apache-2.0
// Word embeddings of width 64 on the King James Bible: skip-gram with a window of four words to
// both sides and five negative samples from the word frequencies to the power 3/4. Adam at a
// constant rate of 2e-3, with dense gradients: in most steps most rows have a gradient of zero.
#include <torch/torch.h>

#include <cstdint>
#include <random>
#include <utility>

#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kSkipGramWidth = 64;
constexpr int64_t kSkipGramWindow = 4;
constexpr int64_t kSkipGramNegatives = 5;

struct SkipGramModelImpl : torch::nn::Module {
  explicit SkipGramModelImpl(int64_t vocabulary)
      : words(vocabulary, kSkipGramWidth), contexts(vocabulary, kSkipGramWidth) {
    register_module("words", words);
    register_module("contexts", contexts);
    // The usual start: small random words, and contexts of zero.
    torch::nn::init::uniform_(words->weight, -0.5 / kSkipGramWidth, 0.5 / kSkipGramWidth);
    torch::nn::init::zeros_(contexts->weight);
  }

  // Takes words [n] and for each the numbers of its context and of the negative samples, [n, 1 + k]
  // with the context first; returns the mean over the words of the loss, summed over the 1 + k.
  torch::Tensor forward(const torch::Tensor& word, const torch::Tensor& context) {
    const torch::Tensor scores =
        torch::bmm(contexts->forward(context), words->forward(word).unsqueeze(2)).squeeze(2);
    torch::Tensor signs = torch::full({context.size(1)}, -1.0);
    signs[0] = 1.0;
    return -torch::log_sigmoid(scores * signs).sum(1).mean();
  }

  torch::nn::Embedding words;
  torch::nn::Embedding contexts;
};
TORCH_MODULE(SkipGramModel);

// Random pairs of a word and a word near it, with negative samples.
class SkipGramPairs {
 public:
  SkipGramPairs(const torch::Tensor& tokens, std::discrete_distribution<int64_t> negatives,
                uint64_t seed)
      : tokens_(tokens.contiguous()), negatives_(std::move(negatives)), generator_(seed) {}

  struct Batch {
    torch::Tensor word, context;  // the arguments of SkipGramModel's forward pass
  };

  Batch next(int64_t size) {
    const Batch batch{torch::empty({size}, torch::kInt64),
                      torch::empty({size, 1 + kSkipGramNegatives}, torch::kInt64)};
    std::uniform_int_distribution<int64_t> position(kSkipGramWindow,
                                                    tokens_.size(0) - kSkipGramWindow - 1);
    std::uniform_int_distribution<int64_t> distance(1, kSkipGramWindow);
    std::bernoulli_distribution before(0.5);
    const auto* tokens = tokens_.const_data_ptr<int64_t>();
    auto* word = batch.word.data_ptr<int64_t>();
    auto* context = batch.context.data_ptr<int64_t>();
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = position(generator_);
      const int64_t away = distance(generator_);
      *word++ = tokens[at];
      *context++ = tokens[before(generator_) ? at - away : at + away];
      for (int64_t k = 0; k < kSkipGramNegatives; ++k) *context++ = negatives_(generator_);
    }
    return batch;
  }

 private:
  torch::Tensor tokens_;
  std::discrete_distribution<int64_t> negatives_;
  std::mt19937_64 generator_;
};

std::discrete_distribution<int64_t> skip_gram_negatives(const Text& text) {
  const torch::Tensor weights =
      text.train.bincount(/*weights=*/{}, text.vocabulary).to(torch::kFloat64).pow(0.75);
  const auto* begin = weights.const_data_ptr<double>();
  return {begin, begin + weights.numel()};
}

}  // namespace

Result train_embedding(const Run& run) {
  torch::manual_seed(run.seed);
  const Text& text = words(run.data);
  SkipGramModel model(text.vocabulary);
  const std::discrete_distribution<int64_t> negatives = skip_gram_negatives(text);
  SkipGramPairs pairs(text.train, negatives, run.seed);
  const auto optimizer = run.contender.make(model->parameters(), torch::optim::AdamOptions(2e-3),
                                            static_cast<double>(text.train.size(0)));
  const int64_t steps = run.scaled(15'000);
  for (int64_t step = 0; step < steps; ++step) {
    const SkipGramPairs::Batch batch = pairs.next(512);
    optimizer->zero_grad();
    model->forward(batch.word, batch.context).backward();
    optimizer->step();
  }

  optimizer->eval();
  model->eval();
  const torch::NoGradGuard no_grad;
  SkipGramPairs fixed(text.validation, negatives, /*seed=*/1);  // the same pairs for all runs
  const SkipGramPairs::Batch batch = fixed.next(50'000);
  Result result;
  result.merit = model->forward(batch.word, batch.context).item<double>();
  return result;
}

}  // namespace drop_in
