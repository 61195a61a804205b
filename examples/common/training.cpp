// SPDX-License-Identifier: Apache-2.0
#include "common/training.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ivon/schedulers.hpp>
#include <utility>
#include <variant>

#include "common/interrupt.hpp"
#include "common/trained_weights.hpp"

namespace examples {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t batches_per_epoch(const TrainingPlan& plan) {
  return (plan.examples + plan.batch - 1) / plan.batch;
}

int64_t total_steps(const TrainingPlan& plan) {
  return std::max<int64_t>(1, batches_per_epoch(plan) * plan.epochs);
}

int64_t warmup_steps(const TrainingPlan& plan) {
  return static_cast<int64_t>(plan.warmup * static_cast<double>(total_steps(plan)));
}

using Schedule = std::variant<ivon::WarmupCosineLR, ivon::WarmupLinearLR>;

Schedule make_schedule(torch::optim::Optimizer& optimizer, const TrainingPlan& plan) {
  const int64_t warmup = warmup_steps(plan), total = total_steps(plan);
  if (plan.linear) {
    return Schedule(std::in_place_type<ivon::WarmupLinearLR>, optimizer, warmup, total,
                    plan.final_factor);
  }
  return Schedule(std::in_place_type<ivon::WarmupCosineLR>, optimizer, warmup, total,
                  plan.final_factor);
}

// The weights that are frozen are not in the checkpoint, so a resumed run must bring the same ones.
Json run_fingerprint(const TrainingPlan& plan, const torch::nn::Module& module) {
  Json fingerprint = plan.fingerprint.is_null() ? Json::object() : plan.fingerprint;
  fingerprint["seed"] = plan.seed;
  const std::string frozen = frozen_checksum(module);
  if (!frozen.empty()) fingerprint["frozen weights"] = frozen;
  return fingerprint;
}

class Loop {
 public:
  Loop(torch::nn::Module& module, torch::optim::Optimizer& optimizer, const TrainingPlan& plan,
       const TrainingStep& step)
      : module_(module),
        optimizer_(optimizer),
        plan_(plan),
        step_(step),
        schedule_(make_schedule(optimizer, plan)),
        trained_weights_(module),
        checkpoint_(checkpoint_file(plan), run_fingerprint(plan, module), plan.device) {
    std::filesystem::create_directories(checkpoint_.file().parent_path());
    checkpoint_.add("model", trained_weights_);
    checkpoint_.add("optimizer", optimizer);
    std::visit([this](auto& schedule) { checkpoint_.add("schedule", schedule); }, schedule_);
    if (plan.add_to_checkpoint) plan.add_to_checkpoint(checkpoint_);
  }

  Position run() {
    if (plan_.resume) position_ = checkpoint_.load().value_or(Position());
    Progress progress(fmt::format("{:<5} seed {}", plan_.name, plan_.seed), plan_.examples,
                      plan_.epochs, position_.epoch,
                      std::min(position_.batch * plan_.batch, plan_.examples), position_.loss_sum,
                      plan_.words);
    const SignalScope signals;
    module_.train();
    started_ = last_checkpoint_ = last_log_ = Clock::now();
    while (position_.epoch < plan_.epochs) {
      run_epoch(progress, signals);
      end_epoch(progress);
      if (signals.received() != 0) stop(signals.received());
    }
    module_.eval();
    return position_;
  }

 private:
  void run_epoch(Progress& progress, const SignalScope& signals) {
    const torch::Tensor on_cpu = data_order(plan_.examples, plan_.seed, position_.epoch);
    if (plan_.begin_epoch) {
      plan_.begin_epoch(position_.epoch, on_cpu.slice(0, position_.batch * plan_.batch));
    }
    const torch::Tensor order = on_cpu.to(plan_.device);
    const int64_t batches = batches_per_epoch(plan_);
    while (position_.batch < batches) {
      const int64_t first = position_.batch * plan_.batch;
      const torch::Tensor rows = order.slice(0, first, first + plan_.batch);
      const torch::Tensor loss = step_(rows);
      std::visit([](auto& schedule) { schedule.step(); }, schedule_);
      progress.update(rows.size(0), loss);
      position_.loss_sum = progress.loss_sum();
      if (++position_.batch == batches) return;  // the checkpoint is written after the epoch
      if (seconds_since(last_log_) >= plan_.log_seconds) log(progress);
      if (signals.received() != 0) stop(signals.received());
      if (seconds_since(last_checkpoint_) >= plan_.checkpoint_seconds) save_or_warn();
    }
  }

