// SPDX-License-Identifier: Apache-2.0
// Low-rank adapters of GPT-2: they begin without effect, they alone are trained, and they can be
// merged into the weights.
#include "common/models/lora.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "small.hpp"

namespace {

using examples::Gpt2;
using examples::Gpt2Options;
using examples::LoraOptions;
using examples_test::error_of;
using torch::Tensor;

Gpt2 gpt2_for_lora() {
  Gpt2Options o;
  o.layers = 2;
  o.heads = 2;
  o.width = 16;
  o.context = 8;
  o.vocabulary = 23;
  torch::manual_seed(6);
  return Gpt2(o);
}

// Adapters with an effect, as after training.
void train_adapters(const Gpt2& model) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, projection] : model.projections()) {
    if (projection->has_adapter()) projection->lora_b.normal_(0, 0.1);
  }
}

Tensor lora_tokens() { return torch::arange(16).remainder(23).view({2, 8}); }

TEST(Lora, NewAdaptersKeepTheLogits) {
  Gpt2 model = gpt2_for_lora();
  const Tensor before = model.forward(lora_tokens());
  examples::add_lora(model, {4, 8, {"c_attn"}}, 1);
  EXPECT_TRUE(model.forward(lora_tokens()).equal(before));
  for (const auto& [name, projection] : model.projections()) {
    EXPECT_EQ(projection->has_adapter(), name.find("c_attn") != std::string::npos) << name;
  }
  EXPECT_EQ(model.projections()[0].second->scale, 2);
  EXPECT_LE(model.projections()[0].second->lora_a.abs().max().item<double>(), 0.25);
  EXPECT_GT(model.projections()[0].second->lora_a.std().item<double>(), 0.1);  // 0.25 / sqrt(3)
}

TEST(Lora, OnlyAdaptersAreTrained) {
  Gpt2 model = gpt2_for_lora();
  examples::add_lora(model, {}, 1);
  train_adapters(model);
  model.loss(lora_tokens(), lora_tokens()).backward();
  for (const auto& item : model.named_parameters()) {
    const bool adapter = item.key().find(".lora_") != std::string::npos;
    EXPECT_EQ(item.value().requires_grad(), adapter) << item.key();
    EXPECT_EQ(item.value().grad().defined(), adapter) << item.key();
  }
}

TEST(Lora, SeedDecidesTheAdapters) {
  std::vector<Tensor> a;
  for (const uint64_t seed : {1U, 1U, 2U}) {
    Gpt2 model = gpt2_for_lora();
    torch::rand({static_cast<int64_t>(a.size()) + 1});
    examples::add_lora(model, {}, seed);
    a.push_back(model.projections()[3].second->lora_a);
  }
  EXPECT_TRUE(a[0].equal(a[1]));
  EXPECT_FALSE(a[0].equal(a[2]));
}

TEST(Lora, MergedModelComputesTheSame) {
  Gpt2 model = gpt2_for_lora();
  examples::add_lora(model, {3, 7, {"attn.c_proj", "c_fc"}}, 1);
  train_adapters(model);
  const auto merged = examples::merge_lora(model);
  const Tensor expected = model.forward(lora_tokens()), got = merged->forward(lora_tokens());
  EXPECT_LT((got - expected).abs().max().item<double>(),
            1e-5 * expected.abs().max().item<double>());
  for (const auto& [name, p] : model.projections()) {
    const Tensor weight = merged->named_parameters()[name + ".weight"];
    EXPECT_TRUE(weight.equal(p->has_adapter() ? p->weight + p->scale * p->lora_b.mm(p->lora_a)
                                              : p->weight));
    EXPECT_EQ(weight.equal(p->weight), !p->has_adapter()) << name;
  }
  EXPECT_EQ(merged->named_parameters().size(), 28U);
  for (const Tensor& p : merged->parameters()) EXPECT_TRUE(p.requires_grad());
}

TEST(Lora, ErrorsLeaveTheModelAsItWas) {
  Gpt2 model = gpt2_for_lora();
  EXPECT_EQ(error_of([&] {
              examples::add_lora(model, {4, 8, {"c_attn", "query"}}, 1);
            }),
            "LoRA: a target must be the end of a projection's name, but 'query' ends none; choose "
            "among c_attn, c_proj, c_fc, attn.c_proj and mlp.c_proj");
  EXPECT_EQ(error_of([&] {
              examples::add_lora(model, {17, 8, {"c_proj"}}, 1);
            }),
            "LoRA: the rank for h.0.attn.c_proj must be 1 to 16, but is 17; choose another rank");
  EXPECT_EQ(error_of([&] {
              examples::add_lora(model, {4, 8, {}}, 1);
            }),
            "LoRA: at least 1 target must be given, but there is none; name c_attn for example");
  for (const Tensor& p : model.parameters()) EXPECT_TRUE(p.requires_grad());
  EXPECT_EQ(model.named_parameters().size(), 28U);
  examples::add_lora(model, {}, 1);
  EXPECT_EQ(error_of([&] { examples::add_lora(model, {}, 1); }),
            "LoRA: a layer can carry one adapter, but h.0.attn.c_attn has one already; merge it "
            "first");
}

TEST(Lora, ProjectionRefusesRanksOutOfRange) {
  examples::Projection projection(3, 5);
  EXPECT_EQ(error_of([&] { projection.add_adapter(4, 1); }),
            "projection: the rank of an adapter for 3 inputs and 5 outputs must be 1 to 3, but is "
            "4; choose another rank");
  projection.add_adapter(3, 1);
  EXPECT_THROW(projection.add_adapter(3, 1), std::logic_error);
}

}  // namespace
