// SPDX-License-Identifier: Apache-2.0
// What a run of the program is told, with the defaults that the README's table was made with.
#pragma once

#include <cstdint>
#include <string>

#include "common/optimizers.hpp"
#include "common/program.hpp"

namespace fashion_mnist {

struct Settings {
  examples::CommonSettings common;
  examples::OptimizerSettings adamw = examples::optimizer_settings("adamw");
  examples::OptimizerSettings ivon = examples::optimizer_settings("ivon");  // AdamW's numbers
  examples::OptimizerSettings ivon_paper = examples::optimizer_settings("ivon-paper");
  bool paper = false;  // trains with ivon_paper as well
  std::string data = "/usr/share/datasets/fashion-mnist";
  int64_t epochs = 12;
  int64_t batch = 100;
  double warmup = 0.05;     // share of the steps with a rising learning rate, then cosine to 0
  int64_t train_limit = 0;  // first examples to use; 0: all
  int64_t test_limit = 0;

  Settings() {
    common.out = "fashion_mnist_results";
    ivon_paper.lr = 0.3;
    ivon_paper.hess_init = 0.05;
    ivon_paper.beta2 = 0.9999;
    ivon_paper.weight_decay = 2e-4;
  }
};

// Declares those that only this example has.
inline void add_settings(examples::Settings& list, Settings& s) {
  using examples::Effect;
  const CLI::Range count(1, 1'000'000), limit(0, 1'000'000);
  list.add("data", s.data, "folder with the four IDX files, plain or .gz", Effect::kOther);
  list.add("epochs", s.epochs, "passes over the training set, each optimizer", Effect::kTraining,
           count);
  list.add("batch", s.batch, "examples per step", Effect::kTraining, count);
  list.add("warmup", s.warmup, "share of the steps with rising learning rate, before the cosine",
           Effect::kTraining, CLI::Range(0.0, 1.0));
  list.add("train-limit", s.train_limit, "train on that many first images; 0 = all",
           Effect::kTraining, limit);
  list.add("test-limit", s.test_limit, "test on that many first images; 0 = all", Effect::kOther,
           limit);
  examples::add_optimizer(list, s.ivon);
  examples::add_optimizer(list, s.adamw, "adamw-");
  list.add("paper", s.paper, "trains with the paper's parametrisation as well", Effect::kOther);
  examples::add_optimizer(list, s.ivon_paper, "paper-");
}

// Seconds instead of minutes.
inline void make_smoke(Settings& s) {
  s.epochs = 2;
  s.common.samples = 4;
  s.train_limit = 2000;
  s.test_limit = 1000;
  s.ivon.ess = 60'000;        // of the whole set
  s.ivon_paper.ess = 60'000;  // 2,000 would drown 40 steps in noise
  s.paper = true;
}

}  // namespace fashion_mnist
