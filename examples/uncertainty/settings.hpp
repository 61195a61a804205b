// SPDX-License-Identifier: Apache-2.0
// What a run of the program is told, with the defaults that the README's table was made with.
#pragma once

#include <cstdint>
#include <string>

#include "common/optimizers.hpp"
#include "common/program.hpp"

namespace uncertainty {

struct Settings {
  examples::CommonSettings common;
  examples::OptimizerSettings adamw = examples::optimizer_settings("adamw");
  examples::OptimizerSettings ivon = examples::optimizer_settings("ivon");  // AdamW's numbers
  examples::OptimizerSettings ivon_paper = examples::optimizer_settings("ivon-paper");
  bool paper = false;  // trains with ivon_paper as well
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string clip_art = "/usr/share/openclipart/png";
  int64_t epochs = 12;
  int64_t batch = 100;
  double warmup = 0.05;     // share of the steps with a rising learning rate, then cosine to 0
  double dropout = 0.2;     // of the inputs of both linear layers, in every training
  int64_t members = 4;      // networks of the ensemble, each trained for epochs / members epochs
  int64_t images = 2000;    // of each condition
  int64_t train_limit = 0;  // first examples to train on; 0: all

  Settings() {
    common.out = "uncertainty_results";
    common.samples = 16;
    ivon_paper.lr = 0.3;
    ivon_paper.hess_init = 0.05;
    ivon_paper.beta2 = 0.9999;
    ivon_paper.weight_decay = 2e-4;
  }

  // The ensemble costs as much training as one network if `epochs` is a multiple of `members`.
  int64_t member_epochs() const { return epochs < members ? 1 : epochs / members; }
};

// Declares those that only this example has.
inline void add_settings(examples::Settings& list, Settings& s) {
  using examples::Effect;
  const CLI::Range count(1, 1'000'000), limit(0, 1'000'000);
  list.add("data", s.data, "folder with Fashion-MNIST's four IDX files, plain or .gz",
           Effect::kOther);
  list.add("clip-art", s.clip_art, "folder with PNG images that show no clothes", Effect::kOther);
  list.add("epochs", s.epochs, "passes over the training set, each network but the ensemble's",
           Effect::kTraining, count);
  list.add("batch", s.batch, "examples per step", Effect::kTraining, count);
  list.add("warmup", s.warmup, "share of the steps with rising learning rate, before the cosine",
           Effect::kTraining, CLI::Range(0.0, 1.0));
  list.add("dropout", s.dropout, "probability of dropping an input of a linear layer in training",
           Effect::kTraining, CLI::Range(0.0, 0.9));
  list.add("members", s.members, "networks of the ensemble, which share the epochs",
           Effect::kTraining, CLI::Range(2, 100));
  list.add("images", s.images, "images of each condition", Effect::kOther, count);
  list.add("train-limit", s.train_limit, "train on that many first images; 0 = all",
           Effect::kTraining, limit);
  examples::add_optimizer(list, s.ivon);
  examples::add_optimizer(list, s.adamw, "adamw-");
  list.add("paper", s.paper, "trains with the paper's parametrisation as well", Effect::kOther);
  examples::add_optimizer(list, s.ivon_paper, "paper-");
}

// Seconds instead of minutes.
inline void make_smoke(Settings& s) {
  s.epochs = 1;
  s.common.samples = 4;
  s.members = 2;
  s.train_limit = 2000;
  s.images = 100;
  s.ivon.ess = 60'000;        // of the whole set
  s.ivon_paper.ess = 60'000;  // 2,000 would drown 20 steps in noise
  s.paper = true;
}

}  // namespace uncertainty
