// SPDX-License-Identifier: Apache-2.0
// A folder with a small GPT-2, for the tests of reading and writing models and adapters.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "common/models/gpt2_weights.hpp"
#include "common/models/safetensors.hpp"
#include "small.hpp"

namespace examples_test {

using Gpt2ConfigJson = nlohmann::json;
using Gpt2FileTensors = std::map<std::string, torch::Tensor>;

inline constexpr const char* kTokenEmbedding = "transformer.wte.weight";

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

  // What the exception says that `call` throws, without the folder of the file's name.
  template <class Call>
  std::string error(Call&& call) const {
    std::string text = error_of(call);
    const std::string prefix = folder.path.string() + "/";
    for (size_t place; (place = text.find(prefix)) != std::string::npos;) {
      text.erase(place, prefix.size());
    }
    return text;
  }
  std::string error() const {
    return error([this] { examples::load_gpt2(folder.path); });
  }

  torch::Tensor loaded_logits() const {
    const auto loaded = examples::load_gpt2(folder.path);
    loaded->eval();
    return loaded->forward(tokens);
  }
};

// JSON with one to three changes: a digit becomes another one, a bit is turned, or a byte goes.
inline std::string damaged_json(std::string text, std::mt19937& random) {
  for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
    const size_t place = random() % text.size();
    const size_t digit = text.find_first_of("0123456789", place);
    if (random() % 2 == 0 && digit != std::string::npos) {
      text[digit] = static_cast<char>('0' + random() % 10);
    } else if (random() % 4 == 0) {
      text.erase(place, 1);
    } else {
      text[place] = static_cast<char>(text[place] ^ (1 << random() % 8));
    }
  }
  return text;
}

// An object whose entry `name` is a list in a list and so on, 400,000 deep.
inline std::string deep_json(const std::string& name) {
  constexpr size_t kDepth = 400'000;
  return "{\"" + name + "\": " + std::string(kDepth, '[') + std::string(kDepth, ']') + "}";
}

}  // namespace examples_test
