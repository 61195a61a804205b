// SPDX-License-Identifier: Apache-2.0
// What a run of the program is told, with the defaults that the README's table was made with.
#pragma once

#include <cstdint>
#include <string>

namespace fashion_mnist {

struct Settings {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string out = "fashion_mnist_results";
  int64_t epochs = 12;
  int64_t batch = 100;
  int64_t seeds = 1;
  double warmup = 0.05;  // share of the steps with a rising learning rate, then cosine to 0

  double adamw_lr = 1e-3;
  double adamw_weight_decay = 1e-2;

  double lr = 0.3;
  double ess = 0;  // 0: the number of training examples
  double hess_init = 0.05;
  double beta2 = 0.9999;
  double weight_decay = 2e-4;
  bool sample_on_step = false;  // train IVON by AdamW's loop
  int64_t samples = 32;         // weight samples averaged at test time

  std::string device = "cpu";  // where the network is trained: cpu, cuda, cuda:1
  bool bf16 = false;           // its forward pass under autocast to bfloat16
  int threads = 1;  // 0: LibTorch's choice; so small a network gains little from a second thread
  bool resume = false;
  bool smoke = false;
  int64_t train_limit = 0;  // 0: all examples
  int64_t test_limit = 0;
};

}  // namespace fashion_mnist
