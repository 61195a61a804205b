// SPDX-License-Identifier: Apache-2.0
// What a run of the program is told, with the defaults that the README's table was made with.
#pragma once

#include <cstdint>

#include "common/models/fashion_training.hpp"
#include "common/program.hpp"

namespace fashion_mnist {

struct Settings {
  examples::CommonSettings common;
  examples::FashionTraining training;
  int64_t test_limit = 0;  // first examples to test on; 0: all

  Settings() { common.out = "fashion_mnist_results"; }
};

// Declares those that only this example has.
inline void add_settings(examples::Settings& list, Settings& s) {
  examples::add_settings(list, s.training);
  list.add("test-limit", s.test_limit, "test on that many first images; 0 = all",
           examples::Effect::kOther, CLI::Range(0, 1'000'000));
  examples::add_optimizers(list, s.training);
}

// Seconds instead of minutes.
inline void make_smoke(Settings& s) {
  s.common.samples = 4;
  s.test_limit = 1000;
  s.training.epochs = 2;
  s.training.train_limit = 2000;
  s.training.ivon.ess = 60'000;        // of the whole set
  s.training.ivon_paper.ess = 60'000;  // 2,000 would drown 40 steps in noise
  s.training.paper = true;
}

}  // namespace fashion_mnist
