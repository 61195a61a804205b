// SPDX-License-Identifier: Apache-2.0
// The loop around an example's own training step: order of the data, learning-rate schedule,
// progress line, log, checkpoints, signals.
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/checkpoint.hpp"
#include "common/program.hpp"
#include "common/progress.hpp"
#include "common/run_log.hpp"
#include "common/settings.hpp"

namespace examples {

struct TrainingPlan {
  std::string name;                    // of this run in the progress line, log and file names
  std::filesystem::path out;           // folder of the checkpoint, made if it is missing
  int64_t examples = 0;                // in the training set, >= 1
  int64_t batch = 1;                   // examples per step, >= 1; the last batch may be smaller
  int64_t epochs = 1;                  // >= 0
  double warmup = 0.05;                // share of the steps with a rising learning rate
  bool linear = false;                 // the learning rate falls in a line and not as a cosine
  double final_factor = 0;             // learning rate at the end, as a multiple of the highest
  int64_t seed = 1;                    // of the order of the data
  bool resume = false;                 // go on from the checkpoint if there is one
  torch::Device device = torch::kCPU;  // where the step gets its row numbers
  Json fingerprint;                    // of the settings; this run's seed is added
  RunLog* log = nullptr;               // may be null
  ProgressWords words;                 // of the progress line
  double checkpoint_seconds = 60;      // between checkpoints within an epoch
  double log_seconds = 10;             // between lines of the log within an epoch

  // Functions that the loop calls; each may be empty.
  // Before the first step of an epoch and after a resume within it: `rows`, int64 on the CPU, are
  // the examples of the epoch that are still to come, in the order of the steps. For loaders that
  // read ahead.
  std::function<void(int64_t epoch, const torch::Tensor& rows)> begin_epoch;
  // After the last step of an epoch, whose number `epoch` counts from 1, with module.eval() set:
  // the fields of the returned object are added to the epoch's line of the log. Its time does not
  // count.
  std::function<Json(int64_t epoch)> measure;
  // Adds what else the training needs to go on, such as averaged weights, to its checkpoint.
  std::function<void(Checkpoint&)> add_to_checkpoint;
};

// A plan with everything that the common settings and the list of all settings give: out, seed,
// resume, device and fingerprint. The settings must be final, so that the fingerprint is. `without`
// names settings on which this run does not depend, such as those of another optimizer.
TrainingPlan make_plan(const CommonSettings& common, const Settings& settings,
                       const std::vector<std::string>& without = {});

// The same with a fingerprint that the caller has made.
TrainingPlan make_plan(const CommonSettings& common, Json fingerprint);

// One optimizer step on the examples with the numbers `rows` (int64, [batch], on plan.device).
// Returns the mean loss, a scalar on any device.
using TrainingStep = std::function<torch::Tensor(const torch::Tensor& rows)>;

// <out>/checkpoint-<name>-<seed>.pt
std::filesystem::path checkpoint_file(const TrainingPlan& plan);

// The numbers 0 to n - 1 in the order of one epoch, int64 on the CPU: a function of seed and epoch
// only, so that all optimizers see the same batches and a resumed run those of the uninterrupted.
torch::Tensor data_order(int64_t n, int64_t seed, int64_t epoch);

// Trains `module` with `optimizer` (which holds its parameters) to the end of the plan, from the
// checkpoint if the plan resumes. Afterwards module.eval() is set; an optimizer with sample_on_step
// still shows a sample. Returns the seconds (checkpoints excluded) and the last epoch's mean loss.
//
// A checkpoint is written at the end of each epoch and every plan.checkpoint_seconds; where that
// fails, a warning is printed and training goes on. On SIGINT or SIGTERM the running step is
// finished, the checkpoint written, and Interrupted thrown. A resumed run equals the uninterrupted
// one bit for bit on the same device with the same number of threads.
//
// Parameters that do not require gradients are not in the checkpoint. The module must have them
// already when a run is resumed: other ones are refused, as other settings are. Which parameters
// require gradients must not change while this runs.
Position train(torch::nn::Module& module, torch::optim::Optimizer& optimizer,
               const TrainingPlan& plan, const TrainingStep& step);

}  // namespace examples
