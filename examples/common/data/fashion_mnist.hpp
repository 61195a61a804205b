// SPDX-License-Identifier: Apache-2.0
// Fashion-MNIST (Xiao et al., arXiv 1708.07747): 60,000 training and 10,000 test images of ten
// kinds of clothing, 28 x 28 grey levels, in MNIST's file format.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/data/in_memory.hpp"

namespace examples {

// inputs: [n, 1, 28, 28] float32 in channels-last order, standardised by the training set's
// moments; targets: 0..9.
struct FashionMnist {
  InMemory train, test;

  FashionMnist to(const torch::Device& device) const;
};

// Reads the four files (plain or .gz) in `folder`. `train_limit` and `test_limit` > 0 keep that
// many first examples. Throws std::runtime_error naming the file for anything missing or damaged.
FashionMnist load_fashion_mnist(const std::filesystem::path& folder, int64_t train_limit = 0,
                                int64_t test_limit = 0);

// The same with the grey levels 0..1 of the files, in row-major order.
FashionMnist load_fashion_mnist_grey(const std::filesystem::path& folder, int64_t train_limit = 0,
                                     int64_t test_limit = 0);

// Between the grey levels 0..1 of the files and the standardised values.
torch::Tensor standardised(const torch::Tensor& grey);
torch::Tensor grey_levels(const torch::Tensor& standardised);

}  // namespace examples
