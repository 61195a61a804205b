// SPDX-License-Identifier: Apache-2.0
// Scoring text: each token once, with as much context as the stride leaves.
#include "gpt2/scores.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "common/optimizers.hpp"
#include "small.hpp"

namespace {

using torch::Tensor;

examples::Gpt2Options tiny_options() {
  examples::Gpt2Options options;
  options.layers = 1;
  options.heads = 2;
  options.width = 8;
  options.context = 8;
  options.vocabulary = 11;
  return options;
}

std::shared_ptr<examples::Gpt2> tiny_model() {
  torch::manual_seed(1);
  auto model = std::make_shared<examples::Gpt2>(tiny_options());
  for (const Tensor& parameter : model->parameters()) parameter.detach().mul_(20);
  model->eval();
  return model;
}

Tensor some_ids(int64_t n) {
  torch::manual_seed(2);
  return torch::randint(0, 11, {n}, torch::kLong);
}

// log p of token `place` of `ids` after those from `begin` on, computed on its own.
double expected_log_probability(examples::Gpt2& model, const Tensor& ids, int64_t begin,
                                int64_t place) {
  const Tensor logits = model.forward(ids.slice(0, begin, place).unsqueeze(0));
  return logits[0][-1].log_softmax(0)[ids[place].item<int64_t>()].item<double>();
}

TEST(StridedWindows, ScoreEachTokenOnceWithTheContextOfItsWindow) {
  const auto model = tiny_model();
  for (const int64_t n : {2, 8, 9, 10, 23}) {
    for (const int64_t stride : {1, 3, 8}) {
      SCOPED_TRACE(testing::Message() << n << " tokens, stride " << stride);
      const Tensor ids = some_ids(n);
      const Tensor scored = gpt2::log_probabilities(
          *model, gpt2::strided_windows(ids, 8, stride, torch::kCPU), false, "test");
      ASSERT_EQ(scored.size(0), n - 1);
      for (int64_t place = 1; place < n; ++place) {
        // The window of a token is the first one that reaches it.
        int64_t begin = 0;
        while (begin + 8 < place) begin += stride;
        EXPECT_NEAR(scored[place - 1].item<double>(),
                    expected_log_probability(*model, ids, begin, place), 1e-3)
            << "token " << place;
      }
    }
  }
}

// The most bytes of tensors in the CPU's memory, counted as LibTorch's profiler does.
struct ScoredMemory : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    now += size;
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t now = 0, most = 0;
};

// A vocabulary of which 2^25 logits are those of 32 tokens: the 40 tokens take two parts.
TEST(LogProbabilities, HaveFewLogitsAtATimeWhereTheVocabularyIsLarge) {
  examples::Gpt2Options options = tiny_options();
  options.vocabulary = int64_t{1} << 20;
  examples::Gpt2 model(options);
  model.eval();
  const Tensor ids = torch::randint(0, options.vocabulary, {41}, torch::kLong);
  const auto memory = std::make_shared<ScoredMemory>();
  Tensor scored;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
    scored = gpt2::log_probabilities(model, gpt2::strided_windows(ids, 8, 8, torch::kCPU), false,
                                     "test");
  }
  EXPECT_LT(memory->most, int64_t{300} << 20);  // logits and a copy, 128 MiB each
  const torch::NoGradGuard no_grad;
  for (int64_t begin = 0; begin < 40; begin += 8) {
    const Tensor logits = model.forward(ids.slice(0, begin, begin + 8).unsqueeze(0))[0];
    const Tensor alone = torch::cross_entropy_loss(logits, ids.slice(0, begin + 1, begin + 9),
                                                   /*weight=*/{}, at::Reduction::None);
    EXPECT_TRUE(torch::allclose(scored.slice(0, begin, begin + 8), -alone, 1e-5, 1e-5)) << begin;
  }
}

TEST(AveragedLogProbabilities, AreThoseOfTheMeanProbability) {
  const auto model = tiny_model();
  examples::OptimizerSettings settings = examples::optimizer_settings("ivon-paper");
  settings.ess = 100;
  const auto optimizer = examples::make_optimizer(settings, model->parameters());
  ivon::Posterior posterior = ivon::Posterior::of(*examples::as_ivon(*optimizer), *model);
  const gpt2::ScoredText text = gpt2::strided_windows(some_ids(9), 8, 8, torch::kCPU);
  Tensor sum = torch::zeros({8}, torch::kDouble);
  for (int i = 0; i < 3; ++i) {
    const auto sample = posterior.sampled_params(*model);
    sum += gpt2::log_probabilities(*model, text, false, "test").to(torch::kDouble).exp();
  }
  posterior.manual_seed(0);
  const Tensor averaged =
      gpt2::averaged_log_probabilities(*model, posterior, 3, text, false, "test");
  EXPECT_TRUE(torch::allclose(averaged.to(torch::kDouble), (sum / 3).log(), 1e-5, 1e-6));
  EXPECT_NEAR(gpt2::mean_loss(averaged), -(sum / 3).log().mean().item<double>(), 1e-6);
}

TEST(SpreadPieces, AreAllTokensOnceWhereAllAreWanted) {
  const examples_test::Folder folder("spread");
  std::vector<examples::TokenId> ids(41);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<examples::TokenId>(i % 11);
  examples::write_token_file(folder.path / "ids.bin", ids);
  const examples::TokenFile file(folder.path / "ids.bin");
  const examples::TokenBatches batches(file, 8, 0);
  const auto model = tiny_model();
  EXPECT_EQ(
      gpt2::log_probabilities(*model, gpt2::spread_pieces(batches, 0, torch::kCPU), false, "test")
          .size(0),
      40);
  EXPECT_EQ(
      gpt2::log_probabilities(*model, gpt2::spread_pieces(batches, 2, torch::kCPU), false, "test")
          .size(0),
      16);
}

}  // namespace
