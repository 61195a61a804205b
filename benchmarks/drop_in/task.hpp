// SPDX-License-Identifier: Apache-2.0
// A task of the drop-in benchmark: a small training program as a user of Adam or AdamW writes it,
// in which the optimizer can be replaced.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/classification.hpp"

namespace drop_in {

/// The optimizer in a task's loop, which a Contender made.
class TaskOptimizer {
 public:
  TaskOptimizer() = default;
  virtual ~TaskOptimizer() = default;
  TaskOptimizer(const TaskOptimizer&) = delete;
  TaskOptimizer& operator=(const TaskOptimizer&) = delete;

  virtual void zero_grad() = 0;
  virtual void step() = 0;
  /// Sets the learning rate, in the units of Adam, as the task's own schedule does.
  virtual void set_lr(double lr) = 0;
  /// Puts the mean of the posterior into the module, until train(); nothing for Adam and AdamW.
  virtual void eval() {}
  virtual void train() {}
  /// Returns the class probabilities [n, classes] of `logits` on `inputs`, averaged over draws from
  /// the posterior; undefined for Adam and AdamW. Call it after eval().
  virtual torch::Tensor averaged(const examples::Logits& /*logits*/,
                                 const torch::Tensor& /*inputs*/) {
    return {};
  }
};

/// The options of the optimizer that a task usually has, Adam or AdamW.
using UsualOptions = std::variant<torch::optim::AdamOptions, torch::optim::AdamWOptions>;

/// Makes the optimizers of a task: what is compared.
class Contender {
 public:
  Contender() = default;
  virtual ~Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  /// Returns an optimizer in place of the task's own. `examples` is what
  /// docs/migration_from_adamw.md says to give as ess: the number of training examples (tokens for
  /// texts; more for squared errors), or 0 where there is no data set, as in reinforcement
  /// learning.
  virtual std::unique_ptr<TaskOptimizer> make(const std::vector<torch::Tensor>& parameters,
                                              const UsualOptions& usual, double examples) const = 0;
};

/// One run of a task.
struct Run {
  const Contender& contender;
  uint64_t seed = 1;  // of initialisation, order of batches, dropout, environments
  double length = 1;  // 1: the full form, about two minutes of one core; 1.0 / 6: the short form
  std::filesystem::path data = "build/drop_in/data";  // folder that run.sh fills

  /// Returns the number of steps (or epochs, episodes) of this form, at least 1.
  int64_t scaled(double full) const { return std::max<int64_t>(1, std::llround(full * length)); }
};

/// What a run ends with.
struct Result {
  double merit = 0;  // the task's figure of merit; its name and direction stand in Task
  std::optional<examples::Scores> mean;      // classifiers: at the mean
  std::optional<examples::Scores> averaged;  // classifiers: averaged over the posterior
};

/// A task.
struct Task {
  std::string name;
  std::string merit;              // what Result::merit is, for instance "error rate"
  bool higher_is_better = false;  // true for rewards
  bool set_aside = false;         // not used in the search for the best settings
  int seeds = 3;                  // of the full comparison
  std::function<Result(const Run&)> train;
};

/// Returns all tasks, in the order of the tables.
const std::vector<Task>& tasks();

// One function a task; each is in the file of its name in tasks/.
Result train_mlp(const Run& run);
Result train_cnn(const Run& run);
Result train_lstm(const Run& run);
Result train_char_transformer(const Run& run);
Result train_word_model(const Run& run);
Result train_vae(const Run& run);
Result train_gan(const Run& run);
Result train_ppo(const Run& run);
Result train_table(const Run& run);
Result train_finetune(const Run& run);
Result train_deep_mlp(const Run& run);
Result train_embedding(const Run& run);

}  // namespace drop_in
