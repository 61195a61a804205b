// SPDX-License-Identifier: Apache-2.0
//
// Learning-rate schedules with a linear warm-up: WarmupCosineLR and WarmupLinearLR. They work on
// every torch::optim::Optimizer. The comments of the two classes give the formulas.
#pragma once

#include <c10/util/Exception.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/serialize/archive.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ivon/version.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

// The way in which the learning rate falls after the warm-up. Archives store these numbers.
enum class Decay : int64_t { kCosine = 0, kLinear = 1 };

/// The members that WarmupCosineLR and WarmupLinearLR share. Programs use those two classes.
///
/// The scheduler keeps a reference to the optimizer. So the optimizer must outlive the scheduler
/// and stay at its address, as for every LibTorch scheduler.
class WarmupLR : public torch::optim::LRScheduler {
 public:
  /// Returns the multiple of the base rate that the k-th call of step() sets, for k >= 0. The
  /// constructor sets factor(0). The value is in [0, 1]. The comment of the class gives the
  /// formula.
  double factor(int64_t k) const {
    if (k < warmup_steps_) {
      return static_cast<double>(k + 1) / static_cast<double>(warmup_steps_);
    }
    if (k >= total_steps_) return final_factor_;
    const double done =
        static_cast<double>(k - warmup_steps_) / static_cast<double>(total_steps_ - warmup_steps_);
    constexpr double kPi = 3.14159265358979323846;
    const double left = decay_ == Decay::kCosine ? 0.5 * (1 + std::cos(kPi * done)) : 1 - done;
    return final_factor_ + (1 - final_factor_) * left;
  }

  /// Returns the base rates, which factor() multiplies: one learning rate for each parameter group
  /// that the scheduler has seen. A group that is added to the optimizer later keeps its own rate
  /// until the next step(), which takes this rate as the group's base rate.
  const std::vector<double>& base_lrs() const { return base_lrs_; }

  /// Returns the number of calls of step() so far, 0 or more. load() sets it to the saved number.
  int64_t steps_taken() const { return static_cast<int64_t>(step_count_); }

  /// Writes everything that a resumed run needs: the schedule, the number of calls of step(), the
  /// base rates and the current rates. All of it lies under one key, "ivon_warmup_scheduler", so
  /// the same archive may hold a model or an optimizer as well.
  void save(torch::serialize::OutputArchive& archive) const {
    torch::serialize::OutputArchive nested(archive.compilation_unit());
    nested.write("format", c10::IValue(kFormat));
    nested.write("decay", c10::IValue(static_cast<int64_t>(decay_)));
    nested.write("warmup_steps", c10::IValue(warmup_steps_));
    nested.write("total_steps", c10::IValue(total_steps_));
    nested.write("final_factor", c10::IValue(final_factor_));
    nested.write("step_count", c10::IValue(steps_taken()));
    nested.write("base_lrs", c10::IValue(base_lrs_));
    nested.write("lrs", c10::IValue(current_lrs()));
    archive.write(kKey, nested);
  }

  /// Reads what save() wrote, and sets the learning rates of the optimizer's groups to the saved
  /// ones. Load the optimizer first and the scheduler after it.
  ///
  /// Throws c10::Error if the archive holds no scheduler, one of another format or a damaged one;
  /// if the type, `warmup_steps`, `total_steps` or `final_factor` of this scheduler differ from
  /// those of the saved one; or if the optimizer has another number of parameter groups. Nothing
  /// changes when it throws.
  void load(torch::serialize::InputArchive& archive) {
    torch::serialize::InputArchive nested;
    TORCH_CHECK(archive.try_read(kKey, nested),
                "ivon: the archive must hold a warm-up scheduler, got one without the key '", kKey,
                "'; load what WarmupCosineLR or WarmupLinearLR saved");
    const int64_t format = read(nested, "format").toInt();
    TORCH_CHECK(format == kFormat, "ivon: the scheduler's format must be ", kFormat, ", got ",
                format, "; load it with the version of ivon that saved it");
    check_same_schedule(nested);
    const int64_t count = read(nested, "step_count").toInt();
    std::vector<double> base_lrs = read(nested, "base_lrs").toDoubleVector();
    const std::vector<double> lrs = read(nested, "lrs").toDoubleVector();
    const size_t groups = scheduled_.param_groups().size();
    TORCH_CHECK(lrs.size() == groups, "ivon: the saved scheduler and the optimizer must have the ",
                "same number of parameter groups, got ", lrs.size(), " saved and ", groups,
                "; add the groups before loading");
    TORCH_CHECK(base_lrs.size() <= groups && count >= 0 &&
                    count <= int64_t{std::numeric_limits<unsigned>::max()},
                "ivon: a saved scheduler must be whole, got ", base_lrs.size(),
                " base rates and a count of ", count, "; the file is damaged");
    set_lrs(lrs);
    base_lrs_ = std::move(base_lrs);
    step_count_ = static_cast<unsigned>(count);
  }

