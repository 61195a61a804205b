// SPDX-License-Identifier: Apache-2.0
// Folders with a GPT-2 or its adapters: what is written is read, and wrong folders are errors.
#include "common/models/gpt2_weights.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "common/models/lora.hpp"
#include "common/models/safetensors.hpp"
#include "small.hpp"

namespace {

using examples_test::error_of;
using testing::HasSubstr;
using Gpt2ConfigJson = nlohmann::json;
using Gpt2FileTensors = std::map<std::string, torch::Tensor>;

constexpr const char* kTokenEmbedding = "transformer.wte.weight";

// A folder with a small model, whose values are all random.
struct SavedGpt2 {
  examples_test::Folder folder{"gpt2_weights"};
  std::filesystem::path config = folder.path / "config.json";
  std::filesystem::path weights = folder.path / "model.safetensors";
  std::shared_ptr<examples::Gpt2> model;
  torch::Tensor tokens = torch::tensor({{3, 1, 4, 1}, {5, 9, 2, 6}});

  SavedGpt2() {
    examples::Gpt2Options options;
    options.layers = 2, options.heads = 2, options.width = 8, options.context = 5;
    options.vocabulary = 11;
    options.dropout = 0.25;
    model = std::make_shared<examples::Gpt2>(options);
    model->eval();
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& p : model->parameters()) p.normal_(0, 0.3);
    examples::save_gpt2(*model, folder.path);
  }

  void change_config(const std::string& name, const Gpt2ConfigJson& value) const {
    Gpt2ConfigJson json = Gpt2ConfigJson::parse(std::ifstream(config));
    json[name] = value;
    std::ofstream(config) << json;
  }

  void change_weights(const std::function<void(Gpt2FileTensors&)>& change) const {
    Gpt2FileTensors tensors;
    {
      const examples::Safetensors file(weights);
      for (const std::string& name : file.names()) tensors[name] = file.tensor(name).clone();
    }
    change(tensors);
    examples::save_safetensors(weights, tensors);
  }

  std::string error() const {
    return error_of([this] { examples::load_gpt2(folder.path); });
  }

  torch::Tensor loaded_logits() const {
    const auto loaded = examples::load_gpt2(folder.path);
    loaded->eval();
    return loaded->forward(tokens);
  }
};

TEST(Gpt2Weights, AreReadAsTheyWereWritten) {
  const SavedGpt2 saved;
  const auto loaded = examples::load_gpt2(saved.folder.path);
  EXPECT_EQ(loaded->options().heads, 2);
  EXPECT_EQ(loaded->options().context, 5);
  EXPECT_EQ(loaded->options().dropout, 0.25);
  const auto parameters = loaded->named_parameters();
  for (const auto& item : saved.model->named_parameters()) {
    EXPECT_TRUE(torch::equal(item.value(), parameters[item.key()])) << item.key();
    EXPECT_TRUE(parameters[item.key()].requires_grad());
  }
}

TEST(Gpt2Weights, OfProjectionsAreStoredTransposed) {
  const SavedGpt2 saved;
  const examples::Safetensors file(saved.weights);
  EXPECT_THAT(file.tensor("transformer.h.1.mlp.c_fc.weight").sizes(), testing::ElementsAre(8, 32));
  EXPECT_FALSE(file.has("lm_head.weight"));
}

TEST(Gpt2Weights, MayBeHalfWithoutPrefixWithBuffersAndHead) {
  const SavedGpt2 saved;
  saved.change_weights([](Gpt2FileTensors& tensors) {
    Gpt2FileTensors changed;
    for (const auto& [name, tensor] : tensors) {
      changed[name.substr(std::string("transformer.").size())] = tensor.to(at::kBFloat16);
    }
    changed["h.1.attn.bias"] = torch::ones({1, 1, 5, 5}, at::kBool);
    changed["h.0.attn.masked_bias"] = torch::tensor(-1e4);
    changed["lm_head.weight"] = changed["wte.weight"];
    tensors = changed;
  });
  const torch::Tensor expected = saved.model->forward(saved.tokens);
  EXPECT_TRUE(torch::allclose(saved.loaded_logits(), expected, 0.1, 0.1));
}

