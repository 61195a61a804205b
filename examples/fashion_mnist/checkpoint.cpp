// SPDX-License-Identifier: Apache-2.0
#include "checkpoint.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace fashion_mnist {
namespace {

// Whatever changes the course of a run. Test-time and output settings may differ on resuming, and
// the device: there the run goes on with other noise of the same distribution.
std::string training_settings(const Settings& s, const std::string& name) {
  const std::string common = fmt::format("epochs {} batch {} warmup {} train-limit {}{}", s.epochs,
                                         s.batch, s.warmup, s.train_limit, s.bf16 ? " bf16" : "");
  if (name == "AdamW")
    return fmt::format("{} lr {} weight-decay {}", common, s.adamw_lr, s.adamw_weight_decay);
  return fmt::format("{} lr {} ess {} hess-init {} beta2 {} weight-decay {}", common, s.lr, s.ess,
                     s.hess_init, s.beta2, s.weight_decay);
}

template <class T>
void write_part(torch::serialize::OutputArchive& whole, const char* key, const T& part) {
  torch::serialize::OutputArchive archive(whole.compilation_unit());
  part.save(archive);
  whole.write(key, archive);
}

template <class T>
void read_part(torch::serialize::InputArchive& whole, const char* key, T& part) {
  torch::serialize::InputArchive archive;
  whole.read(key, archive);
  part.load(archive);
}

}  // namespace

Checkpoint::Checkpoint(const Settings& settings, const std::string& name, int64_t seed)
    : file_(std::filesystem::path(settings.out) / fmt::format("checkpoint-{}-{}.pt", name, seed)),
      settings_(training_settings(settings, name)) {}

void Checkpoint::save(const ConvNet& model, const torch::optim::Optimizer& optimizer,
                      const ivon::WarmupCosineLR& schedule, const TrainingState& state) const {
  torch::serialize::OutputArchive whole;
  write_part(whole, "model", *model);
  write_part(whole, "optimizer", optimizer);
  write_part(whole, "schedule", schedule);
  whole.write("settings", c10::IValue(settings_));
  whole.write("epochs_done", c10::IValue(state.epochs_done));
  whole.write("seconds", c10::IValue(state.seconds));
  const std::string temporary = file_.string() + ".part";
  whole.save_to(temporary);
  std::filesystem::rename(temporary, file_);
}

TrainingState Checkpoint::load(ConvNet& model, torch::optim::Optimizer& optimizer,
                               ivon::WarmupCosineLR& schedule, const torch::Device& device) const {
  if (!std::filesystem::exists(file_)) return {};
  torch::serialize::InputArchive whole;
  whole.load_from(file_.string(), device);
  c10::IValue settings, epochs_done, seconds;
  whole.read("settings", settings);
  if (settings.toStringRef() != settings_) {
    throw std::runtime_error(fmt::format(
        "{}: was written with other settings (\"{}\", now \"{}\"); give the same ones, another "
        "--out, or leave --resume out to start afresh",
        file_.string(), settings.toStringRef(), settings_));
  }
  whole.read("epochs_done", epochs_done);
  whole.read("seconds", seconds);
  read_part(whole, "model", *model);
  read_part(whole, "optimizer", optimizer);
  read_part(whole, "schedule", schedule);
  return {epochs_done.toInt(), seconds.toDouble()};
}

}  // namespace fashion_mnist
