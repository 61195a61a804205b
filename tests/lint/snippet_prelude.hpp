// SPDX-License-Identifier: Apache-2.0
// What the documents' snippets use without declaring it; see readme_snippets.sh.
#pragma once

#include <torch/torch.h>

#include <cstdio>
#include <iostream>
#include <ivon/ivon.hpp>
#include <memory>
#include <string>
#include <vector>

struct SnippetBatch {
  torch::Tensor data;    // [8, 4]
  torch::Tensor target;  // [8], int64
};

// A model of 4 inputs and 3 classes, two batches, their loss, and the names that loops over them
// use.
#define SNIPPET_NAMES                                                                             \
  [[maybe_unused]] auto model =                                                                   \
      torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::ReLU(), torch::nn::Linear(8, 3)); \
  [[maybe_unused]] auto loader = std::make_unique<std::vector<SnippetBatch>>(                     \
      2, SnippetBatch{torch::randn({8, 4}), torch::randint(3, {8})});                             \
  [[maybe_unused]] auto batch = loader->front();                                                  \
  [[maybe_unused]] auto x = batch.data;                                                           \
  [[maybe_unused]] auto y = batch.target;                                                         \
  [[maybe_unused]] auto loss_fn = torch::nn::CrossEntropyLoss();                                  \
  [[maybe_unused]] auto compute = [&] { return loss_fn(model->forward(x), y); };                  \
  [[maybe_unused]] const int64_t steps = 2;                                                       \
  [[maybe_unused]] const int64_t epochs = 2

#define SNIPPET_OPTIMIZER \
  ivon::IVON optimizer(model->parameters(), ivon::IVONOptions(/*lr=*/0.1).ess(60'000))
