// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/models/image_models.hpp"
#include "common/training.hpp"
#include "common/weight_average.hpp"
#include "evaluation.hpp"
#include "steps.hpp"

namespace image_classification {
namespace {

Description describe(const Run& run) {
  const TrainingSettings& s = run.s.training;
  Description about;
  about.model = s.model;
  about.side = image_side(s);
  about.files = run.data.files;
  about.classes = run.data.train->classes;
  about.test_crop = s.test_crop;
  set_moments(about, *run.data.train);
  return about;
}

std::unique_ptr<examples::ImageLoader> training_loader(const Run& run, const Description& about) {
  examples::LoaderSettings settings;
  settings.batch = run.s.training.batch;
  settings.workers = workers(run.s.data);
  settings.strict = run.s.data.strict;
  const examples::Crop crop = training_crop(run.s.augmentation, run.data.files);
  return std::make_unique<examples::ImageLoader>(
      *run.data.train, training_transform(run.s.augmentation, crop, about.side, run.seed),
      settings);
}

examples::TrainingPlan plan_of(const Run& run) {
  examples::TrainingPlan plan = examples::make_plan(run.s.common, run.fingerprint);
  plan.name = run.name;
  plan.examples = run.data.train->size();
  plan.batch = run.s.training.batch;
  plan.epochs = run.epochs;
  plan.warmup = run.s.training.warmup;
  plan.seed = run.seed;
  plan.log = &run.log;
  plan.checkpoint_seconds = run.s.training.checkpoint_seconds;
  return plan;
}

// IVON with a sample that step() draws needs no scope; with several samples a step it does.
bool needs_scopes(const Run& run, torch::optim::Optimizer& optimizer) {
  if (examples::as_ivon(optimizer) == nullptr) return false;
  if (run.s.training.mc_samples > 1 && run.optimizer.sample_on_step) {
    throw std::invalid_argument(
        fmt::format("--mc-samples must be 1 with --sample-on-step, got {}; add --no-sample-on-step",
                    run.s.training.mc_samples));
  }
  return !run.optimizer.sample_on_step;
}

}  // namespace

std::optional<ivon::Posterior> Trained::posterior() const {
  ivon::IVON<>* ivon = examples::as_ivon(*optimizer);
  if (ivon == nullptr) return {};
  return ivon::Posterior::of(*ivon, *network.model);
}

examples::Json training_fingerprint(const Settings& s, const examples::Settings& list,
                                    const DataSets& data) {
  examples::Json fingerprint = list.fingerprint();
  fingerprint["packed images"] = !s.data.cache.empty();
  fingerprint["training images"] = data.train->size();
  fingerprint["classes"] = data.train->classes;
  return fingerprint;
}

Trained train_network(const Run& run) {
  const Description about = describe(run);
  const torch::Device device(run.s.common.device);
  Trained trained;
  trained.network =
      make_network(about, run.seed, device, run.s.common.bf16, run.s.training.channels_last);
  examples::ImageModel& model = *trained.network.model;
  examples::OptimizerSettings settings = run.optimizer;
  if (settings.ess == 0) settings.ess = static_cast<double>(run.data.train->size());
  trained.optimizer = examples::make_optimizer(settings, model.parameters());
  ivon::IVON<>* ivon = examples::as_ivon(*trained.optimizer);

  const auto loader = training_loader(run, about);
  const Stepping stepping{run.s, trained.network, *trained.optimizer, *loader, run.seed};
  examples::TrainingStep step =
      needs_scopes(run, *trained.optimizer) ? scoped_step(stepping) : plain_step(stepping);

  std::optional<examples::WeightAverage> average;
  if (ivon == nullptr && run.s.training.average > 0) {
    average.emplace(model, run.s.training.average);
    step = [inner = std::move(step), &average](const torch::Tensor& rows) {
      torch::Tensor loss = inner(rows);
      average->update();
      return loss;
    };
  }

  examples::TrainingPlan plan = plan_of(run);
  plan.begin_epoch = [&](int64_t epoch, const torch::Tensor& rows) { loader->start(epoch, rows); };
  plan.add_to_checkpoint = [&](examples::Checkpoint& checkpoint) {
    if (average) checkpoint.add("average", *average);
  };
  if (run.s.measured > 0) {
    plan.measure = [&](int64_t /*epoch*/) {
      return score_at_mean(trained.network, ivon, average, run);
    };
  }
  const examples::Position end = examples::train(model, *trained.optimizer, plan, step);
  if (ivon != nullptr) ivon->eval();  // the posterior mean, also where step() draws the samples
  if (average) average->keep();
  trained.seconds = end.seconds;
  trained.loss = end.last_loss;
  trained.unreadable = loader->unreadable();
  return trained;
}

}  // namespace image_classification
