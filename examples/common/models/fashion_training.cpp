// SPDX-License-Identifier: Apache-2.0
#include "common/models/fashion_training.hpp"

#include <torch/torch.h>

#include <utility>

namespace examples {

FashionTraining::FashionTraining() {
  ivon_paper.lr = 0.3;
  ivon_paper.hess_init = 0.05;
  ivon_paper.beta2 = 0.9999;
  ivon_paper.weight_decay = 2e-4;
}

void FashionTraining::complete(int64_t examples) {
  for (OptimizerSettings* o : {&ivon, &ivon_paper}) {
    if (o->ess == 0) o->ess = static_cast<double>(examples);
  }
  // An optimizer refuses bad options: now, not after the others have trained for minutes.
  for (const OptimizerSettings& o : {adamw, ivon, ivon_paper}) {
    make_optimizer(o, ConvNet()->parameters());
  }
}

void add_settings(Settings& list, FashionTraining& s) {
  const CLI::Range count(1, 1'000'000), limit(0, 1'000'000);
  list.add("data", s.data, "folder with Fashion-MNIST's four IDX files, plain or .gz",
           Effect::kOther);
  list.add("epochs", s.epochs, "passes over the training set, each optimizer", Effect::kTraining,
           count);
  list.add("batch", s.batch, "examples per step", Effect::kTraining, count);
  list.add("warmup", s.warmup, "share of the steps with rising learning rate, before the cosine",
           Effect::kTraining, CLI::Range(0.0, 1.0));
  list.add("train-limit", s.train_limit, "train on that many first images; 0 = all",
           Effect::kTraining, limit);
}

void add_optimizers(Settings& list, FashionTraining& s) {
  add_optimizer(list, s.ivon);
  add_optimizer(list, s.adamw, "adamw-");
  list.add("paper", s.paper, "trains with the paper's parametrisation as well", Effect::kOther);
  add_optimizer(list, s.ivon_paper, "paper-");
}

TrainingPlan fashion_plan(const CommonSettings& common, const Settings& list,
                          const FashionTraining& s, int64_t examples, RunLog& log,
                          const std::string& own_prefix, std::vector<std::string> without) {
  for (const auto& [settings, prefix] :
       {std::pair(s.ivon, ""), std::pair(s.adamw, "adamw-"), std::pair(s.ivon_paper, "paper-")}) {
    if (prefix == own_prefix) continue;
    const auto names = optimizer_setting_names(settings, prefix);
    without.insert(without.end(), names.begin(), names.end());
  }
  TrainingPlan plan = make_plan(common, list, without);
  plan.examples = examples;
  plan.batch = s.batch;
  plan.epochs = s.epochs;
  plan.warmup = s.warmup;
  plan.log = &log;
  return plan;
}

ConvNet fashion_network(const std::string& device, int64_t seed, double dropout) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  ConvNet model(dropout);
  model->to(torch::Device(device));
  to_channels_last(model);
  return model;
}

TrainingStep plain_step(ConvNet& model, torch::optim::Optimizer& optimizer, const InMemory& train,
                        bool bf16) {
  return [&model, &optimizer, &train, bf16](const torch::Tensor& rows) {
    const auto [images, targets] = train.batch(rows);
    optimizer.zero_grad();
    auto loss = torch::cross_entropy_loss(logits(model, images, bf16), targets);
    loss.backward();
    optimizer.step();
    return loss;
  };
}

TrainingStep ivon_step(ConvNet& model, ivon::IVON<>& optimizer, const InMemory& train, bool bf16) {
  return [&model, &optimizer, &train, bf16](const torch::Tensor& rows) {
    const auto [images, targets] = train.batch(rows);
    optimizer.zero_grad();
    torch::Tensor loss;
    {
      auto sample = optimizer.sampled_params();  // weights drawn from the posterior
      loss = torch::cross_entropy_loss(logits(model, images, bf16), targets);
      loss.backward();
    }  // the posterior mean again
    optimizer.step();
    return loss;
  };
}

}  // namespace examples
