// SPDX-License-Identifier: Apache-2.0
// Folders with a GPT-2: what is written is read, and wrong folders are errors.
#include "common/models/gpt2_weights.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/models/lora.hpp"
#include "gpt2_folder.hpp"

namespace {

using examples_test::Gpt2ConfigJson;
using examples_test::Gpt2FileTensors;
using examples_test::kTokenEmbedding;
using examples_test::SavedGpt2;

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

TEST(Gpt2Weights, MayBeLoadedWithOtherDropoutAndRecomputation) {
  const SavedGpt2 saved;
  const auto loaded = examples::load_gpt2(saved.folder.path, 0.0, true);
  EXPECT_EQ(loaded->options().dropout, 0);
  EXPECT_TRUE(loaded->options().recompute);
  EXPECT_FALSE(examples::load_gpt2(saved.folder.path)->options().recompute);
  saved.change_config("attn_pdrop", 0.5);
  EXPECT_EQ(examples::load_gpt2(saved.folder.path, 0.1)->options().dropout, 0.1);
  EXPECT_EQ(saved.error([&] { examples::load_gpt2(saved.folder.path, 1); }),
            "GPT-2: the dropout must be at least 0 and below 1, but is 1; choose 0 for none");
}

TEST(Gpt2Weights, ReportMissingUnknownAndWrongTensors) {
  const SavedGpt2 saved;
  saved.change_weights([](Gpt2FileTensors& tensors) {
    tensors.erase("transformer.h.0.ln_1.bias");
    tensors["transformer.h.0.ln_3.bias"] = torch::zeros(8);
    tensors["transformer.wpe.weight"] = torch::zeros({6, 8});
  });
  EXPECT_EQ(saved.error(),
            "model.safetensors: is of another model than the settings beside it; missing: "
            "transformer.h.0.ln_1.bias; unknown: transformer.h.0.ln_3.bias; wrong shapes: "
            "transformer.wpe.weight [6, 8], not [5, 8]. Take both from the same folder");
}

TEST(Gpt2Weights, ReportFiveNamesAtMost) {
  const SavedGpt2 saved;
  saved.change_weights([](Gpt2FileTensors& tensors) {
    for (int i = 0; i < 7; ++i) tensors["x" + std::to_string(i)] = torch::zeros(1);
  });
  EXPECT_EQ(saved.error(),
            "model.safetensors: is of another model than the settings beside it; unknown: x0, x1, "
            "x2, x3, x4 and 2 more. Take both from the same folder");
}

TEST(Gpt2Weights, MustHaveTheTiedHead) {
  const SavedGpt2 saved;
  saved.change_config("tie_word_embeddings", false);
  EXPECT_EQ(saved.error(),
            "model.safetensors: lacks lm_head.weight, although config.json says that it is not "
            "tied to the token embedding; set tie_word_embeddings to true if it is");
  saved.change_weights(
      [](Gpt2FileTensors& t) { t["lm_head.weight"] = t[kTokenEmbedding].clone(); });
  EXPECT_EQ(saved.error(), "");
  saved.change_weights([](Gpt2FileTensors& t) { t["lm_head.weight"][10][7] += 1; });
  EXPECT_EQ(saved.error(),
            "model.safetensors: its lm_head.weight must be equal to the token embedding, but "
            "differs; models with a head of their own are not supported");
}

TEST(Gpt2Weights, MustBeFloatingPoint) {
  const SavedGpt2 saved;
  saved.change_weights(
      [](Gpt2FileTensors& t) { t[kTokenEmbedding] = t[kTokenEmbedding].to(at::kInt); });
  EXPECT_EQ(saved.error(),
            "model.safetensors: transformer.wte.weight is of type Int, but must be float32, "
            "float16 or bfloat16; convert it in Python");
}

TEST(Gpt2Weights, RefuseSettingsOfOtherModels) {
  const std::string only = ", because no other value is supported";
  const std::string whole = "must be a whole number of 1 to 2147483647";
  const std::string lists = "must be [\"GPT2LMHeadModel\"] or [\"GPT2Model\"]";
  // A name, its value, and the message after the name where it is another one than that name.
  const std::vector<std::array<std::string, 3>> cases = {
      {"model_type", "\"bert\"", "model_type is \"bert\", but must be \"gpt2\""},
      {"architectures", "[\"X\"]", "architectures is a list, but " + lists},
      {"architectures", "\"X\"", "architectures is \"X\", but " + lists},
      {"activation_function", "\"relu\"",
       "activation_function is \"relu\", but must be \"gelu_new\"" + only},
      {"layer_norm_epsilon", "0.5", "layer_norm_epsilon is 0.5, but must be 1e-05" + only},
      {"scale_attn_weights", "false", "scale_attn_weights is false, but must be true" + only},
      {"scale_attn_by_inverse_layer_idx", "true",
       "scale_attn_by_inverse_layer_idx is true, but must be false" + only},
      {"reorder_and_upcast_attn", "true",
       "reorder_and_upcast_attn is true, but must be false" + only},
      {"add_cross_attention", "true", "add_cross_attention is true, but must be false" + only},
      {"n_inner", "16", "n_inner is 16, but must be 32" + only},
      {"n_ctx", "{}", "n_ctx is an object, but must be 5" + only},
      {"n_layer", "0", "n_layer is 0, but " + whole},
      {"n_embd", "\"8\"", "n_embd is \"8\", but " + whole},
      {"n_head", "3", "n_embd is 8, but must be a multiple of n_head"},
      {"vocab_size", "2.5", "vocab_size is 2.5, but " + whole},
      {"attn_pdrop", "0.5",
       "attn_pdrop is 0.5, but must be resid_pdrop, 0.25; make the three equal"},
      {"resid_pdrop", "1", "resid_pdrop is 1, but must be a probability of 0 to below 1"}};
  for (const auto& [name, value, message] : cases) {
    const SavedGpt2 saved;
    saved.change_config(name, Gpt2ConfigJson::parse(value));
    EXPECT_EQ(saved.error(), "config.json: " + message);
  }
}

TEST(Gpt2Weights, RefuseDeepAndLongSettings) {
  const SavedGpt2 saved;
  std::ofstream(saved.config) << examples_test::deep_json("model_type");
  EXPECT_EQ(saved.error(), "config.json: model_type is a list, but must be \"gpt2\"");
  std::ofstream(saved.config) << "{\"model_type\": \"" << std::string(1000, 'x') << "\"}";
  EXPECT_EQ(saved.error(),
            "config.json: model_type is \"" + std::string(59, 'x') + "..., but must be \"gpt2\"");
  std::ofstream(saved.config) << std::string((1 << 20) + 1, ' ');
  EXPECT_EQ(
      saved.error(),
      "config.json: has 1048577 bytes, but settings have at most 1048576; get the file again");
}

TEST(Gpt2Weights, SurviveDamagedSettings) {
  const SavedGpt2 saved;
  const std::string good = Gpt2ConfigJson::parse(std::ifstream(saved.config)).dump();
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 500; ++i) {
    std::ofstream(saved.config) << examples_test::damaged_json(good, random);
    const std::string error = saved.error();
    if (error.empty()) ++read;
    EXPECT_TRUE(error.empty() || error.find(": ") != std::string::npos) << error;
  }
  EXPECT_GT(read, 10);
  EXPECT_LT(read, 490);
}

