// SPDX-License-Identifier: Apache-2.0
// What the examples share that train ConvNet on Fashion-MNIST with AdamW and with IVON: settings,
// plan, network and training steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/data/in_memory.hpp"
#include "common/models/conv_net.hpp"
#include "common/optimizers.hpp"
#include "common/program.hpp"
#include "common/run_log.hpp"
#include "common/training.hpp"

namespace examples {

// Settings with the defaults that the README's tables were made with.
struct FashionTraining {
  OptimizerSettings adamw = optimizer_settings("adamw");
  OptimizerSettings ivon = optimizer_settings("ivon");  // AdamW's numbers
  OptimizerSettings ivon_paper = optimizer_settings("ivon-paper");
  bool paper = false;  // trains with ivon_paper as well
  std::string data = "/usr/share/datasets/fashion-mnist";
  int64_t epochs = 12;
  int64_t batch = 100;
  double warmup = 0.05;     // share of the steps with a rising learning rate, then cosine to 0
  int64_t train_limit = 0;  // first examples to train on; 0: all

  FashionTraining();
  // For optimizers without an effective sample size: the number of training examples.
  void complete(int64_t examples);
};

// Declares them. The optimizers' settings come last, so that --help lists the others first.
void add_settings(Settings& list, FashionTraining& s);
void add_optimizers(Settings& list, FashionTraining& s);

// The plan of a training whose optimizer's settings have the prefix `own_prefix` ("", "adamw-" or
// "paper-"). A run does not depend on the settings of the other optimizers and on those that
// `without` names.
TrainingPlan fashion_plan(const CommonSettings& common, const Settings& list,
                          const FashionTraining& s, int64_t examples, RunLog& log,
                          const std::string& own_prefix, std::vector<std::string> without = {});

// A network on `device` whose initial weights follow from the seed.
ConvNet fashion_network(const std::string& device, int64_t seed, double dropout = 0);

// The step that every LibTorch optimizer knows: AdamW's, and IVON's with sample_on_step.
TrainingStep plain_step(ConvNet& model, torch::optim::Optimizer& optimizer, const InMemory& train,
                        bool bf16);

// IVON's standard step, with a scope for the sample.
TrainingStep ivon_step(ConvNet& model, ivon::IVON<>& optimizer, const InMemory& train, bool bf16);

}  // namespace examples
