// SPDX-License-Identifier: Apache-2.0
// One progress line for a training run: loss, rate, time left.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace examples {

// What a progress line counts.
struct ProgressWords {
  std::string epoch = "epoch";     // a pass over the examples, after which the line is final
  std::string items = "examples";  // of the rate
  int64_t items_per_example = 1;
};

// Redraws one line (with \r) where stdout is a terminal; prints a plain line every few seconds and
// one at each epoch's end where it is not, so that logs stay short and readable.
class Progress {
 public:
  // `label` names the run, `examples` is the size of one epoch. A resumed run goes on in
  // `first_epoch` (from 0) after `done` examples whose losses sum to `loss_sum` (float64 scalar,
  // undefined: 0).
  Progress(std::string label, int64_t examples, int64_t epochs, int64_t first_epoch = 0,
           int64_t done = 0, at::Tensor loss_sum = {}, ProgressWords words = {});

  // `count` more examples were trained on with mean loss `loss`, a scalar on any device: it is read
  // when a line is printed, so that training need not wait for a GPU at every step.
  void update(int64_t count, const at::Tensor& loss);

  // The loss summed over this epoch's examples: a float64 scalar, undefined before the first.
  const at::Tensor& loss_sum() const { return loss_sum_; }

  // The loss averaged over this epoch's examples, 0 before the first. Waits for a GPU.
  double mean_loss() const;

  // Items per second in this run of the program, 0 before the first.
  double rate() const;

  // Prints the epoch's last line and begins the next epoch. Waits for a GPU.
  void end_epoch();

 private:
  using Clock = std::chrono::steady_clock;

  void print(bool epoch_end);

  std::string label_;
  ProgressWords words_;
  int64_t examples_, epochs_, epoch_;
  bool terminal_;
  Clock::time_point start_, last_print_;
  int64_t done_run_ = 0, done_epoch_ = 0;  // examples in this run of the program, and epoch
  at::Tensor loss_sum_;  // float64 scalar, over this epoch's examples; undefined: 0
};

// One progress line for work whose items are counted: items done, rate, time left. Where stdout is
// a terminal the line is redrawn; elsewhere a line is printed every few seconds, so that short work
// prints nothing.
class CountProgress {
 public:
  // `label` names the work, `items` what is counted ("images").
  CountProgress(std::string label, int64_t total, std::string items);

  // `done` items are done, perhaps with a part of the next ones.
  void show(double done);

  // All are done. Ends the line, if any was printed.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  void print(double done, bool last);

  std::string label_, items_;
  int64_t total_;
  bool terminal_, printed_ = false;
  Clock::time_point start_, last_print_;
};

// "1:05" for 65 s, "1:01:05" from an hour on.
std::string duration(double seconds);

}  // namespace examples
