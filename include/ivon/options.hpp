// SPDX-License-Identifier: Apache-2.0
// The options of the optimizer. Each parameter group has its own values. A few options must have
// the same value in all groups; their comments say so.
#pragma once

#include <c10/util/Exception.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ivon/values/archive_values.hpp>
#include <ivon/values/learning_rate_link.hpp>
#include <ivon/values/options_prefix.hpp>
#include <ivon/version.hpp>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

/// Options of `IVON`; symbols as in Shen et al. 2024 (arXiv 2402.17641), Algorithm 1.
///
/// A parameter group inherits from the optimizer every option that it does not set. An option
/// counts as set when its setter was called, or when a write through the reference accessor left it
/// different from the class default.
class IVONOptions : public torch::optim::OptimizerCloneableOptions<IVONOptions> {
  detail::OptionsPrefix prefix_;  // must be the first member; holds lr

 public:
  IVONOptions() = default;
  /// Sets the learning rate, as lr(value) does. The conversion is implicit, as for every LibTorch
  /// optimizer.
  IVONOptions(double learning_rate) { lr(learning_rate); }  // NOLINT(google-explicit-constructor)

  /// Returns options with which IVON trains as torch::optim::AdamW does with this learning rate and
  /// its other defaults, in AdamW's own training loop: `sample_on_step` is on. lr stays in AdamW's
  /// units, so set_lr() and schedulers keep AdamW's numbers. `ess` > 0 is the number of training
  /// examples or tokens; docs/migration_from_adamw.md says what to give where there is no data set.
  ///
  /// The Hessian is damped so that a step is AdamW's (docs/algorithm.md, "Damping"). How much it is
  /// damped depends on `ess`, so that the noise drowns the weights for no `ess`.
  static inline IVONOptions like_adamw(double lr, double ess);
  /// The same with the lr, betas, eps and decoupled weight decay of `adamw`. Throws c10::Error if
  /// amsgrad is set.
  static inline IVONOptions like_adamw(const torch::optim::AdamWOptions& adamw, double ess);
  /// The same with the lr, betas, eps and weight decay of `adam`. The weight decay is coupled, as
  /// Adam's: it becomes the prior's precision, `weight_decay`. Throws c10::Error if amsgrad is set.
  static inline IVONOptions like_adamw(const torch::optim::AdamOptions& adam, double ess);

// These are the accessors that LibTorch's TORCH_ARG makes: one returns the value, one returns a
// reference, and one sets the value and can be chained. Each option remembers whether it was set,
// because groups inherit the options that they do not set.
#define IVON_OPTION(T, name, value_by_default, ...)  \
 public:                                             \
  const T& name() const noexcept { return name##_; } \
  T& name() noexcept { return name##_; }             \
  IVONOptions& name(const T& value) {                \
    name##_ = value;                                 \
    name##_set_ = true;                              \
    return *this;                                    \
  }                                                  \
                                                     \
 private:                                            \
  T name##_ = value_by_default;                      \
  bool name##_set_ = false;
#include <ivon/values/option_list.inl>
#undef IVON_OPTION

 public:
  /// Learning rate, >= 0. With `rescale_lr` and `debias` the first step is an SGD step with this
  /// rate.
  const double& lr() const noexcept { return prefix_.lr(); }
  /// Returns a reference to the learning rate. A write through it counts as set where the value
  /// then differs from the class default, 0.1. With `capturable`, use lr(value) or set_lr()
  /// instead, because only these two also write the copy in device memory.
  double& lr() noexcept { return prefix_.lr(); }
  /// Sets the learning rate, >= 0 and finite, and returns these options, so that calls can be
  /// chained. validate() checks the range, not this call.
  IVONOptions& lr(const double& value) {
    prefix_.set_lr(value);
    lr_set_ = true;
    learning_rate_link_.notify(value);
    return *this;
  }

  /// (beta1, beta2): decay of the momentum, in [0, 1), and of the Hessian, in [0, 1]. 1 - beta2 is
  /// the Hessian's step size: choose beta2 so that steps * (1 - beta2) is about 1 or more.
  const std::tuple<double, double>& betas() const noexcept { return betas_; }
  /// Returns a reference to (beta1, beta2). A write through it counts as set, for each of the two,
  /// where the value then differs from the class default, (0.9, 0.99999).
  std::tuple<double, double>& betas() noexcept { return betas_; }
  /// Sets beta1, in [0, 1), and beta2, in [0, 1], and returns these options. validate() checks the
  /// ranges, not this call.
  IVONOptions& betas(const std::tuple<double, double>& value) {
    return beta1(std::get<0>(value)).beta2(std::get<1>(value));
  }
  /// Returns beta1, the decay of the momentum, in [0, 1).
  double beta1() const noexcept { return std::get<0>(betas_); }
  /// Returns beta2, the decay of the Hessian, in [0, 1].
  double beta2() const noexcept { return std::get<1>(betas_); }
  /// Sets beta1, the decay of the momentum, in [0, 1), and returns these options.
  IVONOptions& beta1(double value) {
    std::get<0>(betas_) = value;
    beta1_set_ = true;
    return *this;
  }
  /// Sets beta2, the decay of the Hessian, in [0, 1], and returns these options.
  IVONOptions& beta2(double value) {
    std::get<1>(betas_) = value;
    beta2_set_ = true;
    return *this;
  }

  /// Copies from `defaults` every option that was not set in this object. Afterwards all options
  /// count as set.
  void inherit(const IVONOptions& defaults);

  /// Throws c10::Error if an option is out of its range. The message begins with `where`, for
  /// instance "parameter group 1: ".
  void validate(const std::string& where = "") const;

  /// Returns whether all options have equal values, no matter whether they were set.
  friend bool operator==(const IVONOptions& a, const IVONOptions& b) {
    bool equal = true;
    visit(a, b, [&](const char*, const auto& x, const auto& y, bool, bool) { equal &= x == y; });
    return equal;
  }
  /// Returns the opposite of ==.
  friend bool operator!=(const IVONOptions& a, const IVONOptions& b) { return !(a == b); }

  // The declarations say inline, not only the definitions. Otherwise these functions would be the
  // key functions of the class, and every file that includes this header would compile the table of
  // virtual functions, which takes 2 s.
  /// Reads all options from the archive; afterwards all of them count as set. Does not check
  /// ranges.
  ///
  /// Throws c10::Error if an option is missing or has another type. Options that are younger than
  /// the first archives may be missing; they keep their defaults.
  inline void serialize(torch::serialize::InputArchive& archive) override;
  /// Writes the value of every option under its name.
  inline void serialize(torch::serialize::OutputArchive& archive) const override;
  /// Writes the options of several groups, with one key for each option, so that the time to write
  /// and to read them is linear in the number of groups. For the optimizer.
  static inline void write_list(torch::serialize::OutputArchive& archive,
                                const std::vector<const IVONOptions*>& all);
  /// Reads `count` options that write_list() wrote; for the optimizer. All of them count as set.
  /// Throws c10::Error if a value is missing, has another type, or if the number of options is not
  /// `count`.
  static inline std::vector<IVONOptions> read_list(torch::serialize::InputArchive& archive,
                                                   size_t count);

  /// Returns the learning rate, as LibTorch's schedulers read it.
  double get_lr() const override { return prefix_.get_lr(); }
  /// Sets the learning rate, as LibTorch's schedulers do; the same as lr(value).
  void set_lr(const double value) override { lr(value); }

  /// Throws c10::Error if the program wrote a field other than lr through a cast to another
  /// optimizer's options. The message begins with `where`. For the optimizer.
  void refuse_foreign_writes(const std::string& where) const {
    prefix_.refuse_foreign_writes(where);
  }

  /// Returns the link through which the optimizer learns that lr was set. For the optimizer.
  detail::LearningRateLink& learning_rate_link() const noexcept { return learning_rate_link_; }

 private:
  bool lr_set_ = false;
  mutable detail::LearningRateLink learning_rate_link_;
  std::tuple<double, double> betas_ = {0.9, 0.99999};
  bool beta1_set_ = false;
  bool beta2_set_ = false;

  // Returns whether archives may lack the option, because it is younger than the first archives.
  static bool may_be_absent(std::string_view name) {
    for (const std::string_view younger :
         {"capturable", "damping", "eps", "noise_max", "decoupled_weight_decay"}) {
      if (name == younger) return true;
    }
    return false;
  }

  // Goes through all options: calls visitor(name, a's value, b's value, a's mark, b's mark), where
  // the mark says whether the option was set.
  template <class First, class Second, class Visitor>
  static void visit(First& a, Second& b, Visitor&& visitor) {
    visitor("lr", a.prefix_.lr(), b.prefix_.lr(), a.lr_set_, b.lr_set_);
    visitor("beta1", std::get<0>(a.betas_), std::get<0>(b.betas_), a.beta1_set_, b.beta1_set_);
    visitor("beta2", std::get<1>(a.betas_), std::get<1>(b.betas_), a.beta2_set_, b.beta2_set_);
#define IVON_OPTION(T, name, ...) \
  visitor(#name, a.name##_, b.name##_, a.name##_set_, b.name##_set_);
#include <ivon/values/option_list.inl>
#undef IVON_OPTION
  }
};

inline IVONOptions IVONOptions::like_adamw(double lr, double ess) {
  return like_adamw(torch::optim::AdamWOptions(lr), ess);
}

inline IVONOptions IVONOptions::like_adamw(const torch::optim::AdamWOptions& adamw, double ess) {
  const torch::optim::AdamOptions others = torch::optim::AdamOptions(adamw.lr())
                                               .betas(adamw.betas())
                                               .eps(adamw.eps())
                                               .weight_decay(0)
                                               .amsgrad(adamw.amsgrad());
  return like_adamw(others, ess).decoupled_weight_decay(adamw.weight_decay());
}

inline IVONOptions IVONOptions::like_adamw(const torch::optim::AdamOptions& adam, double ess) {
  TORCH_CHECK(!adam.amsgrad(), "ivon: like_adamw() has no amsgrad; set amsgrad(false)");
  // docs/tuning.md tells how these numbers were found.
  constexpr double kDamping = 8e3;        // over 1 / sqrt(ess)
  constexpr double kLeastDamping = 5e-6;  // over ess
  constexpr double kLargestNoise = 0.03;  // standard deviation
  constexpr double kFirstNoise = 1e-3;    // the same, before the first gradient
  constexpr double kLargestStep = 10;     // in learning rates
  constexpr double kHessClip = 10;
  const double damping = std::max(kDamping / std::sqrt(ess), kLeastDamping * ess);
  return IVONOptions(adam.lr())
      .ess(ess)
      .betas(adam.betas())
      .eps(adam.eps())
      .weight_decay(adam.weight_decay())
      .decoupled_weight_decay(0)
      .damping(damping)
      .clip_radius(kLargestStep / damping)
      .noise_max(kLargestNoise)
      .hess_clip(kHessClip)
      .hess_init(1 / (ess * kFirstNoise * kFirstNoise))
      .sample_on_step(true);
}

inline void IVONOptions::inherit(const IVONOptions& defaults) {
  IVONOptions inherited = defaults;
  const IVONOptions untouched;
  visit(*this, untouched,
        [](const char*, const auto& value, const auto& class_default, bool& set, bool) {
          set |= !(value == class_default);
        });
  visit(*this, inherited,
        [](const char*, auto& value, const auto& inherited_value, bool& set, bool) {
          if (!set) value = inherited_value;
          set = true;
        });
}

inline void IVONOptions::validate(const std::string& where) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto check = [&](bool valid, const char* name, const char* rule, auto value,
                         const char* remedy) {
    TORCH_CHECK(valid, "ivon: ", where, name, " ", rule, ", got ", value, "; ", remedy);
  };
  check(get_lr() >= 0 && get_lr() < kInfinity, "lr", "must be finite and >= 0", get_lr(),
        "a good start is 0.1");
  TORCH_CHECK(ess_ != 0, "ivon: ", where,
              "ess must be > 0, got 0; set it to the number of training examples: "
              "ivon::IVONOptions::like_adamw(/*lr=*/1e-3, /*ess=*/60'000) trains with AdamW's "
              "learning rate and loop, ivon::IVONOptions(",
              get_lr(), ").ess(60'000) with the paper's");
  check(ess_ != kInfinity, "ess", "must be finite", ess_,
        "set it to the number of training examples");
  check(beta1() >= 0 && beta1() < 1, "beta1", "must be in [0, 1)", beta1(),
        "the usual value is 0.9");
  check(beta2() >= 0 && beta2() <= 1, "beta2", "must be in [0, 1]", beta2(),
        "the usual value is 0.99999");
#define IVON_OPTION(T, name, value_by_default, valid, rule, remedy) \
  {                                                                 \
    [[maybe_unused]] const T& value = name##_;                      \
    check(valid, #name, rule, value, remedy);                       \
  }
#include <ivon/values/option_list.inl>
#undef IVON_OPTION
  TORCH_CHECK(!sample_on_step_ || mc_samples_ == 1, "ivon: ", where,
              "mc_samples must be 1 with sample_on_step, got ", mc_samples_,
              "; write the standard loop for several samples a step");
}

inline void IVONOptions::serialize(torch::serialize::OutputArchive& archive) const {
  visit(*this, *this, [&](const char* name, const auto& value, const auto&, bool, bool) {
    archive.write(name, c10::IValue(value));
  });
}

inline void IVONOptions::serialize(torch::serialize::InputArchive& archive) {
  visit(*this, *this, [&](const char* name, auto& value, auto&, bool& set, bool) {
    using Value = std::decay_t<decltype(value)>;
    c10::IValue stored;
    if (!archive.try_read(name, stored)) {
      TORCH_CHECK(may_be_absent(name), "ivon: the archive has no option '", name,
                  "'; it is damaged");
      return;
    }
    value = detail::value_of<Value>(stored, name);
    set = true;
  });
}

inline void IVONOptions::write_list(torch::serialize::OutputArchive& archive,
                                    const std::vector<const IVONOptions*>& all) {
  std::vector<std::pair<std::string, c10::impl::GenericList>> lists;  // one for each option
  for (const IVONOptions* options : all) {
    size_t option = 0;
    visit(*options, *options, [&](const char* name, const auto& value, const auto&, bool, bool) {
      const c10::IValue stored(value);
      if (option == lists.size()) lists.emplace_back(name, c10::impl::GenericList(stored.type()));
      lists[option++].second.push_back(stored);
    });
  }
  for (const auto& [name, values] : lists) archive.write("option_" + name, c10::IValue(values));
}

inline std::vector<IVONOptions> IVONOptions::read_list(torch::serialize::InputArchive& archive,
                                                       size_t count) {
  std::vector<std::optional<c10::List<c10::IValue>>> lists;  // one for each option
  const IVONOptions first;
  visit(first, first, [&](const char* name, const auto&, const auto&, bool, bool) {
    const std::string key = std::string("option_") + name;
    c10::IValue stored;
    if (may_be_absent(name) && !archive.try_read(key, stored)) {
      lists.emplace_back();
      return;
    }
    lists.emplace_back(detail::read_list(archive, key));
    TORCH_CHECK(lists.back()->size() == count, "ivon: the archive's entry '", key, "' must have ",
                count, " values, got ", lists.back()->size(), "; it is damaged");
  });
  std::vector<IVONOptions> all(count);
  for (size_t i = 0; i < count; ++i) {
    size_t option = 0;
    visit(all[i], all[i], [&](const char* name, auto& value, auto&, bool& set, bool) {
      const auto& list = lists[option++];
      if (list) value = detail::value_of<std::decay_t<decltype(value)>>(list->get(i), name);
      set = true;
    });
  }
  return all;
}

IVON_NAMESPACE_END
