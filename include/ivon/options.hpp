// SPDX-License-Identifier: Apache-2.0
// What a user can set, per parameter group where not said otherwise.
#pragma once

#include <c10/util/Exception.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <cmath>
#include <cstdint>
#include <ivon/detail/archive_values.hpp>
#include <ivon/detail/options_prefix.hpp>
#include <ivon/detail/rate_on_device.hpp>
#include <ivon/version.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN

// Declares an option with the accessors that TORCH_ARG makes (get, chainable set, reference), and
// remembers whether it was set, for groups inherit what they leave open.
#define IVON_OPTION(T, name, ...)                    \
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
  T name##_ = __VA_ARGS__;                           \
  bool name##_set_ = false

/// Options of `IVON`; symbols as in Shen et al. 2024 (arXiv 2402.17641), Algorithm 1.
///
/// A parameter group inherits from the optimizer every option that it does not set. An option
/// counts as set when its setter was called, or when a write through the reference accessor left it
/// different from the class default.
class IVONOptions : public torch::optim::OptimizerCloneableOptions<IVONOptions> {
  detail::OptionsPrefix prefix_;  // first of all members; holds lr

 public:
  IVONOptions() = default;
  /// `lr` as below. Implicit, as for every LibTorch optimizer.
  IVONOptions(double learning_rate) { lr(learning_rate); }  // NOLINT(google-explicit-constructor)

  /// lambda: effective sample size, > 0, required. Usually the number of training examples; N/T
  /// tempers the posterior.
  IVON_OPTION(double, ess, 0.0);
  /// h0: value the running Hessian starts from, > 0. 0.01 ... 1; smaller is noisier.
  IVON_OPTION(double, hess_init, 1.0);
  /// delta: prior precision over lambda, >= 0. Acts on the noise, the Hessian and the step (an L2
  /// regulariser of the mean loss, not AdamW's decoupled decay).
  IVON_OPTION(double, weight_decay, 1e-4);
  /// Bound on every element of the preconditioned step before lr, > 0.
  IVON_OPTION(double, clip_radius, std::numeric_limits<double>::infinity());
  /// Bound on an outlier of the Hessian estimate: |hhat - h| <= hess_clip (h + delta), > 0.
  IVON_OPTION(double, hess_clip, std::numeric_limits<double>::infinity());
  /// Divide the momentum by 1 - beta1^t.
  IVON_OPTION(bool, debias, true);
  /// Multiply lr by hess_init + weight_decay.
  IVON_OPTION(bool, rescale_lr, true);
  /// Samples taken by `step(closure)`, >= 1. One value for the whole optimizer.
  IVON_OPTION(int64_t, mc_samples, 1);
  /// `step()` also draws the next sample and leaves it in the module, so that AdamW's training loop
  /// trains as it is. One value for the whole optimizer; an archive does not change it.
  IVON_OPTION(bool, sample_on_step, false);
  /// For parameters on CUDA devices: step counts, noise position and learning rate are kept in
  /// device memory, so that a captured CUDA graph can be replayed (PyTorch's word). Then
  /// `param_state`, `save` and `param_groups()` options' lr(value) and set_lr(value) speak with the
  /// device. One value for the whole optimizer; an archive does not change it.
  IVON_OPTION(bool, capturable, false);

 public:
  /// Learning rate, >= 0. With `rescale_lr` the first step is an SGD step of this rate.
  const double& lr() const noexcept { return prefix_.lr(); }
  double& lr() noexcept { return prefix_.lr(); }
  IVONOptions& lr(const double& value) {
    prefix_.set_lr(value);
    lr_set_ = true;
    rate_on_device_.set(value);
    return *this;
  }

  /// (beta1, beta2): decay of the momentum, in [0, 1), and of the Hessian, in [0, 1]. 1 - beta2 is
  /// the Hessian's step size: choose beta2 so that steps * (1 - beta2) is about 1 or more.
  const std::tuple<double, double>& betas() const noexcept { return betas_; }
  std::tuple<double, double>& betas() noexcept { return betas_; }
  IVONOptions& betas(const std::tuple<double, double>& value) {
    return beta1(std::get<0>(value)).beta2(std::get<1>(value));
  }
  double beta1() const noexcept { return std::get<0>(betas_); }
  double beta2() const noexcept { return std::get<1>(betas_); }
  IVONOptions& beta1(double value) {
    std::get<0>(betas_) = value;
    beta1_set_ = true;
    return *this;
  }
  IVONOptions& beta2(double value) {
    std::get<1>(betas_) = value;
    beta2_set_ = true;
    return *this;
  }

  /// Takes every option that was not set here from `defaults`; afterwards all count as set.
  void inherit(const IVONOptions& defaults);

  /// Throws where an option is not finite or out of range; `where` opens the message, e.g.
  /// "parameter group 1: ".
  void validate(const std::string& where = "") const;

  /// Equal values; whether they were set does not count.
  friend bool operator==(const IVONOptions& a, const IVONOptions& b) {
    bool equal = true;
    visit(a, b, [&](const char*, const auto& x, const auto& y, bool, bool) { equal &= x == y; });
    return equal;
  }
  friend bool operator!=(const IVONOptions& a, const IVONOptions& b) { return !(a == b); }

  // inline already here: otherwise it is the key function, and every file that includes this header
  // compiles the vtable and all it refers to (2 s).
  inline void serialize(torch::serialize::InputArchive& archive) override;
  inline void serialize(torch::serialize::OutputArchive& archive) const override;
  /// The options of several groups under one key for each option, so that the time to write and to
  /// read them grows with their number and no faster. `read_list` gives `count` options or throws.
  static inline void write_list(torch::serialize::OutputArchive& archive,
                                const std::vector<const IVONOptions*>& all);
  static inline std::vector<IVONOptions> read_list(torch::serialize::InputArchive& archive,
                                                   size_t count);