  /// Calls save(), so that torch::save(scheduler, "scheduler.pt") works.
  friend torch::serialize::OutputArchive& operator<<(torch::serialize::OutputArchive& archive,
                                                     const WarmupLR& scheduler) {
    scheduler.save(archive);
    return archive;
  }
  /// Calls load(), so that torch::load(scheduler, "scheduler.pt") works. Throws as load() does.
  friend torch::serialize::InputArchive& operator>>(torch::serialize::InputArchive& archive,
                                                    WarmupLR& scheduler) {
    scheduler.load(archive);
    return archive;
  }

 protected:
  /// The constructors of the two schedules describe the parameters and what is thrown.
  WarmupLR(torch::optim::Optimizer& optimizer, int64_t warmup_steps, int64_t total_steps,
           double final_factor, Decay decay)
      : LRScheduler(optimizer),
        scheduled_(optimizer),
        warmup_steps_(warmup_steps),
        total_steps_(total_steps),
        final_factor_(final_factor),
        decay_(decay) {
    TORCH_CHECK(warmup_steps >= 0, "ivon: warmup_steps must be >= 0, got ", warmup_steps,
                "; 0 means no warm-up");
    TORCH_CHECK(total_steps >= 1, "ivon: total_steps must be >= 1, got ", total_steps,
                "; give the number of scheduler steps of the whole training");
    TORCH_CHECK(total_steps >= warmup_steps, "ivon: total_steps must be >= warmup_steps (",
                warmup_steps, "), got ", total_steps, "; total_steps counts the warm-up as well");
    TORCH_CHECK(final_factor >= 0 && final_factor <= 1,
                "ivon: final_factor must be in [0, 1], got ", final_factor,
                "; it is the last learning rate over the base learning rate");
    base_lrs_ = current_lrs();
    set_lrs(scaled(0));
  }

  /// Returns the rates that the running call of step() sets, one for each parameter group.
  /// LibTorch's step() calls this function before it counts the call.
  ///
  /// Throws c10::Error if the optimizer has fewer parameter groups than the scheduler has seen.
  std::vector<double> get_lrs() override {
    const std::vector<double> lrs = current_lrs();
    TORCH_CHECK(lrs.size() >= base_lrs_.size(), "ivon: a scheduled optimizer must keep its ",
                base_lrs_.size(), " parameter groups, got ", lrs.size(),
                "; build a new scheduler after removing groups");
    base_lrs_.insert(base_lrs_.end(), lrs.begin() + static_cast<std::ptrdiff_t>(base_lrs_.size()),
                     lrs.end());
    return scaled(steps_taken() + 1);
  }

 private:
  static constexpr int64_t kFormat = 1;
  static constexpr const char* kKey = "ivon_warmup_scheduler";

  static c10::IValue read(torch::serialize::InputArchive& archive, const std::string& key) {
    c10::IValue value;
    TORCH_CHECK(archive.try_read(key, value), "ivon: a saved scheduler must have the key '", key,
                "', got none; the file is damaged");
    return value;
  }

  // Throws if the saved schedule is not this one, because the learning rate of the resumed run
  // would jump without notice.
  void check_same_schedule(torch::serialize::InputArchive& archive) const {
    const int64_t decay = read(archive, "decay").toInt();
    const int64_t warmup_steps = read(archive, "warmup_steps").toInt();
    const int64_t total_steps = read(archive, "total_steps").toInt();
    const double final_factor = read(archive, "final_factor").toDouble();
    TORCH_CHECK(decay == static_cast<int64_t>(decay_), "ivon: a scheduler must be loaded into its ",
                "own type, got ", decay == 0 ? "WarmupCosineLR" : "WarmupLinearLR",
                " in the archive; build that one");
    TORCH_CHECK(warmup_steps == warmup_steps_ && total_steps == total_steps_ &&
                    final_factor == final_factor_,
                "ivon: a scheduler must be built as the saved one, which has warmup_steps ",
                warmup_steps, ", total_steps ", total_steps, ", final_factor ", final_factor,
                ", got ", warmup_steps_, ", ", total_steps_, ", ", final_factor_,
                "; build it with the saved numbers");
  }

