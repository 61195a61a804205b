// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <fmt/format.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/autocast.hpp"
#include "common/data/token_batches.hpp"
#include "common/training.hpp"
#include "scores.hpp"
#include "steps.hpp"

namespace gpt2 {
namespace {

// IVON's effective sample size for each training token or question. With 1 instead, the noise of a
// model that reads its text only a few times is as large as its weights, and the loss is higher.
// The README has the losses.
constexpr double kEssOfAnExample = 30;

// An "epoch" of the training loop is what lies between two evaluations.
examples::TrainingPlan plan_of(const Run& run, const Task& task) {
  const TrainingSettings& t = run.s.training;
  const int64_t part = std::min(t.evaluate_every, t.iterations);
  examples::TrainingPlan plan = examples::make_plan(run.s.common, run.fingerprint);
  plan.name = run.s.optimizer.name;
  plan.batch = t.batch * t.accumulate;
  plan.examples = part * plan.batch;
  plan.epochs = t.iterations / part;
  plan.warmup = t.warmup;
  plan.linear = t.linear;
  plan.final_factor = t.final_factor;
  plan.seed = run.seed;
  plan.log = &run.log;
  plan.words = {"stage", task.items, task.items_per_piece};
  plan.checkpoint_seconds = t.checkpoint_seconds;
  return plan;
}

std::vector<torch::Tensor> trained_parameters(const examples::Gpt2& model) {
  std::vector<torch::Tensor> parameters;
  for (const torch::Tensor& parameter : model.parameters()) {
    if (parameter.requires_grad()) parameters.push_back(parameter);
  }
  return parameters;
}

examples::TrainingStep step_of(const Run& run, const Stepping& stepping) {
  if (examples::as_ivon(stepping.optimizer) == nullptr) return plain_step(stepping);
  if (run.s.training.fresh_samples) return fresh_samples_step(stepping);
  return run.s.optimizer.sample_on_step ? plain_step(stepping) : one_sample_step(stepping);
}

// In a line of its own, also on a terminal, where the progress line is still open.
void print_measured(const Run& run, const examples::Json& measured) {
  std::string line = fmt::format("{} seed {}", run.s.optimizer.name, run.seed);
  for (const auto& [key, value] : measured.items()) {
    line += fmt::format(" | {} {:.4f}", key, value.get<double>());
  }
  if (isatty(STDOUT_FILENO) == 1) line = fmt::format("\r{:<100}", line);
  fmt::print("{}\n", line);
}

}  // namespace

Task next_token_task(examples::Gpt2& model, const TextData& data, int64_t measured, int64_t seed,
                     bool bf16) {
  const int64_t context = model.options().context;
  const torch::Device device = model.parameters().front().device();
  Task task;
  task.examples = static_cast<double>(data.train.size());
  task.items_per_piece = context;
  const examples::TokenBatches text(data.train, context, static_cast<uint64_t>(seed));
  task.loss = [text, &model, device, bf16](const torch::Tensor& rows, int64_t part) {
    const examples::TokenBatch batch = text.random(rows, part, device);
    const examples::Autocast autocast(device.type(), bf16);
    return model.loss(batch.inputs, batch.targets);
  };
  // Made here in any case, so that a validation text that is too short is found before training.
  const examples::TokenBatches validation(data.validation, context, 0);
  if (measured == 0) return task;
  task.measure = [validation, &model, device, bf16, measured] {
    const ScoredText pieces = spread_pieces(validation, measured, device);
    return examples::Json{
        {"validation_loss", mean_loss(log_probabilities(model, pieces, bf16, "validation"))}};
  };
  return task;
}

Trained train_model(examples::Gpt2& model, const Task& task, const Run& run) {
  examples::OptimizerSettings settings = run.s.optimizer;
  if (settings.ess == 0) settings.ess = kEssOfAnExample * task.examples;
  Trained trained;
  const std::vector<torch::Tensor> parameters = trained_parameters(model);
  trained.optimizer = examples::make_optimizer(settings, examples::decay_matrices(parameters));
  ivon::IVON<>* ivon = examples::as_ivon(*trained.optimizer);

  int64_t part = 0;
  const Stepping stepping{parameters, *trained.optimizer,
                          [&](const torch::Tensor& rows) { return task.loss(rows, part); },
                          run.s.training.accumulate, run.s.training.gradient_clip};
  examples::TrainingPlan plan = plan_of(run, task);
  plan.begin_epoch = [&](int64_t epoch, const torch::Tensor& /*rows*/) { part = epoch; };
  if (task.measure) {
    plan.measure = [&](int64_t /*epoch*/) {
      std::optional<ivon::MeanParams> mean;
      if (ivon != nullptr) mean.emplace(ivon->mean_params());
      examples::Json measured = task.measure();
      print_measured(run, measured);
      return measured;
    };
  }
  const examples::Position end =
      examples::train(model, *trained.optimizer, plan, step_of(run, stepping));
  if (ivon != nullptr) ivon->eval();  // the posterior mean, also where step() draws the samples
  trained.seconds = end.seconds;
  trained.loss = end.last_loss;
  return trained;
}

std::optional<ivon::Posterior> posterior_of(torch::optim::Optimizer& optimizer,
                                            const examples::Gpt2& model, int64_t seed) {
  ivon::IVON<>* ivon = examples::as_ivon(optimizer);
  if (ivon == nullptr) return {};
  ivon::Posterior posterior = ivon::Posterior::of(*ivon, model);
  posterior.manual_seed(static_cast<uint64_t>(seed));
  return posterior;
}

Validation validate(examples::Gpt2& model, std::optional<ivon::Posterior>& posterior,
                    const TextData& data, int64_t pieces, int64_t samples, bool bf16) {
  const torch::Device device = model.parameters().front().device();
  const examples::TokenBatches text(data.validation, model.options().context, 0);
  const ScoredText scored = spread_pieces(text, pieces, device);
  Validation result;
  result.mean = mean_loss(log_probabilities(model, scored, bf16, "validation at the mean"));
  if (posterior) {
    result.averaged = mean_loss(averaged_log_probabilities(model, *posterior, samples, scored, bf16,
                                                           "validation, samples"));
  }
  return result;
}

std::string description(const Validation& validation, int64_t samples) {
  if (!validation.averaged) {
    return fmt::format("{:.4f} (perplexity {:.2f})", validation.mean, std::exp(validation.mean));
  }
  return fmt::format("{:.4f} at the mean, {:.4f} averaged over {} samples (perplexity {:.2f})",
                     validation.mean, *validation.averaged, samples,
                     std::exp(*validation.averaged));
}

}  // namespace gpt2
