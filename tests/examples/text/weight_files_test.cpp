// SPDX-License-Identifier: Apache-2.0
// Weights in several files: they are those of one file, and wrong or missing files are errors.
#include "common/models/weight_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/text/character_tokenizer.hpp"
#include "gpt2/model_folder.hpp"
#include "gpt2_folder.hpp"

namespace {

using examples::Safetensors;
using examples_test::Gpt2ConfigJson;
using examples_test::Gpt2FileTensors;
using examples_test::kTokenEmbedding;
using examples_test::SavedGpt2;
using testing::ElementsAre;

constexpr const char* kFirstShard = "model-00001-of-00002.safetensors";
constexpr const char* kSecondShard = "model-00002-of-00002.safetensors";
constexpr const char* kFinalBias = "transformer.ln_f.bias";  // in the second shard

// A folder with a small model whose weights are in two files.
struct ShardedGpt2 : SavedGpt2 {
  std::filesystem::path index = folder.path / "model.safetensors.index.json";
  torch::Tensor expected = loaded_logits();  // of the weights in one file

  ShardedGpt2() {
    Gpt2FileTensors first, second;
    {
      const Safetensors file(weights);
      for (const std::string& name : file.names()) {
        const bool of_second = name == kFinalBias || name.find("h.1.") != std::string::npos;
        (of_second ? second : first)[name] = file.tensor(name).clone();
      }
    }
    std::filesystem::remove(weights);
    write_shard(kFirstShard, first);
    write_shard(kSecondShard, second);
    Gpt2ConfigJson json = {{"metadata", {{"total_size", 8000}}}};
    for (const auto& item : first) json["weight_map"][item.first] = kFirstShard;
    for (const auto& item : second) json["weight_map"][item.first] = kSecondShard;
    std::ofstream(index) << json;
  }