  std::vector<double> current_lrs() const {
    std::vector<double> lrs;
    for (const auto& group : scheduled_.param_groups()) lrs.push_back(group.options().get_lr());
    return lrs;
  }

  std::vector<double> scaled(int64_t k) const {
    std::vector<double> lrs = base_lrs_;
    for (double& lr : lrs) lr *= factor(k);
    return lrs;
  }

  void set_lrs(const std::vector<double>& lrs) {
    auto& groups = scheduled_.param_groups();
    for (size_t i = 0; i < lrs.size(); ++i) groups[i].options().set_lr(lrs[i]);
  }

  torch::optim::Optimizer& scheduled_;  // the base class has a reference too, but it is private
  int64_t warmup_steps_;
  int64_t total_steps_;
  double final_factor_;
  Decay decay_;
  std::vector<double> base_lrs_;  // one for each parameter group seen so far
};

}  // namespace detail

/// A schedule for any torch::optim::Optimizer: the learning rate rises linearly and then falls
/// along half a cosine.
///
/// The rate of a parameter group is its base rate times factor(k). The constructor sets factor(0),
/// and the k-th call of step() sets factor(k). Call step() once after every optimizer.step(), or
/// once per epoch if both lengths are given in epochs. With w = warmup_steps, T = total_steps and
/// f = final_factor, factor(k) is
///
/// - (k + 1) / w for k < w, the warm-up;
/// - f + (1 - f) (1 + cos(pi (k - w) / (T - w))) / 2 for w <= k < T;
/// - f for k >= T.
///
/// The cosine is that of Loshchilov and Hutter 2017 (arXiv 1608.03983, equation 5) without
/// restarts. Shen et al. 2024 (arXiv 2402.17641) train with a warm-up and a cosine to 0;
/// docs/algorithm.md lists their settings.
class WarmupCosineLR : public detail::WarmupLR {
 public:
  /// Starts the schedule: takes the present learning rate of every parameter group as the group's
  /// base rate, and sets the rate to factor(0) times the base rate.
  ///
  /// `optimizer` must outlive the scheduler and stay at its address. `warmup_steps` is w, 0 or
  /// more. `total_steps` is T, which counts the warm-up as well: at least 1 and at least
  /// `warmup_steps`. Both count calls of step(). `final_factor` is f, the last rate divided by the
  /// base rate, in [0, 1].
  ///
  /// Throws c10::Error if a number is outside its range.
  WarmupCosineLR(torch::optim::Optimizer& optimizer, int64_t warmup_steps, int64_t total_steps,
                 double final_factor = 0)
      : WarmupLR(optimizer, warmup_steps, total_steps, final_factor, detail::Decay::kCosine) {}
};

/// A schedule for any torch::optim::Optimizer: the learning rate rises linearly and then falls
/// along a straight line.
///
/// Programs use it as they use WarmupCosineLR, whose comment explains the symbols. factor(k) is
///
/// - (k + 1) / w for k < w, the warm-up;
/// - f + (1 - f) (1 - (k - w) / (T - w)) for w <= k < T;
/// - f for k >= T.
class WarmupLinearLR : public detail::WarmupLR {
 public:
  /// Starts the schedule: takes the present learning rate of every parameter group as the group's
  /// base rate, and sets the rate to factor(0) times the base rate.
  ///
  /// `optimizer` must outlive the scheduler and stay at its address. `warmup_steps` is w, 0 or
  /// more. `total_steps` is T, which counts the warm-up as well: at least 1 and at least
  /// `warmup_steps`. Both count calls of step(). `final_factor` is f, the last rate divided by the
  /// base rate, in [0, 1].
  ///
  /// Throws c10::Error if a number is outside its range.
  WarmupLinearLR(torch::optim::Optimizer& optimizer, int64_t warmup_steps, int64_t total_steps,
                 double final_factor = 0)
      : WarmupLR(optimizer, warmup_steps, total_steps, final_factor, detail::Decay::kLinear) {}
};

IVON_NAMESPACE_END
