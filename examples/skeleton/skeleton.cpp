// SPDX-License-Identifier: Apache-2.0
// Skeleton: the smallest complete training on examples/common, to copy.
//
// Copy this folder, then put in your data, your network and your settings. examples/common brings
// the command line, checkpoints, --resume, Ctrl-C, progress, log and results.
//
// Purpose  a small network learns with IVON which of three spirals a point in the plane lies on
// Data     3,000 made points for training, 3,000 for the test
// Command  skeleton            seconds
//          skeleton --smoke    a few steps: only shows that everything runs
// Output   one line of scores at the mean and averaged over samples; results.json in --out
#include <fmt/format.h>
#include <torch/torch.h>

#include "common/classification.hpp"
#include "common/data/in_memory.hpp"
#include "common/optimizers.hpp"
#include "common/program.hpp"
#include "common/run_log.hpp"
#include "common/training.hpp"

namespace {

struct Settings {
  examples::CommonSettings common;
  examples::OptimizerSettings optimizer = examples::optimizer_settings("ivon");
  int64_t epochs = 60;
  int64_t batch = 50;
};

// inputs [n, 2] float32, targets [n] int64 in 0..2
examples::InMemory make_data(int64_t n) {
  const auto arm = torch::randint(0, 3, {n}, torch::kLong);
  const auto radius = torch::rand({n});
  const auto angle = 5 * radius + arm * (2 * M_PI / 3) + 0.2 * torch::randn({n});
  return {torch::stack({radius * angle.cos(), radius * angle.sin()}, 1), arm};
}

void run(Settings& s, const examples::Settings& list) {
  torch::manual_seed(s.common.seed);
  const torch::Device device(s.common.device);
  const auto train = make_data(3000).to(device), test = make_data(3000);
  torch::nn::Sequential model(torch::nn::Linear(2, 64), torch::nn::ReLU(),
                              torch::nn::Linear(64, 64), torch::nn::ReLU(),
                              torch::nn::Linear(64, 3));
  model->to(device);
  if (s.optimizer.ess == 0) s.optimizer.ess = static_cast<double>(train.size());
  const auto made = examples::make_optimizer(s.optimizer, model->parameters());
  ivon::IVON<>& optimizer = *examples::as_ivon(*made);
  examples::RunLog log(s.common.out, s.common.resume);
  examples::TrainingPlan plan = examples::make_plan(s.common, list);
  plan.name = "IVON";
  plan.examples = train.size();
  plan.batch = s.batch;
  plan.epochs = s.epochs;
  plan.log = &log;
  examples::train(*model, optimizer, plan, [&](const torch::Tensor& rows) {
    const auto [inputs, targets] = train.batch(rows);
    optimizer.zero_grad();
    auto loss = torch::cross_entropy_loss(model->forward(inputs), targets);
    loss.backward();
    optimizer.step();  // also draws the weights for the next step from the posterior
    return loss;
  });
  optimizer.eval();  // the posterior mean

  const auto logits = [&](const torch::Tensor& x) { return model->forward(x); };
  const auto inputs = test.inputs.to(device);
  const auto mean = examples::score(examples::predict(logits, inputs), test.targets);
  const auto averaged = examples::score(
      examples::predict_averaged(optimizer, logits, inputs, s.common.samples), test.targets);
  fmt::print("accuracy and NLL at the mean {:.3f}, {:.3f}; over {} samples {:.3f}, {:.3f}\n",
             mean.accuracy, mean.nll, s.common.samples, averaged.accuracy, averaged.nll);
  examples::write_results(
      s.common.out,
      {{"settings", list.to_json()}, {"nll", {{"mean", mean.nll}, {"averaged", averaged.nll}}}});
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  s.common.out = "skeleton_results";
  s.common.threads = 1;  // tensors this small gain nothing from more
  s.optimizer.lr = 3e-3;
  const auto add_settings = [&](examples::Settings& list) {
    list.add("epochs", s.epochs, "passes over the data", examples::Effect::kTraining);
    list.add("batch", s.batch, "examples per step", examples::Effect::kTraining);
    examples::add_optimizer(list, s.optimizer);
  };
  return examples::run_program(
      argc, argv,
      {"skeleton", "Three spirals told apart with IVON", s.common, /*without=*/{"seeds", "bf16"},
       add_settings, [&] { s.epochs = 2; }, [&](const examples::Settings& list) { run(s, list); }});
}
