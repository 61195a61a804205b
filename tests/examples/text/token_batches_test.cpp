// SPDX-License-Identifier: Apache-2.0
// examples/common/data/token_batches.hpp: where the pieces begin and what they hold.
#include "common/data/token_batches.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <stdexcept>
#include <vector>

#include "small.hpp"

namespace {

using examples::TokenBatch;
using examples::TokenBatches;
using examples::TokenFile;
using examples_test::error_of;
using testing::HasSubstr;

// A file in which each id is its position, so that the first input of a piece tells where it
// begins.
class TokenBatchesTest : public testing::Test {
 protected:
  static constexpr int64_t kTokens = 24;
  static constexpr int64_t kContext = 4;

  TokenBatchesTest() : folder("token_batches") {
    std::vector<examples::TokenId> ids(kTokens);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<examples::TokenId>(i);
    examples::write_token_file(path(), ids);
  }

  std::filesystem::path path() const { return folder.path / "train.bin"; }

  // Places of the pieces [n], after a check of their shapes and contents.
  static torch::Tensor places(const TokenBatch& batch, int64_t context = kContext) {
    const torch::Tensor first = batch.inputs.select(1, 0);
    const torch::Tensor expected = first.unsqueeze(1) + torch::arange(context);
    EXPECT_EQ(batch.inputs.scalar_type(), torch::kLong);
    EXPECT_TRUE(batch.inputs.equal(expected)) << batch.inputs;
    EXPECT_TRUE(batch.targets.equal(expected + 1)) << batch.targets;
    return first;
  }

  examples_test::Folder folder;
};

TEST_F(TokenBatchesTest, PiecesAreAFunctionOfSeedEpochAndRow) {
  const TokenFile file(path());
  const TokenBatches a(file, kContext, 1), b(file, kContext, 1), other(file, kContext, 2);
  const torch::Tensor rows = torch::arange(100);
  const torch::Tensor all = places(a.random(rows, 3, torch::kCPU));
  EXPECT_TRUE(all.equal(places(b.random(rows, 3, torch::kCPU))));
  EXPECT_TRUE(all.flip(0).equal(places(a.random(rows.flip(0), 3, torch::kCPU))));
  EXPECT_TRUE(all.slice(0, 40, 50).equal(places(a.random(rows.slice(0, 40, 50), 3, torch::kCPU))));
  EXPECT_FALSE(all.equal(places(a.random(rows, 4, torch::kCPU))));
  EXPECT_FALSE(all.equal(places(other.random(rows, 3, torch::kCPU))));
}

TEST_F(TokenBatchesTest, RandomPlacesAreUniformWithTheFirstAndTheLast) {
  const TokenFile file(path());
  const TokenBatches batches(file, kContext, 5);
  constexpr int64_t kPlaces = kTokens - kContext, kEach = 1000;
  const torch::Tensor found =
      places(batches.random(torch::arange(kPlaces * kEach), 0, torch::kCPU));
  const torch::Tensor counts = torch::bincount(found, {}, kPlaces);
  ASSERT_EQ(counts.size(0), kPlaces);
  // Five standard deviations of a count, sqrt(1000) each.
  EXPECT_LT((counts - kEach).abs().max().item<int64_t>(), 160) << counts;
}

TEST_F(TokenBatchesTest, ContextMayLeaveOnePlace) {
  const TokenFile file(path());
  const TokenBatches batches(file, kTokens - 1, 5);
  EXPECT_TRUE(places(batches.random(torch::arange(9), 0, torch::kCPU), kTokens - 1)
                  .equal(torch::zeros(9, torch::kLong)));
  EXPECT_EQ(batches.whole_pieces(), 1);
}

TEST_F(TokenBatchesTest, SpreadPiecesCoverTheFile) {
  const TokenFile file(path());
  const TokenBatches batches(file, kContext, 5);
  ASSERT_EQ(batches.whole_pieces(), 5);
  const torch::Tensor five = places(batches.spread(0, 5, 5, torch::kCPU));
  EXPECT_TRUE(five.equal(torch::tensor({0, 4, 9, 14, 19}, torch::kLong))) << five;
  EXPECT_TRUE(places(batches.spread(0, 1, 1, torch::kCPU)).equal(torch::zeros(1, torch::kLong)));
  const torch::Tensor many = places(batches.spread(0, 39, 39, torch::kCPU));
  EXPECT_TRUE(many.equal(torch::arange(39).div(2, "floor"))) << many;
}

TEST_F(TokenBatchesTest, SpreadPiecesDoNotOverlap) {
  const TokenFile file(path());
  for (int64_t context = 1; context < kTokens; ++context) {
    const TokenBatches batches(file, context, 5);
    for (int64_t count = 1; count <= batches.whole_pieces(); ++count) {
      const torch::Tensor at = places(batches.spread(0, count, count, torch::kCPU), context);
      EXPECT_TRUE((at.diff() >= context).all().item<bool>()) << context << at;
    }
  }
}

TEST_F(TokenBatchesTest, SpreadInBatchesIsTheSame) {
  const TokenFile file(path());
  const TokenBatches batches(file, kContext, 5);
  const torch::Tensor all = places(batches.spread(0, 5, 5, torch::kCPU));
  EXPECT_TRUE(places(batches.spread(0, 3, 5, torch::kCPU)).equal(all.slice(0, 0, 3)));
  EXPECT_TRUE(places(batches.spread(3, 3, 5, torch::kCPU)).equal(all.slice(0, 3, 5)));
  const TokenBatch none = batches.spread(6, 3, 5, torch::kCPU);
  EXPECT_EQ(none.inputs.sizes(), (std::vector<int64_t>{0, kContext}));
}

TEST_F(TokenBatchesTest, RefusesContextsThatDoNotFit) {
  const TokenFile file(path());
  EXPECT_THROW(TokenBatches(file, kTokens, 1), std::invalid_argument);
  EXPECT_THROW(TokenBatches(file, std::numeric_limits<int64_t>::max(), 1), std::invalid_argument);
  EXPECT_THROW(TokenBatches(file, 0, 1), std::invalid_argument);
  EXPECT_THAT(error_of([&] { TokenBatches(file, 30, 1); }),
              HasSubstr(path().string() + ": must have more tokens than the context, 30, but has "
                                          "24; choose a smaller context"));
}

}  // namespace
