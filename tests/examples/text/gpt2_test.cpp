// SPDX-License-Identifier: Apache-2.0
// GPT-2: sizes, causality, the cache of keys and values, dropout, the loss, and errors.
#include "common/models/gpt2.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/autocast.hpp"
#include "small.hpp"

namespace {

using examples::Gpt2;
using examples::Gpt2Options;
using examples::KeyValueCache;
using examples_test::error_of;
using torch::Tensor;

Gpt2Options small_gpt2() {
  Gpt2Options o;
  o.layers = 2;
  o.heads = 4;
  o.width = 32;
  o.context = 12;
  o.vocabulary = 41;
  return o;
}

// Weights larger than the initial ones, so that logits depend clearly on all tokens.
std::shared_ptr<Gpt2> lively_gpt2(const Gpt2Options& o) {
  torch::manual_seed(5);
  auto model = std::make_shared<Gpt2>(o);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.add_(torch::randn_like(p), 0.2);
  return model;
}

Tensor gpt2_tokens(int64_t n, int64_t t) { return torch::randint(0, 41, {n, t}, torch::kLong); }

TEST(Gpt2, PublishedSizesHaveTheirParameters) {
  const std::vector<std::pair<std::string, int64_t>> sizes = {
      {"124M", 124439808}, {"355M", 354823168}, {"774M", 774030080}, {"1558M", 1557611200}};
  for (const auto& [name, parameters] : sizes) {
    Gpt2Options o = examples::gpt2_options(name);
    o.initialise = false;  // the memory is not touched
    const int64_t layers = o.layers;
    o.layers = 1;
    const int64_t one = examples::parameter_count(Gpt2(o));
    o.layers = 2;
    const int64_t two = examples::parameter_count(Gpt2(o));
    EXPECT_EQ(one + (layers - 1) * (two - one), parameters) << name;
  }
  EXPECT_EQ(error_of([] { examples::gpt2_options("345M"); }),
            "GPT-2: the size must be 124M, 355M, 774M or 1558M, but is '345M'; choose one of "
            "these");
}

TEST(Gpt2, ParametersHaveHuggingFacesNamesAndLinearsShapes) {
  const auto parameters = Gpt2(small_gpt2()).named_parameters();
  EXPECT_EQ(parameters.size(), 2U + 2 * 12 + 2);
  EXPECT_EQ(parameters["wte.weight"].sizes(), (std::vector<int64_t>{41, 32}));
  EXPECT_EQ(parameters["wpe.weight"].sizes(), (std::vector<int64_t>{12, 32}));
  EXPECT_EQ(parameters["h.0.attn.c_attn.weight"].sizes(), (std::vector<int64_t>{96, 32}));
  EXPECT_EQ(parameters["h.1.mlp.c_proj.weight"].sizes(), (std::vector<int64_t>{32, 128}));
  for (const char* name : {"h.1.ln_1.weight", "h.1.ln_1.bias", "h.1.ln_2.weight", "ln_f.bias",
                           "h.0.attn.c_proj.bias", "h.0.mlp.c_fc.bias"}) {
    EXPECT_TRUE(parameters.contains(name)) << name;
  }
}

TEST(Gpt2, InitialWeightsHaveGpt2sDeviations) {
  Gpt2Options o = small_gpt2();
  o.width = 128;
  torch::manual_seed(1);
  const auto parameters = Gpt2(o).named_parameters();
  const auto deviation = [&](const char* name) { return parameters[name].std().item<double>(); };
  EXPECT_NEAR(deviation("wte.weight"), 0.02, 0.001);
  EXPECT_NEAR(deviation("h.0.attn.c_attn.weight"), 0.02, 0.001);
  EXPECT_NEAR(deviation("h.1.attn.c_proj.weight"), 0.01, 0.0005);  // 0.02 / sqrt(2 * 2 layers)
  EXPECT_NEAR(deviation("h.1.mlp.c_proj.weight"), 0.01, 0.0005);
  EXPECT_EQ(parameters["h.0.mlp.c_fc.bias"].abs().max().item<double>(), 0);
}

TEST(Gpt2, LossAtInitialisationIsThatOfEqualProbabilities) {
  torch::manual_seed(2);
  Gpt2 model(small_gpt2());
  const Tensor x = gpt2_tokens(4, 12), y = gpt2_tokens(4, 12);
  const Tensor loss = model.loss(x, y);
  EXPECT_NEAR(loss.item<double>(), std::log(41), 0.1);
  const Tensor by_hand = -model.forward(x).log_softmax(2).gather(2, y.unsqueeze(2)).mean();
  EXPECT_NEAR(loss.item<double>(), by_hand.item<double>(), 1e-5);
}

// The formulas, written out for one sequence and one layer.
TEST(Gpt2, LogitsAreThoseOfTheFormulas) {
  Gpt2Options o = small_gpt2();
  o.layers = 1;
  const torch::NoGradGuard no_grad;
  const auto model = lively_gpt2(o);
  const auto p = model->named_parameters();
  const auto norm = [&](const Tensor& x, const std::string& name) {
    const Tensor c = x - x.mean(-1, true);
    return c / (c.square().mean(-1, true) + 1e-5).sqrt() * p[name + ".weight"] + p[name + ".bias"];
  };
  const auto linear = [&](const Tensor& x, const std::string& name) {
    return x.matmul(p[name + ".weight"].t()) + p[name + ".bias"];
  };
  const Tensor tokens = gpt2_tokens(1, 7);
  Tensor x = p["wte.weight"].index_select(0, tokens[0]) + p["wpe.weight"].slice(0, 0, 7);
  const Tensor qkv = linear(norm(x, "h.0.ln_1"), "h.0.attn.c_attn");  // [7, 96]
  std::vector<Tensor> heads;
  for (int64_t h = 0; h < 4; ++h) {
    const auto part = [&](int64_t of) {
      return qkv.slice(1, of * 32 + h * 8, of * 32 + h * 8 + 8);
    };
    const Tensor scores = part(0).matmul(part(1).t()) / std::sqrt(8.0);  // [7, 7]
    const Tensor later = torch::ones({7, 7}, torch::kBool).triu(1);
    heads.push_back(scores.masked_fill(later, -INFINITY).softmax(1).matmul(part(2)));
  }
  x = x + linear(torch::cat(heads, 1), "h.0.attn.c_proj");
  const Tensor u = linear(norm(x, "h.0.ln_2"), "h.0.mlp.c_fc");
  const Tensor gelu = 0.5 * u * (1 + torch::tanh(std::sqrt(2 / M_PI) * (u + 0.044715 * u.pow(3))));
  x = x + linear(gelu, "h.0.mlp.c_proj");
  const Tensor expected = norm(x, "ln_f").matmul(p["wte.weight"].t());  // [7, 41]
  EXPECT_TRUE(torch::allclose(model->forward(tokens)[0], expected, 1e-4, 1e-4));
}

TEST(Gpt2, LaterTokensDoNotChangeEarlierLogits) {
  const torch::NoGradGuard no_grad;
  const auto model = lively_gpt2(small_gpt2());
  const Tensor a = gpt2_tokens(2, 12);
  Tensor b = a.clone();
  b.select(1, 7).add_(1).remainder_(41);
  const Tensor difference = (model->forward(a) - model->forward(b)).abs().amax({0, 2});  // [12]
  EXPECT_LT(difference.slice(0, 0, 7).max().item<double>(), 1e-6);
  EXPECT_GT(difference.slice(0, 7).min().item<double>(), 1e-3);
}

TEST(Gpt2, CacheGivesTheLogitsOfTheWhole) {
  const auto model = lively_gpt2(small_gpt2());
  const Tensor tokens = gpt2_tokens(3, 12);
  const Tensor whole = model->forward(tokens);
  for (const std::vector<int64_t>& pieces :
       {std::vector<int64_t>(12, 1), {12}, {5, 1, 4, 2}, {1, 11}}) {
    KeyValueCache cache;
    std::vector<Tensor> parts;
    for (const int64_t t : pieces) {
      parts.push_back(model->forward(tokens.narrow(1, cache.tokens, t), &cache));
    }
    EXPECT_EQ(cache.tokens, 12);
    EXPECT_FALSE(parts[0].requires_grad());
    EXPECT_TRUE(torch::allclose(torch::cat(parts, 1), whole, 1e-5, 1e-5)) << pieces.size();
  }
}

// bfloat16 has 8 bits, so a logit's error is about 2^-8 of the largest one.
TEST(Gpt2, CacheHoldsBfloat16InsideOfAutocast) {
  const auto model = lively_gpt2(small_gpt2());
  const Tensor tokens = gpt2_tokens(2, 12);
  const torch::NoGradGuard no_grad;
  const examples::Autocast autocast(torch::kCPU, true);
  const Tensor whole = model->forward(tokens).to(torch::kFloat);
  KeyValueCache cache;
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < 12; ++i) parts.push_back(model->forward(tokens.narrow(1, i, 1), &cache));
  EXPECT_EQ(cache.keys[0].scalar_type(), torch::kBFloat16);
  EXPECT_EQ(cache.values[1].scalar_type(), torch::kBFloat16);
  const Tensor difference = torch::cat(parts, 1).to(torch::kFloat) - whole;
  EXPECT_LT(difference.abs().max().item<double>(), 0.03 * whole.abs().max().item<double>());
}

