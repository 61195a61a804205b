// SPDX-License-Identifier: Apache-2.0
// Options and states of other optimizers where IVON's are expected: casts that LibTorch's tutorials
// show, set_options(), state() written from outside.
#include <ivon/ivon.hpp>
#include <sstream>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::optim::AdamOptions;
using torch::optim::AdamWOptions;
using torch::optim::SGDOptions;

struct Problem {
  torch::Tensor weight = torch::linspace(-1, 1, 8).requires_grad_();
  IVON<> optimizer;
  explicit Problem(bool on_step = false)
      : optimizer({weight}, IVONOptions(0.1).ess(100).beta2(0.9).sample_on_step(on_step)) {
    optimizer.manual_seed(1);
  }
  void sample() {
    const auto scope = optimizer.sampled_params();
    weight.pow(3).sum().backward();
  }
  void iterate() {
    optimizer.zero_grad();
    sample();
    optimizer.step();
  }
  torch::optim::OptimizerOptions& base_options() { return optimizer.param_groups()[0].options(); }
  IVONOptions& options() { return static_cast<IVONOptions&>(base_options()); }
};

// --- static_cast to another optimizer's options -------------------------------------------------

template <class Object, class Field>
std::ptrdiff_t offset_of(const Object& object, const Field& field) {
  return reinterpret_cast<const char*>(&field) - reinterpret_cast<const char*>(&object);
}

TEST(CastOptions, TheRateLiesWhereEveryOptimizerHasIt) {
  const IVONOptions ivon;
  const AdamOptions adam;
  const AdamWOptions adamw;
  const SGDOptions sgd(0.1);
  const torch::optim::RMSpropOptions rmsprop;
  const auto place = offset_of(ivon, ivon.lr());
  EXPECT_EQ(offset_of(adam, adam.lr()), place);
  EXPECT_EQ(offset_of(adamw, adamw.lr()), place);
  EXPECT_EQ(offset_of(sgd, sgd.lr()), place);
  EXPECT_EQ(offset_of(rmsprop, rmsprop.lr()), place);
  // What the prefix protects behind it.
  const std::ptrdiff_t end = place + 8 + 48;
  EXPECT_LT(offset_of(adam, adam.amsgrad()), end);
  EXPECT_LT(offset_of(adamw, adamw.amsgrad()), end);
  EXPECT_LT(offset_of(sgd, sgd.nesterov()), end);
  EXPECT_LT(offset_of(rmsprop, rmsprop.centered()), end);
  EXPECT_GE(offset_of(ivon, ivon.ess()), end);
}

#if !defined(IVON_TEST_SANITIZED)  // the casts are undefined behaviour, which the sanitizer reports

TEST(CastOptions, ARateWrittenThroughThemIsTheRate) {
  Problem cast, set;
  cast.iterate();
  set.iterate();
  for (auto& group : cast.optimizer.param_groups()) {
    static_cast<AdamOptions&>(group.options()).lr(1e-3);
  }
  set.base_options().set_lr(1e-3);
  EXPECT_EQ(cast.options().lr(), 1e-3);
  EXPECT_EQ(cast.options().ess(), 100);
  EXPECT_EQ(cast.base_options().get_lr(), 1e-3);
  cast.iterate();
  set.iterate();
  EXPECT_TRUE(same_bits(cast.weight, set.weight));
  static_cast<AdamWOptions&>(cast.base_options()).lr() *= 0.5;
  set.options().lr() *= 0.5;
  cast.iterate();
  set.iterate();
  EXPECT_TRUE(same_bits(cast.weight, set.weight));
  static_cast<SGDOptions&>(cast.base_options()).lr(-1);
  EXPECT_EQ(message_of([&] { cast.iterate(); }),
            "ivon: parameter group 0: lr must be finite and >= 0, got -1; a good start is 0.1");
}

constexpr const char* kForeign =
    "its options must be written as ivon::IVONOptions, but were written as those of another "
    "optimizer (static_cast<torch::optim::AdamWOptions&>(options)), which they are not; write "
    "static_cast<ivon::IVONOptions&>(options), or options.set_lr(value) for the learning rate";

TEST(CastOptions, AnythingElseWrittenThroughThemIsRefused) {
  using Write = void (*)(torch::optim::OptimizerOptions&);
  const Write writes[] = {
      [](auto& o) {
        static_cast<AdamOptions&>(o).betas({0.8, 0.9});
      },
      [](auto& o) { static_cast<AdamOptions&>(o).eps(1e-6); },
      [](auto& o) { static_cast<AdamWOptions&>(o).weight_decay(0.1); },
      [](auto& o) { static_cast<AdamWOptions&>(o).weight_decay(0); },
      [](auto& o) { static_cast<AdamWOptions&>(o).amsgrad(true); },
      [](auto& o) { static_cast<SGDOptions&>(o).momentum(0.9); },
      [](auto& o) { static_cast<SGDOptions&>(o).dampening(0.1); },
      [](auto& o) { static_cast<SGDOptions&>(o).nesterov(false); },
  };
  for (const Write& write : writes) {
    Problem run, untouched;
    write(run.base_options());
    EXPECT_EQ(message_of([&] { run.iterate(); }),
              std::string("ivon: parameter group 0: ") + kForeign);
    EXPECT_EQ(run.options(), untouched.options()) << "no option of ours has changed";
    run.iterate();  // said once
    untouched.iterate();
    EXPECT_TRUE(same_bits(run.weight, untouched.weight));
  }
  Problem defaults;
  static_cast<AdamWOptions&>(defaults.optimizer.defaults()).weight_decay(0.1);
  EXPECT_EQ(message_of([&] { defaults.iterate(); }),
            std::string("ivon: the optimizer's defaults: ") + kForeign);
}

