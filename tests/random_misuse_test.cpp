// SPDX-License-Identifier: Apache-2.0
// Random sequences of calls and of what users may do to tensors between them. Whatever the order:
// the mean changes by step() and by writes only, every error is one of ours, nothing crashes (run
// under AddressSanitizer too).
#include <algorithm>
#include <functional>
#include <ivon/ivon.hpp>
#include <optional>
#include <random>
#include <sstream>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::OneThread;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

class World {
 public:
  World(bool on_step, uint64_t seed) : on_step_(on_step), random_(seed) {
    torch::manual_seed(seed);
    const auto storage = torch::randn({40});
    params_ = {torch::randn({3, 4}).requires_grad_(),
               torch::randn({5}).requires_grad_(),
               storage.narrow(0, 3, 6).requires_grad_(),                 // a slice
               storage.narrow(0, 20, 12).view({3, 4}).requires_grad_(),  // another one
               torch::randn({6}).to(torch::kBFloat16).requires_grad_(),
               torch::randn({4, 3}).t().requires_grad_()};
    optimizer_ = std::make_unique<IVON<>>(params_, options());
    for (const auto& param : params_) expected_.push_back(optimizer_->mean(param));
  }

  // One random action; `log` gets its name.
  void act(std::string& log) {
    const auto& [name, action] = actions()[random_() % actions().size()];
    log += std::string(" ") + name;
    wrote_.reset();
    stepped_ = false;
    std::string message;
    try {
      action(*this);
    } catch (const c10::Error& error) {
      message = error.what_without_backtrace();
    } catch (const FromTheUser&) {
    }
    if (!message.empty()) {
      log += "!";
      ASSERT_EQ(message.rfind("ivon: ", 0), 0U) << message << "\nafter" << log;
    }
    check(log);
  }
  // Ends all scopes and shows the mean.
  void finish(std::string& log) {
    scope_.reset();
    mean_scope_.reset();
    log += " finish";
    for (int i = 0; i < 4; ++i) {
      if (ivon_test::message_of([&] { optimizer_->eval(); }).empty()) break;
    }
    check(log);
    for (size_t i = 0; i < params_.size(); ++i) {
      ASSERT_TRUE(
          same_bits(params_[i].detach().to(expected_[i].scalar_type()),
                    expected_[i].to(params_[i].scalar_type()).to(expected_[i].scalar_type())))
          << "parameter " << i << " after" << log;
    }
  }
  int steps() const { return steps_; }

 private:
  struct FromTheUser {};
  using Action = std::pair<const char*, std::function<void(World&)>>;

  IVONOptions options() const {
    return IVONOptions(0.01).ess(1e4).beta2(0.99).hess_clip(1e3).sample_on_step(on_step_);
  }
  torch::Tensor& any() { return params_[random_() % params_.size()]; }
  std::vector<torch::Tensor>& listed() { return optimizer_->param_groups()[0].params(); }

  // The state is gone, and with it the float32 mean of a bfloat16 parameter.
  void lose_full_precision(size_t i) {
    expected_[i] = expected_[i].to(params_[i].scalar_type()).to(expected_[i].scalar_type());
  }
  bool is_listed(const torch::Tensor& param) {
    return std::any_of(listed().begin(), listed().end(),
                       [&](const torch::Tensor& each) { return each.is_same(param); });
  }
  // The scope that lives shows a sample in it.
  bool shows(const torch::Tensor& param) const {
    return scope_ && covered_[static_cast<size_t>(&param - params_.data())];
  }

  torch::Tensor loss() {
    auto sum = torch::zeros({});
    for (const auto& param : params_) {
      if (random_() % 4 != 0) sum = sum + param.to(torch::kFloat).pow(2).sum();
    }
    return sum;
  }
  torch::Tensor backward() {
    try {
      auto value = loss();
      if (value.requires_grad()) value.backward();
      return value;
    } catch (const c10::Error&) {  // a gradient from before a resize
      throw FromTheUser();
    }
  }
  void open(bool training) {
    const at::AutoGradMode mode(training);
    auto scope = optimizer_->sampled_params();
    scope_.emplace(std::move(scope));
    covered_.clear();
    for (const auto& param : params_) covered_.push_back(param.requires_grad() && is_listed(param));
  }
  // A value that no sample has, everywhere.
  torch::Tensor fresh(const torch::Tensor& like) {
    return torch::full_like(like.detach(), 2.0 + static_cast<double>(random_() % 64) / 32);
  }
  void write(torch::Tensor& param, const std::function<void(const torch::Tensor&)>& how) {
    if (scope_) return;  // then it is the sample
    // A coarse sample may hold the very value that is written, and the element keeps its mean.
    if (on_step_ && param.scalar_type() == torch::kBFloat16) return;
    const auto value = fresh(param);
    const torch::NoGradGuard no_grad;
    how(value);
    wrote_ = static_cast<size_t>(&param - params_.data());
    expected_[*wrote_] = value.to(expected_[*wrote_].scalar_type()).clone();
  }

  void check(const std::string& log) {
    // A write to a shown sample is taken in, and said, by the next call.
    (void)ivon_test::message_of([&] { (void)optimizer_->mean_params(); });
    for (size_t i = 0; i < params_.size(); ++i) {
      if (!is_listed(params_[i])) continue;  // looked at when it is back, or in the end
      const auto mean = optimizer_->mean(params_[i]);
      if (stepped_) expected_[i] = mean;
      ASSERT_TRUE(mean.isfinite().all().item<bool>()) << i << " after" << log;
      ASSERT_TRUE(same_bits(mean.contiguous(), expected_[i].contiguous()))
          << "the mean of parameter " << i << " after" << log << '\n'
          << mean << "\ninstead of\n"
          << expected_[i];
    }
  }