TEST(Gpt2, DropoutWorksInTrainingOnly) {
  const torch::NoGradGuard no_grad;
  Gpt2Options o = small_gpt2();
  const auto without = lively_gpt2(o);
  o.dropout = 0.3;
  const auto model = lively_gpt2(o);
  const Tensor tokens = gpt2_tokens(2, 12);
  EXPECT_FALSE(model->forward(tokens).equal(model->forward(tokens)));
  model->eval();
  EXPECT_TRUE(model->forward(tokens).equal(without->forward(tokens)));
}

TEST(Gpt2, RecomputationKeepsLossAndGradients) {
  Gpt2Options o = small_gpt2();
  o.dropout = 0.2;
  std::vector<std::shared_ptr<Gpt2>> models = {lively_gpt2(o)};
  o.recompute = true;
  models.push_back(lively_gpt2(o));
  const Tensor x = gpt2_tokens(2, 12), y = gpt2_tokens(2, 12);
  std::vector<double> losses;
  for (const auto& model : models) {
    torch::manual_seed(8);
    const Tensor loss = model->loss(x, y);
    loss.backward();
    losses.push_back(loss.item<double>());
  }
  EXPECT_EQ(losses[0], losses[1]);
  const auto a = models[0]->parameters(), b = models[1]->parameters();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].grad().equal(b[i].grad())) << i;
}

