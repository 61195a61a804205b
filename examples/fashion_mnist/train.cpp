// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <ivon/schedulers.hpp>

#include "checkpoint.hpp"
#include "common/progress.hpp"

namespace fashion_mnist {
namespace {

// One optimizer step on one batch; returns the loss, a scalar.
using TrainStep = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;

// The order of the examples in one epoch: a function of seed and epoch only, so that both
// optimizers see the same batches and a resumed run sees those of the uninterrupted one.
torch::Tensor shuffled(int64_t n, int64_t seed, int64_t epoch) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(
      static_cast<uint64_t>(seed) * 1'000'000 + static_cast<uint64_t>(epoch));
  return torch::randperm(n, generator, torch::kLong);
}

// Everything around the step: batches, learning-rate schedule, progress, checkpoints.
double run_epochs(const std::string& name, ConvNet& model, torch::optim::Optimizer& optimizer,
                  const Split& train, const Settings& settings, int64_t seed,
                  const TrainStep& train_step) {
  const int64_t n = train.images.size(0);
  const int64_t batches = (n + settings.batch - 1) / settings.batch;
  const int64_t total_steps = batches * settings.epochs;
  const auto warmup = static_cast<int64_t>(settings.warmup * static_cast<double>(total_steps));
  ivon::WarmupCosineLR schedule(optimizer, warmup, total_steps);

  const Checkpoint checkpoint(settings, name, seed);
  TrainingState state;
  if (settings.resume) state = checkpoint.load(model, optimizer, schedule, train.images.device());
  examples::Progress progress(fmt::format("{:<5} seed {}", name, seed), n, settings.epochs,
                              state.epochs_done);
  model->train();
  while (state.epochs_done < settings.epochs) {
    const torch::Tensor order = shuffled(n, seed, state.epochs_done).to(train.images.device());
    for (int64_t b = 0; b < batches; ++b) {
      const torch::Tensor rows = order.slice(0, b * settings.batch, (b + 1) * settings.batch);
      const torch::Tensor images = train.images.index_select(0, rows);
      const torch::Tensor loss = train_step(images, train.targets.index_select(0, rows));
      schedule.step();
      progress.update(rows.size(0), loss);
    }
    state.seconds += progress.end_epoch();
    ++state.epochs_done;
    checkpoint.save(model, optimizer, schedule, state);
  }
  model->eval();
  return state.seconds / static_cast<double>(settings.epochs);
}

}  // namespace

double train_plain(const std::string& name, ConvNet& model, torch::optim::Optimizer& optimizer,
                   const Split& train, const Settings& settings, int64_t seed) {
  return run_epochs(name, model, optimizer, train, settings, seed,
                    [&](const torch::Tensor& images, const torch::Tensor& targets) {
                      optimizer.zero_grad();
                      auto loss =
                          torch::cross_entropy_loss(logits(model, images, settings.bf16), targets);
                      loss.backward();
                      optimizer.step();
                      return loss;
                    });
}

double train_ivon(ConvNet& model, ivon::IVON<>& optimizer, const Split& train,
                  const Settings& settings, int64_t seed) {
  return run_epochs(
      "IVON", model, optimizer, train, settings, seed,
      [&](const torch::Tensor& images, const torch::Tensor& targets) {
        optimizer.zero_grad();
        torch::Tensor loss;
        {
          auto sample = optimizer.sampled_params();  // weights drawn from the posterior
          loss = torch::cross_entropy_loss(logits(model, images, settings.bf16), targets);
          loss.backward();
        }  // the posterior mean again
        optimizer.step();
        return loss;
      });
}

}  // namespace fashion_mnist