TEST(Gpt2Weights, DoNotAskForMemoryThatWrongSettingsWant) {
  const std::string begin = "model.safetensors: ";
  const std::string other =
      begin + "is of another model than the settings beside it; wrong shapes: ";
  const std::string end = ", not [2000000000, 8]. Take both from the same folder";
  const std::pair<const char*, std::string> cases[] = {
      {"n_layer", begin + "has 28 tensors, which are too few for the 2000000000 layers of "
                          "config.json; take both from the same folder"},
      {"vocab_size", other + "transformer.wte.weight [11, 8]" + end},
      {"n_positions", other + "transformer.wpe.weight [5, 8]" + end}};
  for (const auto& [name, message] : cases) {
    const SavedGpt2 saved;
    saved.change_config(name, 2'000'000'000);
    EXPECT_EQ(saved.error(), message);
  }
}

TEST(Gpt2Weights, ReportFilesThatCannotBeReadOrWritten) {
  const SavedGpt2 saved;
  std::ofstream(saved.config) << "[1";
  EXPECT_EQ(saved.error(), "config.json: is no JSON object; get the file again");
  EXPECT_EQ(saved.error([&] { examples::load_gpt2(saved.folder.path / "no"); }),
            "no/config.json: cannot be opened: No such file or directory; check that it exists and "
            "is readable");
  EXPECT_EQ(saved.error([&] { examples::save_gpt2(*saved.model, saved.config); }),
            "config.json/config.json.new: cannot be written: Not a directory; a previous file of "
            "this name is unchanged");
}

// A folder where a file would be written stands for a full disk.
TEST(Gpt2Weights, AreAsBeforeWhereOneFileCannotBeWritten) {
  const SavedGpt2 saved;
  const torch::Tensor before = saved.loaded_logits();
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : saved.model->parameters()) p.mul_(2);
  for (const std::string name : {"model.safetensors", "config.json.new"}) {
    const std::filesystem::path obstacle = saved.folder.path / (name + ".part");
    std::filesystem::create_directory(obstacle);
    EXPECT_EQ(saved.error([&] { examples::save_gpt2(*saved.model, saved.folder.path); }),
              name +
                  ": cannot be written: Is a directory; a previous file of this name is "
                  "unchanged");
    EXPECT_TRUE(torch::equal(saved.loaded_logits(), before));
    EXPECT_FALSE(std::filesystem::exists(saved.folder.path / "config.json.new"));
    std::filesystem::remove(obstacle);
  }
  examples::save_gpt2(*saved.model, saved.folder.path);
  EXPECT_FALSE(torch::allclose(saved.loaded_logits(), before));
}

TEST(Gpt2Weights, SettingsThatCannotGetTheirNameAreReported) {
  const SavedGpt2 saved;
  std::filesystem::remove(saved.config);
  std::filesystem::create_directory(saved.config);
  EXPECT_EQ(saved.error([&] { examples::save_gpt2(*saved.model, saved.folder.path); }),
            "config.json: cannot be written: Is a directory; rename config.json.new to it");
}

}  // namespace
