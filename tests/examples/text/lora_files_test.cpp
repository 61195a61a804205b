// SPDX-License-Identifier: Apache-2.0
// Folders with adapters of GPT-2: what is written is read, and wrong folders are errors.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "common/models/lora.hpp"
#include "gpt2_folder.hpp"

namespace {

using examples_test::Gpt2ConfigJson;
using examples_test::SavedGpt2;

// A model with adapters that change its predictions, and their folder.
struct SavedLora : SavedGpt2 {
  examples::LoraOptions options;
  std::filesystem::path lora = folder.path / "lora";
  std::filesystem::path lora_config = lora / "adapter_config.json";
  std::string good;  // adapter_config.json

  SavedLora() {
    options.rank = 3;
    options.alpha = 4.5;
    options.targets = {"c_attn", "mlp.c_proj"};
    examples::add_lora(*model, options, 1);
    const torch::NoGradGuard no_grad;
    for (auto& item : model->projections()) {
      if (item.second->has_adapter()) item.second->lora_b.normal_(0, 0.3);
    }
    examples::save_lora(*model, options, lora);
    good = Gpt2ConfigJson::parse(std::ifstream(lora_config)).dump();
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
  const std::string only = ", because no other value is supported";
  const std::string config = "adapter_config.json: ";
  const std::string list = "must be a list of one name or more; write out the modules";
  const std::string a = "base_model.model.transformer.h.0.attn.c_attn.lora_";
  const std::string m = "base_model.model.transformer.h.0.mlp.c_proj.lora_";
  const std::string b = "base_model.model.transformer.h.1.attn.c_attn.lora_";
  const std::string other =
      "adapter_model.safetensors: is of another model than the settings beside it; ";
  const std::vector<std::array<std::string, 3>> cases = {
      {"peft_type", "\"IA3\"", config + "peft_type is \"IA3\", but must be \"LORA\""},
      {"r", "0", config + "r is 0, but must be a whole number of 1 to 2147483647"},
      {"r", "2",
       other + "wrong shapes: " + a + "A.weight [3, 8], not [2, 8], " + a +
           "B.weight [24, 3], not [24, 2], " + m + "A.weight [3, 32], not [2, 32], " + m +
           "B.weight [8, 3], not [8, 2], " + b +
           "A.weight [3, 8], not [2, 8] and 3 more. Take "
           "both from the same folder"},
      {"lora_alpha", "\"a\"", config + "lora_alpha is \"a\", but must be a number"},
      {"bias", "\"all\"", config + "bias is \"all\", but must be \"none\"" + only},
      {"use_dora", "true", config + "use_dora is true, but must be false" + only},
      {"modules_to_save", "[\"wte\"]",
       config + "modules_to_save is a list, but must be null" + only},
      {"rank_pattern", "{\"c_attn\": 2}",
       config + "rank_pattern is an object, but must be {}" + only},
      {"target_modules", "\"c_attn\"", config + "target_modules is \"c_attn\", but " + list},
      {"target_modules", "[1]", config + "target_modules is a list, but " + list},
      {"target_modules", "[\"c_attn\", \"mlp.c_proj\", \"x\"]",
       config + "LoRA: a target must be the end of a projection's name, but 'x' ends none; choose "
                "among c_attn, c_proj, c_fc, attn.c_proj and mlp.c_proj"},
  };
  for (const auto& [name, value, message] : cases) {
    Gpt2ConfigJson bad = Gpt2ConfigJson::parse(saved.good);
    bad[name] = Gpt2ConfigJson::parse(value);
    std::ofstream(saved.lora_config) << bad;
    EXPECT_EQ(saved.error([&] { examples::load_lora(*loaded, saved.lora); }), "lora/" + message);
    EXPECT_FALSE(loaded->projections()[0].second->has_adapter());
    EXPECT_TRUE(loaded->parameters()[0].requires_grad());
  }
}

TEST(LoraFiles, SurviveDamagedSettings) {
  const SavedLora saved;
  auto loaded = examples::load_gpt2(saved.folder.path);
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 500; ++i) {
    std::ofstream(saved.lora_config) << examples_test::damaged_json(saved.good, random);
    const std::string error = saved.error([&] { examples::load_lora(*loaded, saved.lora); });
    EXPECT_TRUE(error.empty() || error.rfind("lora/adapter_", 0) == 0) << error;
    if (!error.empty()) continue;
    ++read;
    loaded = examples::load_gpt2(saved.folder.path);
  }
  EXPECT_GT(read, 10);
  EXPECT_LT(read, 490);
}

TEST(LoraFiles, MayNotBeDeep) {
  const SavedLora saved;
  std::ofstream(saved.lora_config) << examples_test::deep_json("peft_type");
  EXPECT_EQ(saved.error([&] { examples::load_lora(*saved.model, saved.lora); }),
            "lora/adapter_config.json: peft_type is a list, but must be \"LORA\"");
}

TEST(LoraFiles, AreWrittenWithTheOptionsOfTheModelOnly) {
  const SavedLora saved;
  const auto error = [&](auto&& change) {
    examples::LoraOptions other = saved.options;
    change(other);
    return saved.error([&] { examples::save_lora(*saved.model, other, saved.folder.path / "no"); });
  };
  const std::string rule =
      "LoRA: the options must be those of the model's adapters, but they give ";
  const std::string remedy = "; use those of add_lora() or load_lora()";
  EXPECT_EQ(error([](auto& o) { o.rank = 2; }),
            rule + "h.0.attn.c_attn the rank 2 and the scale 2.25, and it has 3 and 1.5" + remedy);
  EXPECT_EQ(error([](auto& o) { o.alpha = 6; }),
            rule + "h.0.attn.c_attn the rank 3 and the scale 2, and it has 3 and 1.5" + remedy);
  EXPECT_EQ(error([](auto& o) { o.targets = {"c_attn"}; }),
            rule + "h.0.mlp.c_proj the rank 0 and the scale 0, and it has 3 and 1.5" + remedy);
  EXPECT_EQ(error([](auto& o) { o.targets.push_back("c_fc"); }),
            rule + "h.0.mlp.c_fc the rank 3 and the scale 1.5, and it has 0 and 0" + remedy);
  EXPECT_FALSE(std::filesystem::exists(saved.folder.path / "no"));
}

}  // namespace
