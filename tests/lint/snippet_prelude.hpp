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

// A posterior over the weights of a module.
inline ivon::Posterior snippet_posterior(const torch::nn::Module& module, double precision) {
  std::vector<ivon::PosteriorParameter> parameters;
  for (const auto& item : module.named_parameters()) {
    const auto mean = item.value().detach().clone();
    parameters.push_back({item.key(), mean, torch::full_like(mean, precision)});
  }
  return ivon::Posterior(parameters, /*ess=*/16);
}

// A model of 4 inputs and 3 classes, two batches, their loss, posteriors, and the names that loops
// over them use.
#define SNIPPET_NAMES                                                                             \
  [[maybe_unused]] auto model =                                                                   \
      torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::ReLU(), torch::nn::Linear(8, 3)); \
  [[maybe_unused]] auto loader = std::make_unique<std::vector<SnippetBatch>>(                     \
      2, SnippetBatch{torch::randn({8, 4}), torch::randint(3, {8})});                             \
  [[maybe_unused]] auto batch = loader->front();                                                  \
  [[maybe_unused]] auto x = batch.data;                                                           \
  [[maybe_unused]] auto y = batch.target;                                                         \
  [[maybe_unused]] auto batches = x.split(4);                                                     \
  [[maybe_unused]] auto q = snippet_posterior(*model, 1), a = q, b = q, c = q,                    \
                        start = snippet_posterior(*model, 0.5);                                   \
  [[maybe_unused]] auto loss_fn = torch::nn::CrossEntropyLoss();                                  \
  [[maybe_unused]] auto compute = [&] { return loss_fn(model->forward(x), y); };                  \
  [[maybe_unused]] const int64_t steps = 2;                                                       \
  [[maybe_unused]] const int64_t epochs = 2

#define SNIPPET_OPTIMIZER \
  ivon::IVON optimizer(model->parameters(), ivon::IVONOptions(/*lr=*/0.1).ess(60'000))
