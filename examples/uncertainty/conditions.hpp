// SPDX-License-Identifier: Apache-2.0
// The test images under all conditions: as they are, corrupted, and clip art instead of clothes.
#pragma once

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/data/fashion_mnist.hpp"
#include "common/run_log.hpp"

namespace uncertainty {

struct Condition {
  std::string corruption;  // "clean" or the name of one of corruptions()
  double level;            // one of its levels; 0 for "clean"
  torch::Tensor images;    // [n, 1, 28, 28] float32, standardised as the training images are
};

struct TestSet {
  std::vector<Condition> conditions;  // the clean one first, then corruptions() with rising levels
  torch::Tensor targets;              // [n] int64 on the CPU: the classes of every condition
  torch::Tensor clip_art;             // [m, 1, 28, 28], standardised; undefined without clip art

  // The clean images, and those with noise of the middle level.
  const Condition& clean() const { return conditions.front(); }
  const Condition& middle() const;

  TestSet to(const torch::Device& device) const;
};

// Makes the conditions from the first `count` test images, a function of the data and `seed`. Clip
// art is read from `clip_art`; files that cannot be read are named in the log, and if there are
// none at all, the program says what to install.
TestSet make_test_set(const examples::FashionMnist& data, const std::filesystem::path& clip_art,
                      int64_t count, int64_t seed, examples::RunLog& log);

}  // namespace uncertainty