  void write_shard(const char* name, const Gpt2FileTensors& tensors) const {
    examples::save_safetensors(folder.path / name, tensors);
  }
  void change_place(const std::string& tensor, const Gpt2ConfigJson& file) const {
    Gpt2ConfigJson json = Gpt2ConfigJson::parse(std::ifstream(index));
    json["weight_map"][tensor] = file;
    std::ofstream(index) << json;
  }
};

TEST(WeightFiles, AreReadAsOneFile) {
  const ShardedGpt2 saved;
  EXPECT_TRUE(torch::equal(saved.loaded_logits(), saved.expected));
  const Safetensors tensors = examples::WeightFiles(saved.folder.path).open();
  const std::vector<std::string> names = tensors.names();
  EXPECT_EQ(names.size(), 28U);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_TRUE(tensors.has(kFinalBias) && tensors.has(kTokenEmbedding) && !tensors.has("x"));
  EXPECT_THAT(tensors.shape(kFinalBias), ElementsAre(8));
  EXPECT_EQ(tensors.type(kFinalBias), at::kFloat);
  EXPECT_EQ(saved.error([&] { tensors.tensor("x"); }),
            std::string(kFirstShard) + ": has no tensor x; check that the file is the model's");
}

TEST(WeightFiles, TheSingleFileIsReadWhereItIsThere) {
  const ShardedGpt2 saved;
  std::ofstream(saved.index) << "no JSON";
  EXPECT_EQ(saved.error(), "model.safetensors.index.json: is no JSON object; get the file again");
  examples::save_gpt2(*saved.model, saved.folder.path);
  EXPECT_TRUE(torch::equal(saved.loaded_logits(), saved.expected));
  EXPECT_THAT(examples::WeightFiles(saved.folder.path).files, ElementsAre(saved.weights));
}

TEST(WeightFiles, AreMissedByName) {
  const ShardedGpt2 saved;
  std::filesystem::remove(saved.folder.path / kSecondShard);
  EXPECT_EQ(saved.error(), std::string(kSecondShard) +
                               ": is missing; get it, because all 2 files that "
                               "model.safetensors.index.json names are needed");
  std::filesystem::remove(saved.index);
  EXPECT_EQ(saved.error(),
            "model.safetensors: cannot be opened: No such file or directory; check that it exists "
            "and is readable");
}

TEST(WeightFiles, MustHaveTheTensorsOfTheIndexEachOnce) {
  const ShardedGpt2 saved;
  const std::string again = "; get all files again", index = "model.safetensors.index.json";
  saved.change_place("x", kFirstShard);
  EXPECT_EQ(saved.error(), std::string(kFirstShard) + ": lacks the tensor x, which " + index +
                               " gives to it" + again);
  saved.write_shard(kFirstShard, {{"x", torch::ones(1)}, {"y", torch::ones(1)}});
  EXPECT_EQ(saved.error(), std::string(kFirstShard) + ": has the tensor y, which " + index +
                               " does not list" + again);
  saved.write_shard(kFirstShard, {{kFinalBias, torch::ones(8)}});  // the second has it too
  EXPECT_EQ(saved.error(), std::string(kFirstShard) + ": has the tensor " + kFinalBias +
                               ", which " + index + " gives to " + kSecondShard + again);
}

TEST(WeightFiles, MayNotLieInOtherFolders) {
  const ShardedGpt2 saved;
  const auto error_of_name = [&](const Gpt2ConfigJson& name) {
    saved.change_place(kFinalBias, name);
    return saved.error();
  };
  const std::vector<Gpt2ConfigJson> names = {"../a.safetensors",
                                             "/a.safetensors",
                                             "a/b.safetensors",
                                             "a\\b.safetensors",
                                             "..",
                                             "",
                                             ".safetensors",
                                             "config.json",
                                             std::string("a\0.safetensors", 14),
                                             std::string(300, 'a') + ".safetensors",
                                             nullptr,
                                             3,
                                             Gpt2ConfigJson::array()};
  for (const Gpt2ConfigJson& name : names) {
    EXPECT_THAT(error_of_name(name),
                testing::HasSubstr("must have the name of a file in the same folder"))
        << name;
  }
  EXPECT_EQ(error_of_name("../a.safetensors"),
            "model.safetensors.index.json: weight_map has \"../a.safetensors\" for "
            "\"transformer.ln_f.bias\", but must have the name of a file in the same folder that "
            "ends in .safetensors; get the file again");
}

TEST(WeightFiles, NeedAnIndexWithAMap) {
  const ShardedGpt2 saved;
  const std::string rule = ", but must be an object from tensors to files; get the file again";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "null"}, {R"({"weight_map": []})", "a list"}, {R"({"weight_map": {}})", "an object"}};
  for (const auto& [text, found] : cases) {
    std::ofstream(saved.index) << text;
    EXPECT_EQ(saved.error(), "model.safetensors.index.json: weight_map is " + found + rule);
  }
  std::ofstream(saved.index) << std::string((1 << 20) + 1, ' ');
  EXPECT_THAT(saved.error(), testing::StartsWith("model.safetensors.index.json: has 1048577 "));
}

TEST(WeightFiles, SurviveADamagedIndex) {
  const ShardedGpt2 saved;
  const std::string good = Gpt2ConfigJson::parse(std::ifstream(saved.index)).dump();
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 200; ++i) {
    std::ofstream(saved.index) << examples_test::damaged_json(good, random);
    const std::string error = saved.error();
    if (error.empty()) ++read;
    EXPECT_TRUE(error.empty() || error.find(": ") != std::string::npos) << error;
  }
  EXPECT_GT(read, 5);
  EXPECT_LT(read, 100);
}

TEST(WeightFiles, AllCountInTheChecksum) {
  const ShardedGpt2 saved;
  std::set<std::string> checksums = {gpt2::weights_checksum(saved.folder.path)};
  for (const char* name : {kFirstShard, kSecondShard}) {
    std::ofstream(saved.folder.path / name, std::ios::app) << ' ';
    checksums.insert(gpt2::weights_checksum(saved.folder.path));
  }
  EXPECT_EQ(checksums.size(), 3U);
}

TEST(WeightFiles, OfAnEarlierModelAreIgnoredAfterSaving) {
  const ShardedGpt2 saved;
  const examples::CharacterTokenizer tokenizer("0123456789a");
  gpt2::save_model(saved.folder.path, *saved.model, tokenizer, {});
  EXPECT_FALSE(std::filesystem::exists(saved.index));
  EXPECT_TRUE(torch::equal(saved.loaded_logits(), saved.expected));
}

}  // namespace
