// SPDX-License-Identifier: Apache-2.0
// An LSTM that reads an image of Fashion-MNIST row by row (28 steps of 28 values) and classifies it
// from its last state. Adam with batches of 128 and a rate of 1e-2, which is high but usual for
// small LSTMs; the rate is halved after each quarter of the training. The full form trains for
// 32 epochs.
#include <torch/torch.h>

#include <cmath>
#include <tuple>

#include "drop_in/classifier.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

class LstmRowReader : public torch::nn::Module {
 public:
  LstmRowReader()
      : lstm_(register_module(
            "lstm", torch::nn::LSTM(torch::nn::LSTMOptions(kRow, kHidden).batch_first(true)))),
        output_(register_module("output", torch::nn::Linear(kHidden, 10))) {}

  // Takes images [n, 1, 28, 28] and returns logits [n, 10].
  torch::Tensor forward(const torch::Tensor& images) {
    const torch::Tensor states = std::get<0>(lstm_->forward(images.squeeze(1)));  // [n, 28, hidden]
    return output_->forward(states.select(1, -1));
  }

 private:
  static constexpr int64_t kRow = 28;
  static constexpr int64_t kHidden = 64;
  torch::nn::LSTM lstm_;
  torch::nn::Linear output_;
};

// Returns the rate of step `step` (0 ... steps - 1), which is halved after each quarter.
double lstm_rate(double lr, int64_t step, int64_t steps) {
  const int64_t quarter = 4 * step / steps;  // 0, 1, 2 or 3
  return lr * std::pow(0.5, static_cast<double>(quarter));
}

}  // namespace

Result train_lstm(const Run& run) {
  torch::manual_seed(run.seed);
  LstmRowReader model;
  const double lr = 1e-2;
  return train_classifier(
      run, model, {torch::optim::AdamOptions(lr), 128, 15'000, [lr](int64_t step, int64_t steps) {
                     return lstm_rate(lr, step, steps);
                   }});
}

}  // namespace drop_in