TEST(Gpt2, OptionsOutOfRangeAreErrors) {
  const auto error = [](auto&& change) {
    Gpt2Options o = small_gpt2();
    change(o);
    return error_of([&] { Gpt2 model(o); });
  };
  EXPECT_EQ(error([](Gpt2Options& o) { o.layers = 0; }),
            "GPT-2: layers must be at least 1, but is 0; choose a positive number");
  EXPECT_EQ(error([](Gpt2Options& o) { o.width = 30; }),
            "GPT-2: the width must be a multiple of the number of heads, 4, but is 30; choose 32 "
            "or another multiple");
  EXPECT_EQ(error([](Gpt2Options& o) { o.dropout = 1; }),
            "GPT-2: the dropout must be at least 0 and below 1, but is 1; choose 0 for none");
}

TEST(Gpt2, TokensBeyondTheContextAreErrors) {
  Gpt2 model(small_gpt2());
  EXPECT_EQ(error_of([&] { model.forward(gpt2_tokens(1, 13)); }),
            "GPT-2: the tokens must be at most 12, the context, but are 13, 0 of them in the "
            "cache; give the last ones only");
  KeyValueCache cache;
  model.forward(gpt2_tokens(1, 12), &cache);
  EXPECT_EQ(error_of([&] { model.forward(gpt2_tokens(1, 1), &cache); }),
            "GPT-2: the tokens must be at most 12, the context, but are 13, 12 of them in the "
            "cache; give the last ones only");
}

TEST(Gpt2, CacheOfOtherSequencesIsAnError) {
  Gpt2 model(small_gpt2());
  KeyValueCache cache;
  model.forward(gpt2_tokens(1, 2), &cache);
  EXPECT_EQ(error_of([&] { model.forward(gpt2_tokens(2, 2), &cache); }),
            "GPT-2: a cache must be used with one model, number of sequences, type and device, "
            "now 2 layers of [2, 4, 12, 8], Float on cpu, but it was filled with others; begin "
            "with an empty cache");
  EXPECT_EQ(cache.tokens, 2);
  model.to(torch::kDouble);
  EXPECT_EQ(error_of([&] { model.forward(gpt2_tokens(1, 2), &cache); }),
            "GPT-2: a cache must be used with one model, number of sequences, type and device, "
            "now 2 layers of [1, 4, 12, 8], Double on cpu, but it was filled with others; begin "
            "with an empty cache");
  cache.tokens = 0;
  model.forward(gpt2_tokens(1, 2), &cache);
  EXPECT_EQ(cache.keys[1].scalar_type(), torch::kDouble);
}

TEST(Gpt2, TokensOfOtherShapesAreErrors) {
  Gpt2 model(small_gpt2());
  const auto error = [&](const Tensor& tokens) {
    return error_of([&] { model.features(tokens); });
  };
  const std::string rule =
      "GPT-2: the tokens must be int64 [n, t] with at least 1 sequence of at least 1 token, but "
      "are ";
  EXPECT_EQ(error(gpt2_tokens(0, 5)), rule + "Long [0, 5]; give at least one token");
  EXPECT_EQ(error(gpt2_tokens(5, 0)), rule + "Long [5, 0]; give at least one token");
  EXPECT_EQ(error(torch::zeros({2, 3})), rule + "Float [2, 3]; give at least one token");
  EXPECT_EQ(error(gpt2_tokens(1, 5)[0]), rule + "Long [5]; give at least one token");
  EXPECT_EQ(error_of([&] { model.loss(gpt2_tokens(0, 5), gpt2_tokens(0, 5)); }),
            rule + "Long [0, 5]; give at least one token");
}

TEST(Gpt2, NamesEndAtDots) {
  EXPECT_TRUE(examples::ends_with_name("h.0.attn.c_proj", "c_proj"));
  EXPECT_TRUE(examples::ends_with_name("h.0.attn.c_proj", "attn.c_proj"));
  EXPECT_TRUE(examples::ends_with_name("c_proj", "c_proj"));
  EXPECT_FALSE(examples::ends_with_name("h.0.attn.c_proj", "proj"));
  EXPECT_FALSE(examples::ends_with_name("c_proj", "attn.c_proj"));
}

}  // namespace