  static const std::vector<Action>& actions() {
    static const std::vector<Action> all = {
        {"train-scope", [](World& w) { w.open(true); }},
        {"predict-scope", [](World& w) { w.open(false); }},
        {"end-scope", [](World& w) { w.scope_.reset(); }},
        {"backward", [](World& w) { (void)w.backward(); }},
        {"iterate",
         [](World& w) {
           if (!w.scope_ && !w.on_step_) w.open(true);
           (void)w.backward();
           w.scope_.reset();
           w.step();
         }},
        {"step", [](World& w) { w.step(); }},
        {"step-closure",
         [](World& w) {
           w.optimizer_->step([&] {
             w.optimizer_->zero_grad();
             auto value = w.backward();
             w.stepped_ = true;
             return value;
           });
           ++w.steps_;
         }},
        {"throwing-closure",
         [](World& w) { w.optimizer_->step([&]() -> torch::Tensor { throw FromTheUser(); }); }},
        {"throw-in-scope",
         [](World& w) {
           const auto sample = w.optimizer_->sampled_params();
           throw FromTheUser();
         }},
        {"zero_grad", [](World& w) { w.optimizer_->zero_grad(); }},
        {"zero_grad-in-place",
         [](World& w) { static_cast<torch::optim::Optimizer&>(*w.optimizer_).zero_grad(false); }},
        {"drop-grads",
         [](World& w) {
           for (auto& param : w.params_) param.mutable_grad().reset();
         }},
        {"train", [](World& w) { w.optimizer_->train(); }},
        {"eval", [](World& w) { w.optimizer_->eval(); }},
        {"mean-scope",
         [](World& w) {
           auto scope = w.optimizer_->mean_params();
           w.mean_scope_ = std::move(scope);
         }},
        {"end-mean-scope", [](World& w) { w.mean_scope_.reset(); }},
        {"predict",
         [](World& w) {
           (void)ivon::predict(
               *w.optimizer_,
               [&] {
                 return w.params_[0].view({3, 4});
               },
               2);
         }},
        {"freeze", [](World& w) { w.any().requires_grad_(false); }},
        {"unfreeze",
         [](World& w) {
           for (auto& param : w.params_) param.requires_grad_(true);
         }},
        {"reorder",
         [](World& w) { std::shuffle(w.listed().begin(), w.listed().end(), w.random_); }},
        {"remove",
         [](World& w) {
           if (w.listed().size() > 1) w.listed().pop_back();
         }},
        {"list-all", [](World& w) { w.listed() = w.params_; }},
        {"copy_",
         [](World& w) {
           auto& param = w.any();
           w.write(param, [&](const torch::Tensor& value) { param.copy_(value); });
         }},
        {"set_data",
         [](World& w) {
           auto& param = w.any();
           w.write(param, [&](const torch::Tensor& value) { param.set_data(value); });
         }},
        {"set_data-in-scope",
         [](World& w) {
           auto& param = w.any();
           if (w.shows(param)) param.set_data(w.fresh(param));
         }},
        {"resize-in-scope",
         [](World& w) {
           if (w.shows(w.params_[1])) {
             const torch::NoGradGuard no_grad;
             w.params_[1].set_data(torch::zeros({50}));
           }
         }},
        {"save-load",
         [](World& w) {
           std::stringstream file;
           torch::save(*w.optimizer_, file);
           torch::load(*w.optimizer_, file);  // knows nothing of tensors that are not listed
           for (size_t i = 0; i < w.params_.size(); ++i) {
             if (!w.is_listed(w.params_[i])) w.lose_full_precision(i);
           }
         }},
        {"clear-state",
         [](World& w) {
           w.optimizer_->state().clear();
           for (size_t i = 0; i < w.params_.size(); ++i) w.lose_full_precision(i);
         }},
        {"manual_seed", [](World& w) { w.optimizer_->manual_seed(w.random_()); }},
        {"second-optimizer",
         [](World& w) {
           IVON other({w.any()}, IVONOptions(0.1).ess(100));
           const torch::NoGradGuard no_grad;
           const auto sample = other.sampled_params();
         }},
        {"move",
         [](World& w) {
           *w.optimizer_ = std::move(*std::make_unique<IVON<>>(std::move(*w.optimizer_)));
         }},
        {"lr", [](World& w) { w.optimizer_->param_groups()[0].options().set_lr(0.02); }},
    };
    return all;
  }
  void step() {
    optimizer_->step();
    stepped_ = true;
    ++steps_;
  }

  bool on_step_;
  std::mt19937_64 random_;
  std::vector<torch::Tensor> params_;
  std::unique_ptr<IVON<>> optimizer_;
  std::optional<ivon::MeanParams> mean_scope_;
  std::optional<ivon::SampledParams> scope_;
  std::vector<bool> covered_;            // by the scope
  std::vector<torch::Tensor> expected_;  // the means
  std::optional<size_t> wrote_;
  bool stepped_ = false;
  int steps_ = 0;
};

TEST(RandomMisuse, NeverLosesTheMean) {
  const OneThread one_thread;
  int steps = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    std::string log = " seed " + std::to_string(seed) + ":";
    World world(/*on_step=*/seed % 2 == 1, seed);
    for (int i = 0; i < 60; ++i) {
      world.act(log);
      if (HasFatalFailure()) return;
    }
    world.finish(log);
    if (HasFatalFailure()) return;
    steps += world.steps();
  }
  EXPECT_GT(steps, 400) << "most sequences train";
}

}  // namespace
