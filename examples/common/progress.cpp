// SPDX-License-Identifier: Apache-2.0
#include "common/progress.hpp"

#include <fmt/format.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace examples {
namespace {

constexpr double kTerminalSeconds = 0.1;
constexpr double kPlainSeconds = 10;

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

std::string duration(double seconds) {
  const auto total = static_cast<int64_t>(std::max(seconds, 0.0) + 0.5);
  const int64_t h = total / 3600, m = total / 60 % 60, s = total % 60;
  return h > 0 ? fmt::format("{}:{:02}:{:02}", h, m, s) : fmt::format("{}:{:02}", m, s);
}

Progress::Progress(std::string label, int64_t examples, int64_t epochs, int64_t first_epoch,
                   int64_t done, at::Tensor loss_sum, ProgressWords words)
    : label_(std::move(label)),
      words_(std::move(words)),
      examples_(examples),
      epochs_(epochs),
      epoch_(first_epoch),
      terminal_(isatty(STDOUT_FILENO) == 1),
      start_(Clock::now()),
      last_print_(start_),
      done_epoch_(done),
      loss_sum_(std::move(loss_sum)) {}

void Progress::update(int64_t count, const at::Tensor& loss) {
  done_run_ += count;
  done_epoch_ += count;
  const at::Tensor sum = loss.detach().to(at::kDouble) * static_cast<double>(count);
  loss_sum_ = loss_sum_.defined() ? loss_sum_.to(sum.device()) + sum : sum;
  const double since = seconds_between(last_print_, Clock::now());
  if (since >= (terminal_ ? kTerminalSeconds : kPlainSeconds)) print(false);
}

void Progress::end_epoch() {
  print(true);
  ++epoch_;
  done_epoch_ = 0;
  loss_sum_ = at::Tensor();
}

double Progress::mean_loss() const {
  if (!loss_sum_.defined() || done_epoch_ == 0) return 0;
  return loss_sum_.item<double>() / static_cast<double>(done_epoch_);
}

double Progress::rate() const {
  const double elapsed = std::max(seconds_between(start_, Clock::now()), 1e-9);
  return static_cast<double>(done_run_ * words_.items_per_example) / elapsed;
}

void Progress::print(bool epoch_end) {
  last_print_ = Clock::now();
  const double speed = rate();
  const auto left = static_cast<double>(((epochs_ - epoch_) * examples_ - done_epoch_) *
                                        words_.items_per_example);
  const double loss = mean_loss();
  const bool last = epoch_end && epoch_ + 1 == epochs_;
  const std::string line = fmt::format(
      "{} | {} {:>2}/{} {:>3}% | loss {:.4f} | {:>6.0f} {}/s | {} {}", label_, words_.epoch,
      epoch_ + 1, epochs_, examples_ > 0 ? 100 * done_epoch_ / examples_ : 100, loss, speed,
      words_.items, last ? "took" : "ETA",
      duration(last ? seconds_between(start_, last_print_) : left / std::max(speed, 1e-9)));
  if (terminal_) {
    fmt::print("\r{:<100}{}", line, last ? "\n" : "");
  } else {
    fmt::print("{}\n", line);
  }
  std::fflush(stdout);
}

CountProgress::CountProgress(std::string label, int64_t total, std::string items)
    : label_(std::move(label)),
      items_(std::move(items)),
      total_(total),
      terminal_(isatty(STDOUT_FILENO) == 1),
      start_(Clock::now()),
      last_print_(start_) {}

void CountProgress::show(double done) {
  const double since = seconds_between(last_print_, Clock::now());
  if (since >= (terminal_ ? kTerminalSeconds : kPlainSeconds)) print(done, false);
}

void CountProgress::end() {
  if (printed_) print(static_cast<double>(total_), true);
}

void CountProgress::print(double done, bool last) {
  printed_ = true;
  last_print_ = Clock::now();
  const auto total = static_cast<double>(total_);
  const double spent = std::max(seconds_between(start_, last_print_), 1e-9);
  const double rate = done / spent;
  const std::string line = fmt::format(
      "{} | {}/{} {} {:>3.0f}% | {:.1f} {}/s | {} {}", label_, static_cast<int64_t>(done), total_,
      items_, total > 0 ? 100 * done / total : 100, rate, items_, last ? "took" : "ETA",
      duration(last ? spent : (total - done) / std::max(rate, 1e-9)));
  fmt::print("{}{:<90}{}", terminal_ ? "\r" : "", line, terminal_ && !last ? "" : "\n");
  std::fflush(stdout);
}

}  // namespace examples
