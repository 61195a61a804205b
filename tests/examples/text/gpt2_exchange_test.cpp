// SPDX-License-Identifier: Apache-2.0
// The C++ side of tests/python/gpt2.py, which runs each of these tests in a process of its own and
// compares models and training steps with transformers. The files lie in the folder
// IVON_EXCHANGE_FOLDER.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <ivon/ivon.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/models/gpt2_weights.hpp"
#include "common/models/lora.hpp"
#include "common/models/safetensors.hpp"

namespace {

using torch::Tensor;

std::filesystem::path gpt2_folder() {
  const char* folder = std::getenv("IVON_EXCHANGE_FOLDER");
  return folder != nullptr ? folder : ".";
}

// The largest difference relative to the largest value.
double logits_differ_by(const Tensor& found, const Tensor& expected) {
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

// The logits of tokens [n, t], for which the model gets one token at a time.
Tensor token_by_token(examples::Gpt2& model, const Tensor& tokens) {
  examples::KeyValueCache cache;
  std::vector<Tensor> logits;
  for (int64_t i = 0; i < tokens.size(1); ++i) {
    logits.push_back(model.forward(tokens.narrow(1, i, 1), &cache));
  }
  return torch::cat(logits, 1);
}

struct TrainedGpt2 {
  TrainedGpt2() : model(examples::load_gpt2(gpt2_folder() / "start")) {
    model->to(torch::kDouble);
    model->train();
  }

  void backward() {
    const examples::Safetensors batch(gpt2_folder() / "batch.safetensors");
    model->loss(batch.tensor("inputs"), batch.tensor("targets")).backward();
  }

  // Writes one tensor for each parameter under the parameters' names.
  void write(const std::vector<Tensor>& values, const char* file) {
    std::map<std::string, Tensor> named;
    size_t i = 0;
    for (const auto& item : model->named_parameters()) named[item.key()] = values.at(i++);
    examples::save_safetensors(gpt2_folder() / file, named);
  }

  std::shared_ptr<examples::Gpt2> model;
};

// For each folder NAME of models/: writes back/NAME.
TEST(Gpt2Exchange, DISABLED_ComputesTheLogitsOfTransformers) {
  const torch::NoGradGuard no_grad;
  for (const auto& entry : std::filesystem::directory_iterator(gpt2_folder() / "models")) {
    const std::string name = entry.path().filename().string();
    const examples::Safetensors io(entry.path() / "io.safetensors");
    const auto model = examples::load_gpt2(entry.path());
    model->eval();
    const Tensor tokens = io.tensor("tokens"), expected = io.tensor("logits");
    const double whole = logits_differ_by(model->forward(tokens), expected);
    const double single = logits_differ_by(token_by_token(*model, tokens), expected);
    std::cout << name << ": logits differ by " << whole << " and " << single << '\n';
    EXPECT_LT(whole, 1e-4) << name;
    EXPECT_LT(single, 1e-4) << name;
    examples::save_gpt2(*model, gpt2_folder() / "back" / name);
  }
}

TEST(Gpt2Exchange, DISABLED_TrainsWithAdamW) {
  TrainedGpt2 trained;
  torch::optim::AdamW optimizer(trained.model->parameters(), torch::optim::AdamWOptions(1e-3));
  trained.backward();
  optimizer.step();
  trained.write(trained.model->parameters(), "adamw.safetensors");
}

TEST(Gpt2Exchange, DISABLED_TrainsWithIvon) {
  TrainedGpt2 trained;
  ivon::IVON optimizer(trained.model->parameters(), ivon::IVONOptions(/*lr=*/0.1).ess(1000));
  std::vector<Tensor> noise, hess, momentum;
  {
    const auto sample = optimizer.sampled_params();
    for (const Tensor& p : trained.model->parameters()) {
      noise.push_back(p.detach() - optimizer.mean(p));
    }
    trained.backward();
  }
  optimizer.step();
  for (const Tensor& p : trained.model->parameters()) {
    hess.push_back(optimizer.param_state(p).hess());
    momentum.push_back(optimizer.param_state(p).momentum());
  }
  trained.write(trained.model->parameters(), "ivon.safetensors");
  trained.write(noise, "noise.safetensors");
  trained.write(hess, "hess.safetensors");
  trained.write(momentum, "momentum.safetensors");
}

// Writes the adapters to lora/, the logits with them, and to merged/ the model with merged ones.
TEST(Gpt2Exchange, DISABLED_WritesAdapters) {
  const torch::NoGradGuard no_grad;
  const auto model = examples::load_gpt2(gpt2_folder() / "start");
  model->eval();
  examples::LoraOptions options;
  options.rank = 3;
  options.targets = {"c_attn", "mlp.c_proj"};
  examples::add_lora(*model, options, 1);
  for (auto& item : model->projections()) {
    if (item.second->has_adapter()) item.second->lora_b.normal_(0, 0.3);
  }
  examples::save_lora(*model, options, gpt2_folder() / "lora");
  examples::save_gpt2(*model, gpt2_folder() / "merged");
  const examples::Safetensors batch(gpt2_folder() / "batch.safetensors");
  examples::save_safetensors(gpt2_folder() / "lora.safetensors",
                             {{"logits", model->forward(batch.tensor("inputs"))}});
}

// Computes the logits with the adapters in peft/, which Python has written.
TEST(Gpt2Exchange, DISABLED_ReadsAdapters) {
  const torch::NoGradGuard no_grad;
  const auto model = examples::load_gpt2(gpt2_folder() / "start");
  model->eval();
  examples::load_lora(*model, gpt2_folder() / "peft");
  const examples::Safetensors io(gpt2_folder() / "peft.safetensors");
  EXPECT_LT(logits_differ_by(model->forward(io.tensor("tokens")), io.tensor("logits")), 1e-4);
}

}  // namespace