  void end_epoch(Progress& progress) {
    log(progress, measured());
    position_.last_loss = progress.mean_loss();
    progress.end_epoch();
    ++position_.epoch;
    position_.batch = 0;
    position_.loss_sum = torch::Tensor();
    save_or_warn();
  }

  // What the plan measures at the end of an epoch, without its time.
  Json measured() {
    if (!plan_.measure) return Json::object();
    position_.seconds += seconds_since(started_);
    module_.eval();
    Json fields = plan_.measure(position_.epoch + 1);
    module_.train();
    started_ = Clock::now();
    return fields;
  }

  void log(const Progress& progress, const Json& more = Json::object()) {
    last_log_ = Clock::now();
    if (plan_.log == nullptr) return;
    Json line = {{"run", plan_.name},
                 {"seed", plan_.seed},
                 {"epoch", position_.epoch + 1},
                 {"step", position_.epoch * batches_per_epoch(plan_) + position_.batch},
                 {"loss", progress.mean_loss()},
                 {"lr", optimizer_.param_groups().front().options().get_lr()},
                 {plan_.words.items + "_per_second", progress.rate()},
                 {"seconds", position_.seconds + seconds_since(started_)}};
    line.update(more);
    plan_.log->write(line);
  }

  void save() {
    position_.seconds += seconds_since(started_);
    try {
      checkpoint_.save(position_);
    } catch (...) {
      started_ = last_checkpoint_ = Clock::now();  // the next attempt is an interval away
      throw;
    }
    started_ = last_checkpoint_ = Clock::now();
  }

  void save_or_warn() {
    try {
      save();
    } catch (const std::exception& error) {
      fmt::print(stderr, "\nwarning: {}; training goes on\n", error.what());
    }
  }

  [[noreturn]] void stop(int signal) {
    save();
    throw Interrupted(signal, checkpoint_.file().string());
  }

  torch::nn::Module& module_;
  torch::optim::Optimizer& optimizer_;
  const TrainingPlan& plan_;
  const TrainingStep& step_;
  Schedule schedule_;
  TrainedWeights trained_weights_;
  Checkpoint checkpoint_;
  Position position_;
  Clock::time_point started_;  // since when position_.seconds does not count the time
  Clock::time_point last_checkpoint_, last_log_;
};

}  // namespace

TrainingPlan make_plan(const CommonSettings& common, const Settings& settings,
                       const std::vector<std::string>& without) {
  return make_plan(common, settings.fingerprint(without));
}

TrainingPlan make_plan(const CommonSettings& common, Json fingerprint) {
  TrainingPlan plan;
  plan.out = common.out;
  plan.seed = common.seed;
  plan.resume = common.resume;
  plan.device = torch::Device(common.device);
  plan.fingerprint = std::move(fingerprint);
  return plan;
}

std::filesystem::path checkpoint_file(const TrainingPlan& plan) {
  return plan.out / fmt::format("checkpoint-{}-{}.pt", plan.name, plan.seed);
}

torch::Tensor data_order(int64_t n, int64_t seed, int64_t epoch) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(
      static_cast<uint64_t>(seed) * 1'000'000 + static_cast<uint64_t>(epoch));
  return at::randperm(n, generator, at::kLong);
}

Position train(torch::nn::Module& module, torch::optim::Optimizer& optimizer,
               const TrainingPlan& plan, const TrainingStep& step) {
  return Loop(module, optimizer, plan, step).run();
}

}  // namespace examples
