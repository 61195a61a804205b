// SPDX-License-Identifier: Apache-2.0
// Finetuning of a trained network on few examples. A small convolutional network first learns
// classes 0 to 4 of Fashion-MNIST, with Adam at a rate of 1e-3 whatever the contender. Then its
// last layer is replaced, and all its weights are trained on 2,000 images of classes 5 to 9: AdamW
// with a rate of 3e-4 and its default weight decay of 0.01, batches of 32, a linear warm-up over
// the first twentieth of the steps and then a linear decay to zero. The full form finetunes for 97
// epochs.
#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <vector>

#include "drop_in/classifier.hpp"
#include "drop_in/data.hpp"
#include "drop_in/task.hpp"

namespace drop_in {
namespace {

constexpr int64_t kFinetuneClasses = 5;  // before and after the replacement of the last layer
constexpr int64_t kFinetuneExamples = 2000;

// Both convolutions go without padding, so the sides of the images are 28, 26, 13, 11 and 5.
torch::nn::Sequential finetune_network() {
  return torch::nn::Sequential(
      torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 24, /*kernel_size=*/3)), torch::nn::ReLU(),
      torch::nn::MaxPool2d(2),
      torch::nn::Conv2d(torch::nn::Conv2dOptions(24, 48, /*kernel_size=*/3)), torch::nn::ReLU(),
      torch::nn::MaxPool2d(2), torch::nn::Flatten(), torch::nn::Linear(48 * 5 * 5, 96),
      torch::nn::ReLU(), torch::nn::Linear(96, kFinetuneClasses));
}

// Returns the row numbers of the five classes from `first` on.
torch::Tensor finetune_rows(const examples::InMemory& data, int64_t first) {
  const torch::Tensor chosen =
      data.targets.ge(first).logical_and(data.targets.lt(first + kFinetuneClasses));
  return chosen.nonzero().squeeze(1);
}

// Returns these rows of `data`, with the classes numbered from 0 on.
examples::InMemory finetune_subset(const examples::InMemory& data, const torch::Tensor& rows,
                                   int64_t first) {
  examples::InMemory subset = data.batch(rows);
  subset.targets = subset.targets - first;
  return subset;
}

// Returns the parameters of the network trained on classes 0 to 4. They depend on the seed alone,
// and are kept for the other contenders and lengths. This leaves the default generator in a state
// that depends on whether they were kept: seed it afterwards.
const std::vector<torch::Tensor>& finetune_pretrained(uint64_t seed) {
  static std::map<uint64_t, std::vector<torch::Tensor>> kept;
  const auto found = kept.find(seed);
  if (found != kept.end()) return found->second;

  torch::manual_seed(seed);
  torch::nn::Sequential model = finetune_network();
  const examples::InMemory& all = fashion_mnist().train;
  const torch::Tensor rows = finetune_rows(all, /*first=*/0);
  Batches batches(rows.size(0), /*batch_size=*/64, seed);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(/*lr=*/1e-3));
  for (int step = 0; step < 800; ++step) {
    const examples::InMemory batch =
        finetune_subset(all, rows.index_select(0, batches.next()), /*first=*/0);
    optimizer.zero_grad();
    torch::nn::functional::cross_entropy(model->forward(batch.inputs), batch.targets).backward();
    optimizer.step();
  }
  std::vector<torch::Tensor>& trained = kept[seed];
  for (const torch::Tensor& parameter : model->parameters()) {
    trained.push_back(parameter.detach().clone());
  }
  return trained;
}

// Returns the rate of step `step` (0 ... steps - 1).
double finetune_rate(double lr, int64_t step, int64_t steps) {
  const int64_t warm_up = std::max<int64_t>(1, steps / 20);
  if (step < warm_up) return lr * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  return lr * static_cast<double>(steps - step) / static_cast<double>(steps - warm_up);
}

}  // namespace

Result train_finetune(const Run& run) {
  const std::vector<torch::Tensor>& pretrained = finetune_pretrained(run.seed);

  // A new network takes over all parameters but those of its last layer, a weight and a bias.
  torch::manual_seed(run.seed + 1'000'000);
  torch::nn::Sequential model = finetune_network();
  {
    const torch::NoGradGuard no_grad;
    const std::vector<torch::Tensor> parameters = model->parameters();
    for (size_t i = 0; i + 2 < parameters.size(); ++i) parameters[i].copy_(pretrained[i]);
  }

  const FashionMnist& data = fashion_mnist();
  const torch::Tensor rows = finetune_rows(data.train, /*first=*/5);
  const torch::Tensor few = Batches(rows.size(0), kFinetuneExamples, run.seed).next();
  const examples::InMemory train =
      finetune_subset(data.train, rows.index_select(0, few), /*first=*/5);
  const examples::InMemory test =
      finetune_subset(data.test, finetune_rows(data.test, /*first=*/5), /*first=*/5);

  Batches batches(train.size(), /*batch_size=*/32, run.seed);
  const double lr = 3e-4;
  const auto optimizer = run.contender.make(model->parameters(), torch::optim::AdamWOptions(lr),
                                            static_cast<double>(train.size()));
  const int64_t steps = run.scaled(6'000);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->set_lr(finetune_rate(lr, step, steps));
    const examples::InMemory batch = train.batch(batches.next());
    optimizer->zero_grad();
    torch::nn::functional::cross_entropy(model->forward(batch.inputs), batch.targets).backward();
    optimizer->step();
  }
  return score_classifier(*model, *optimizer, test);
}

}  // namespace drop_in