TEST(Gpt2Weights, AreMergedWithAdaptersWhenWritten) {
  const SavedGpt2 saved;
  examples::add_lora(*saved.model, examples::LoraOptions(), 1);
  const torch::NoGradGuard no_grad;
  for (auto& item : saved.model->projections()) item.second->lora_b.normal_(0, 0.3);
  const torch::Tensor before = saved.loaded_logits();
  examples::save_gpt2(*saved.model, saved.folder.path);
  const torch::Tensor expected = saved.model->forward(saved.tokens);
  EXPECT_FALSE(torch::allclose(before, expected, 1e-2, 1e-2));
  EXPECT_TRUE(torch::allclose(saved.loaded_logits(), expected, 1e-4, 1e-4));
}

TEST(Gpt2Weights, ReportMissingUnknownAndWrongTensors) {
  const SavedGpt2 saved;
  saved.change_weights([](Gpt2FileTensors& tensors) {
    tensors.erase("transformer.h.0.ln_1.bias");
    tensors["transformer.h.0.ln_3.bias"] = torch::zeros(8);
    tensors["transformer.wpe.weight"] = torch::zeros({6, 8});
  });
  const std::string error = saved.error();
  EXPECT_THAT(error, HasSubstr("model.safetensors: "));
  EXPECT_THAT(error, HasSubstr("missing: transformer.h.0.ln_1.bias"));
  EXPECT_THAT(error, HasSubstr("unknown: transformer.h.0.ln_3.bias"));
  EXPECT_THAT(error, HasSubstr("wrong shapes: transformer.wpe.weight [6, 8], not [5, 8]"));
}

TEST(Gpt2Weights, ReportFiveNamesAtMost) {
  const SavedGpt2 saved;
  saved.change_weights([](Gpt2FileTensors& tensors) {
    for (int i = 0; i < 7; ++i) tensors["x" + std::to_string(i)] = torch::zeros(1);
  });
  EXPECT_THAT(saved.error(), HasSubstr("x0, x1, x2, x3, x4 and 2 more"));
}

TEST(Gpt2Weights, MustHaveTheTiedHead) {
  const SavedGpt2 saved;
  saved.change_config("tie_word_embeddings", false);
  EXPECT_THAT(saved.error(), HasSubstr("lacks lm_head.weight"));
  saved.change_weights(
      [](Gpt2FileTensors& t) { t["lm_head.weight"] = t[kTokenEmbedding].clone(); });
  EXPECT_EQ(saved.error(), "");
  saved.change_weights([](Gpt2FileTensors& t) { t["lm_head.weight"][10][7] += 1; });
  EXPECT_THAT(saved.error(), HasSubstr("must be equal to the token embedding"));
}

TEST(Gpt2Weights, MustBeFloatingPoint) {
  const SavedGpt2 saved;
  saved.change_weights(
      [](Gpt2FileTensors& t) { t[kTokenEmbedding] = t[kTokenEmbedding].to(at::kInt); });
  EXPECT_THAT(saved.error(), HasSubstr("wte.weight is of type Int"));
}

TEST(Gpt2Weights, RefuseSettingsOfOtherModels) {
  const std::pair<const char*, Gpt2ConfigJson> cases[] = {
      {"model_type", "bert"},
      {"architectures", {"GPT2ForSequenceClassification"}},
      {"activation_function", "relu"},
      {"layer_norm_epsilon", 1e-6},
      {"scale_attn_weights", false},
      {"scale_attn_by_inverse_layer_idx", true},
      {"reorder_and_upcast_attn", true},
      {"n_inner", 16},
      {"n_layer", 0},
      {"n_embd", "8"},
      {"n_head", 3},
      {"vocab_size", 2.5},
      {"attn_pdrop", 0.5},
      {"resid_pdrop", 1}};
  for (const auto& [name, value] : cases) {
    const SavedGpt2 saved;
    saved.change_config(name, value);
    EXPECT_THAT(saved.error(), HasSubstr("config.json: ")) << name;
  }
}

