// SPDX-License-Identifier: Apache-2.0
// What a run of the program is told, with the defaults that the README's table was made with.
#pragma once

#include <cstdint>
#include <string>

#include "common/models/fashion_training.hpp"
#include "common/program.hpp"

namespace uncertainty {

struct Settings {
  examples::CommonSettings common;
  examples::FashionTraining training;
  std::string clip_art = "/usr/share/openclipart/png";
  double dropout = 0.2;   // of the inputs of both linear layers, in every training
  int64_t members = 4;    // networks of the ensemble, each trained for epochs / members epochs
  int64_t images = 2000;  // of each condition

  Settings() {
    common.out = "uncertainty_results";
    common.samples = 16;
  }

  // The ensemble costs as much training as one network if `epochs` is a multiple of `members`.
  int64_t member_epochs() const {
    return training.epochs < members ? 1 : training.epochs / members;
  }
};

// Declares those that only this example has.
inline void add_settings(examples::Settings& list, Settings& s) {
  using examples::Effect;
  examples::add_settings(list, s.training);
  list.add("clip-art", s.clip_art, "folder with PNG images that show no clothes", Effect::kOther);
  list.add("dropout", s.dropout, "probability of dropping an input of a linear layer in training",
           Effect::kTraining, CLI::Range(0.0, 0.9));
  list.add("members", s.members, "networks of the ensemble, which share the epochs",
           Effect::kTraining, CLI::Range(2, 100));
  list.add("images", s.images, "images of each condition", Effect::kOther,
           CLI::Range(1, 1'000'000));
  examples::add_optimizers(list, s.training);
}

// Seconds instead of minutes.
inline void make_smoke(Settings& s) {
  s.common.samples = 4;
  s.members = 2;
  s.images = 100;
  s.training.epochs = 1;
  s.training.train_limit = 2000;
  s.training.ivon.ess = 60'000;        // of the whole set
  s.training.ivon_paper.ess = 60'000;  // 2,000 would drown 20 steps in noise
  s.training.paper = true;
}

}  // namespace uncertainty