#endif

// --- options and states of another optimizer ----------------------------------------------------

TEST(ForeignTypes, OptionsOfAnotherOptimizerAreRefusedByEveryCall) {
  const std::string message =
      "ivon: parameter group 0: its options must be ivon::IVONOptions, got those of another "
      "optimizer; pass std::make_unique<ivon::IVONOptions>(...)";
  Problem saved, run;
  saved.iterate();
  std::stringstream file, again;
  torch::save(saved.optimizer, file);
  run.optimizer.param_groups()[0].set_options(std::make_unique<AdamWOptions>(1e-3));
  EXPECT_EQ(message_of([&] { torch::load(run.optimizer, file); }), message);
  EXPECT_EQ(message_of([&] { torch::save(run.optimizer, again); }), message);
  EXPECT_EQ(message_of([&] { run.sample(); }), message);
  run.optimizer.param_groups()[0].set_options(nullptr);
  EXPECT_EQ(message_of([&] { run.sample(); }),
            "ivon: parameter group 0: it must have options, got none; pass "
            "std::make_unique<ivon::IVONOptions>(...)");
}

constexpr const char* kStateGone =
    "ivon: the state of parameter 0 (group 0, shape [8]) was removed or replaced after its sample "
    "was drawn; the sample was dropped and the next one is drawn from the state as it is now; "
    "change state() between step() and the next sample only";

TEST(ForeignTypes, StateRemovedBetweenSampleAndStepIsAnError) {
  for (const int samples : {1, 2}) {
    Problem run;
    run.iterate();
    for (int s = 0; s < samples; ++s) {
      run.optimizer.zero_grad();
      run.sample();
    }
    const auto mean = run.weight.detach().clone();
    run.optimizer.state().clear();
    EXPECT_EQ(message_of([&] { run.optimizer.step(); }), kStateGone);
    EXPECT_TRUE(same_bits(run.weight, mean));
    run.iterate();
    EXPECT_EQ(run.optimizer.param_state(run.weight).step(), 1);
  }
}

TEST(ForeignTypes, StateRemovedUnderSampleOnStepIsAnError) {
  Problem run(true);
  run.weight.pow(3).sum().backward();
  run.optimizer.step();
  const auto mean = run.optimizer.mean(run.weight);
  run.optimizer.zero_grad();
  run.weight.pow(3).sum().backward();
  run.optimizer.state().clear();
  EXPECT_EQ(message_of([&] { run.optimizer.step(); }), kStateGone);
  EXPECT_TRUE(same_bits(run.optimizer.mean(run.weight), mean));
  run.optimizer.zero_grad();
  run.weight.pow(3).sum().backward();
  run.optimizer.step();
  EXPECT_EQ(run.optimizer.param_state(run.weight).step(), 1);
}

TEST(ForeignTypes, StateOfAnotherOptimizerIsRefused) {
  Problem run;
  run.iterate();
  run.optimizer.state()[run.weight.unsafeGetTensorImpl()] =
      std::make_unique<torch::optim::AdamWParamState>();
  const std::string message =
      "ivon: the state of a parameter of shape [8] must be ivon::IVONParamState, got that of "
      "another optimizer; remove it by state().erase(), and load an archive by load()";
  std::stringstream file;
  EXPECT_EQ(message_of([&] { run.sample(); }), message);
  EXPECT_EQ(message_of([&] { torch::save(run.optimizer, file); }), message);
  EXPECT_EQ(message_of([&] { (void)run.optimizer.param_state(run.weight); }), message);
  run.optimizer.state().erase(run.weight.unsafeGetTensorImpl());
  run.iterate();
}

TEST(ForeignTypes, StateThatDoesNotFitIsRefused) {
  const auto message_after = [](const std::function<void(ivon::IVONParamState&)>& write) {
    Problem run;
    run.iterate();
    write(const_cast<ivon::IVONParamState&>(run.optimizer.param_state(run.weight)));
    return message_of([&] { run.iterate(); });
  };
  const std::string message =
      "ivon: the state of parameter 0 (group 0, shape [8]) must hold tensors of one shape, dtype "
      "and device, but was changed from outside; build a new optimizer";
  EXPECT_EQ(message_after([](auto& state) { state.momentum(torch::zeros({4})); }), message);
  EXPECT_EQ(message_after([](auto& state) { state.momentum(torch::Tensor()); }), message);
  EXPECT_EQ(message_after([](auto& state) { state.hess(torch::Tensor()); }), message);
  EXPECT_EQ(message_after([](auto& state) { state.momentum(torch::zeros({8}, torch::kDouble)); }),
            message);
}

}  // namespace