TEST(Gpt2Weights, DoNotAskForMemoryThatWrongSettingsWant) {
  for (const char* name : {"n_layer", "vocab_size", "n_positions"}) {
    const SavedGpt2 saved;
    saved.change_config(name, 2'000'000'000);
    EXPECT_THAT(saved.error(), HasSubstr("model.safetensors: ")) << name;
  }
}

TEST(Gpt2Weights, ReportFilesThatCannotBeReadOrWritten) {
  const SavedGpt2 saved;
  std::ofstream(saved.config) << "[1";
  EXPECT_THAT(saved.error(), HasSubstr("config.json: is no JSON object"));
  EXPECT_THAT(error_of([&] { examples::load_gpt2(saved.folder.path / "no"); }), HasSubstr("no/"));
  EXPECT_THAT(error_of([&] { examples::save_gpt2(*saved.model, saved.config); }),
              HasSubstr("config.json/model.safetensors"));
}

// A model with adapters that change its predictions, and their folder.
struct SavedLora : SavedGpt2 {
  examples::LoraOptions options;

  SavedLora() {
    options.rank = 3;
    options.alpha = 4.5;
    options.targets = {"c_attn", "mlp.c_proj"};
    examples::add_lora(*model, options, 1);
    const torch::NoGradGuard no_grad;
    for (auto& item : model->projections()) {
      if (item.second->has_adapter()) item.second->lora_b.normal_(0, 0.3);
    }
    examples::save_lora(*model, options, folder.path / "lora");
  }
};

TEST(LoraFiles, AreReadAsTheyWereWritten) {
  const SavedLora saved;
  const auto loaded = examples::load_gpt2(saved.folder.path);
  loaded->eval();
  const examples::LoraOptions options = examples::load_lora(*loaded, saved.folder.path / "lora");
  EXPECT_EQ(options.rank, 3);
  EXPECT_EQ(options.alpha, 4.5);
  EXPECT_EQ(options.targets, saved.options.targets);
  EXPECT_TRUE(torch::equal(loaded->forward(saved.tokens), saved.model->forward(saved.tokens)));
  EXPECT_FALSE(torch::allclose(saved.loaded_logits(), saved.model->forward(saved.tokens)));
}

TEST(LoraFiles, OfAnotherModelLeaveItAsItWas) {
  const SavedLora saved;
  const auto loaded = examples::load_gpt2(saved.folder.path);
  const std::filesystem::path config = saved.folder.path / "lora" / "adapter_config.json";
  const Gpt2ConfigJson good = Gpt2ConfigJson::parse(std::ifstream(config));
  const std::pair<const char*, Gpt2ConfigJson> cases[] = {
      {"peft_type", "IA3"},      {"r", 2},           {"r", 0},
      {"lora_alpha", "a"},       {"bias", "all"},    {"target_modules", "c_attn"},
      {"target_modules", {"x"}}, {"use_dora", true}, {"rank_pattern", {{"c_attn", 2}}}};
  for (const auto& [name, value] : cases) {
    Gpt2ConfigJson bad = good;
    bad[name] = value;
    std::ofstream(config) << bad;
    EXPECT_THAT(error_of([&] { examples::load_lora(*loaded, saved.folder.path / "lora"); }),
                HasSubstr("adapter_"))
        << name;
    EXPECT_FALSE(loaded->projections()[0].second->has_adapter());
    EXPECT_TRUE(loaded->parameters()[0].requires_grad());
  }
}

}  // namespace
