// SPDX-License-Identifier: Apache-2.0
// Migration: one training loop with AdamW, the same loop with IVON and AdamW's numbers, and IVON in
// the paper's parametrisation, tuned for the best calibration.
//
// Purpose  to be read side by side: in the first step the constructor differs, in the second one
//          scope as well. Then all are scored on new data, where IVON can also average over its
//          posterior.
// Data     made: two interleaved half circles with noise, 500 points to train on, 5000 to test
// Command  migrate_from_adamw      seconds
// Output   accuracy and NLL of both, and the last lines of a real run stand in this folder's README
#include <torch/torch.h>

#include <cstdio>
#include <ivon/ivon.hpp>
#include <string>

namespace {

constexpr int64_t kTrain = 500, kTest = 5000, kBatch = 50;
constexpr int kSteps = 4000;

struct Data {
  torch::Tensor x;  // [n, 2]
  torch::Tensor y;  // [n] int64: upper or lower half circle
};

Data two_moons(int64_t n) {
  const auto y = torch::randint(2, {n}, torch::kLong);
  const auto upper = (1 - 2 * y).to(torch::kFloat);  // 1 for class 0, -1 for class 1
  const auto angle = torch::rand({n}) * 3.14159265f;
  const auto x1 = upper * angle.cos() - (upper - 1) / 2;
  const auto x2 = upper * angle.sin() - (upper - 1) / 4;
  return {torch::stack({x1, x2}, 1) + 0.3 * torch::randn({n, 2}), y};
}

// The same initial weights, and then the same batches, for every optimizer.
torch::nn::Sequential make_model() {
  torch::manual_seed(2);
  using torch::nn::Linear;
  using torch::nn::Tanh;
  return torch::nn::Sequential(Linear(2, 64), Tanh(), Linear(64, 64), Tanh(), Linear(64, 2));
}

void train_adamw(torch::nn::Sequential& model, const Data& train) {
  torch::optim::AdamW optimizer(model->parameters(), torch::optim::AdamWOptions(0.003));
  for (int step = 0; step < kSteps; ++step) {
    const auto batch = torch::randint(kTrain, {kBatch});
    optimizer.zero_grad();
    const auto logits = model->forward(train.x.index({batch}));
    torch::cross_entropy_loss(logits, train.y.index({batch})).backward();
    optimizer.step();
  }
}

ivon::IVON<> train_ivon(torch::nn::Sequential& model, const Data& train) {
  ivon::IVON optimizer(model->parameters(),  // <- another optimizer; ess = number of examples
                       ivon::IVONOptions::like_adamw(/*lr=*/0.003, /*ess=*/kTrain));
  for (int step = 0; step < kSteps; ++step) {
    const auto batch = torch::randint(kTrain, {kBatch});
    optimizer.zero_grad();
    const auto logits = model->forward(train.x.index({batch}));
    torch::cross_entropy_loss(logits, train.y.index({batch})).backward();
    optimizer.step();
  }
  optimizer.eval();  // <- the model holds the posterior mean: validate, save
  return optimizer;
}

// The paper's parametrisation: other numbers, a wider posterior, and here the loop with a scope.
ivon::IVON<> train_ivon_of_the_paper(torch::nn::Sequential& model, const Data& train) {
  ivon::IVON optimizer(model->parameters(),
                       ivon::IVONOptions(0.1).ess(kTrain).hess_init(0.2).beta2(0.9995));
  for (int step = 0; step < kSteps; ++step) {
    const auto batch = torch::randint(kTrain, {kBatch});
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();  // <- one scope around forward and backward
      const auto logits = model->forward(train.x.index({batch}));
      torch::cross_entropy_loss(logits, train.y.index({batch})).backward();
    }
    optimizer.step();
  }
  return optimizer;
}

void print_scores(const char* name, const torch::Tensor& probs, const torch::Tensor& targets) {
  std::printf("%-26s accuracy %.1f %%  NLL %.4f  ECE %.4f\n", name,
              100 * ivon::accuracy(probs, targets), ivon::nll(probs, targets),
              ivon::ece(probs, targets));
}

}  // namespace

int main() {
  torch::set_num_threads(1);  // tensors this small gain nothing from more
  torch::manual_seed(1);
  const Data train = two_moons(kTrain), test = two_moons(kTest);

  auto model = make_model();
  train_adamw(model, train);
  print_scores("AdamW", torch::softmax(model->forward(test.x), 1).detach(), test.y);

  const auto score_ivon = [&](const char* name, const auto& train_one) {
    model = make_model();
    auto optimizer = train_one(model, train);
    const std::string at_mean = std::string(name) + " at the mean";
    print_scores(at_mean.c_str(), torch::softmax(model->forward(test.x), 1).detach(), test.y);
    const auto averaged = ivon::predict(
        optimizer, [&] { return model->forward(test.x); }, 64);
    print_scores((std::string(name) + ", 64 samples").c_str(), averaged.probs, test.y);
  };
  score_ivon("IVON", train_ivon);
  score_ivon("paper's IVON", train_ivon_of_the_paper);
}