  double get_lr() const override { return prefix_.get_lr(); }
  void set_lr(const double value) override { lr(value); }

  /// Throws where a field other than lr was written as a field of another optimizer's options;
  /// `where` opens the message. For the optimizer.
  void refuse_foreign_writes(const std::string& where) const {
    prefix_.refuse_foreign_writes(where);
  }

  /// Of the group that holds these options; for the optimizer.
  detail::RateOnDevice& rate_on_device() const noexcept { return rate_on_device_; }

 private:
  bool lr_set_ = false;
  mutable detail::RateOnDevice rate_on_device_;
  std::tuple<double, double> betas_ = {0.9, 0.99999};
  bool beta1_set_ = false;
  bool beta2_set_ = false;

  // The one list of all options: calls visitor(name, a's value, b's value, a's mark, b's mark).
  template <class First, class Second, class Visitor>
  static void visit(First& a, Second& b, Visitor&& visitor) {
    visitor("lr", a.prefix_.lr(), b.prefix_.lr(), a.lr_set_, b.lr_set_);
    visitor("ess", a.ess_, b.ess_, a.ess_set_, b.ess_set_);
    visitor("hess_init", a.hess_init_, b.hess_init_, a.hess_init_set_, b.hess_init_set_);
    visitor("beta1", std::get<0>(a.betas_), std::get<0>(b.betas_), a.beta1_set_, b.beta1_set_);
    visitor("beta2", std::get<1>(a.betas_), std::get<1>(b.betas_), a.beta2_set_, b.beta2_set_);
    visitor("weight_decay", a.weight_decay_, b.weight_decay_, a.weight_decay_set_,
            b.weight_decay_set_);
    visitor("clip_radius", a.clip_radius_, b.clip_radius_, a.clip_radius_set_, b.clip_radius_set_);
    visitor("hess_clip", a.hess_clip_, b.hess_clip_, a.hess_clip_set_, b.hess_clip_set_);
    visitor("debias", a.debias_, b.debias_, a.debias_set_, b.debias_set_);
    visitor("rescale_lr", a.rescale_lr_, b.rescale_lr_, a.rescale_lr_set_, b.rescale_lr_set_);
    visitor("mc_samples", a.mc_samples_, b.mc_samples_, a.mc_samples_set_, b.mc_samples_set_);
    visitor("sample_on_step", a.sample_on_step_, b.sample_on_step_, a.sample_on_step_set_,
            b.sample_on_step_set_);
    visitor("capturable", a.capturable_, b.capturable_, a.capturable_set_, b.capturable_set_);
  }
};

#undef IVON_OPTION

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
  const double lr_value = get_lr();
  TORCH_CHECK(lr_value >= 0 && lr_value < kInfinity, "ivon: ", where,
              "lr must be finite and >= 0, got ", lr_value, "; a good start is 0.1");
  TORCH_CHECK(ess_ != 0, "ivon: ", where,
              "ess must be > 0, got 0; set it to the number of training examples: "
              "ivon::IVONOptions(",
              lr_value, ").ess(60'000)");
  TORCH_CHECK(
      ess_ > 0 && ess_<kInfinity, "ivon: ", where, "ess must be ", ess_> 0 ? "finite" : "> 0",
      ", got ", ess_, "; set it to the number of training examples");
  TORCH_CHECK(hess_init_ > 0 && hess_init_ < kInfinity, "ivon: ", where,
              "hess_init must be finite and > 0, got ", hess_init_, "; use 0.01 to 1");
  TORCH_CHECK(beta1() >= 0 && beta1() < 1, "ivon: ", where, "beta1 must be in [0, 1), got ",
              beta1(), "; the usual value is 0.9");
  TORCH_CHECK(beta2() >= 0 && beta2() <= 1, "ivon: ", where, "beta2 must be in [0, 1], got ",
              beta2(), "; the usual value is 0.99999");
  TORCH_CHECK(weight_decay_ >= 0 && weight_decay_ < kInfinity, "ivon: ", where,
              "weight_decay must be finite and >= 0, got ", weight_decay_, "; the default is 1e-4");
  TORCH_CHECK(clip_radius_ > 0, "ivon: ", where, "clip_radius must be > 0, got ", clip_radius_,
              "; infinity switches clipping off");
  TORCH_CHECK(hess_clip_ > 0, "ivon: ", where, "hess_clip must be > 0, got ", hess_clip_,
              "; infinity switches clipping off");
  TORCH_CHECK(mc_samples_ >= 1, "ivon: ", where, "mc_samples must be >= 1, got ", mc_samples_,
              "; the usual value is 1");
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
      const bool later = std::string_view(name) == "capturable";  // than the first archives
      TORCH_CHECK(later, "ivon: the archive has no option '", name, "'; it is damaged");
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
  std::vector<c10::List<c10::IValue>> lists;  // one for each option
  const IVONOptions first;
  visit(first, first, [&](const char* name, const auto&, const auto&, bool, bool) {
    const std::string key = std::string("option_") + name;
    lists.push_back(detail::read_list(archive, key));
    TORCH_CHECK(lists.back().size() == count, "ivon: the archive's entry '", key, "' must have ",
                count, " values, got ", lists.back().size(), "; it is damaged");
  });
  std::vector<IVONOptions> all(count);
  for (size_t i = 0; i < count; ++i) {
    size_t option = 0;
    visit(all[i], all[i], [&](const char* name, auto& value, auto&, bool& set, bool) {
      value = detail::value_of<std::decay_t<decltype(value)>>(lists[option++].get(i), name);
      set = true;
    });
  }
  return all;
}

IVON_NAMESPACE_END
