// SPDX-License-Identifier: Apache-2.0
// A training of milliseconds with dropout, for the tests of checkpoints and of the loop.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/optimizers.hpp"
#include "common/training.hpp"

namespace examples_test {

// What the exception says that `call` throws; empty if it throws none.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// "ivon_on_step" is IVON with sample_on_step.
inline examples::OptimizerSettings optimizer_settings(const std::string& name) {
  const bool on_step = name == "ivon_on_step";
  auto s = examples::optimizer_settings(on_step ? "ivon" : name);
  s.ess = 100;
  s.sample_on_step = on_step;
  return s;
}

// A folder of its own, removed at the end.
struct Folder {
  std::filesystem::path path;
  explicit Folder(const std::string& name)
      : path(std::filesystem::path(testing::TempDir()) /
             ("ivon_examples_" + std::to_string(getpid()) + "_" + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

struct Small {
  static constexpr int64_t kExamples = 22;  // batches of 4: the sixth has 2

  torch::nn::Sequential model;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  torch::Tensor x, y;
  examples::TrainingPlan plan;
  std::function<void(int64_t)> before_step;  // gets the number of steps so far; may be empty
  std::vector<double> losses;                // one for each step

  Small(const std::string& optimizer_name, const std::filesystem::path& out, int64_t hidden = 8) {
    torch::manual_seed(3);
    x = torch::randn({kExamples, 5});
    y = torch::randint(0, 3, {kExamples}, torch::kLong);
    model = torch::nn::Sequential(torch::nn::Linear(5, hidden), torch::nn::ReLU(),
                                  torch::nn::Dropout(0.4), torch::nn::Linear(hidden, 3));
    optimizer = examples::make_optimizer(optimizer_settings(optimizer_name), model->parameters());
    plan.name = optimizer_name;
    plan.out = out;
    plan.examples = kExamples;
    plan.batch = 4;
    plan.epochs = 3;
    plan.fingerprint = {{"lr", 0.1}, {"batch", 4}};
  }

  torch::Tensor step(const torch::Tensor& rows) {
    if (before_step) before_step(static_cast<int64_t>(losses.size()));
    optimizer->zero_grad();
    auto* ivon = examples::as_ivon(*optimizer);
    torch::Tensor loss;
    const auto backward = [&] {
      loss = torch::cross_entropy_loss(model->forward(x.index_select(0, rows)),
                                       y.index_select(0, rows));
      loss.backward();
    };
    if (ivon != nullptr && plan.name == "ivon") {
      auto sample = ivon->sampled_params();
      backward();
    } else {
      backward();
    }
    optimizer->step();
    losses.push_back(loss.item<double>());
    return loss;
  }

  examples::Position train() {
    return examples::train(*model, *optimizer, plan,
                           [this](const torch::Tensor& rows) { return step(rows); });
  }

  // The trained weights (IVON's mean) as one vector.
  torch::Tensor weights() {
    if (auto* ivon = examples::as_ivon(*optimizer)) ivon->eval();
    std::vector<torch::Tensor> parts;
    for (const auto& p : model->parameters()) parts.push_back(p.detach().flatten().clone());
    return torch::cat(parts);
  }
};

}  // namespace examples_test
