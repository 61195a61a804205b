// SPDX-License-Identifier: Apache-2.0
// Errors name what the user called and give advice that helps; legal habits of other training loops
// raise none.
#include <ivon/ivon.hpp>
#include <sstream>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;

struct Regression {
  torch::nn::Linear model{4, 3};
  IVON<> optimizer;
  explicit Regression(bool on_step)
      : optimizer(model->parameters(),
                  IVONOptions(0.1).ess(100).beta2(0.9).sample_on_step(on_step)) {
    optimizer.manual_seed(1);
  }
  void backward() { model->forward(torch::ones({2, 4})).pow(2).sum().backward(); }
  std::string saved() const {
    std::stringstream file;
    torch::save(optimizer, file);
    return file.str();
  }
};

// What one step leaves, after gradients were cleared by `clear`.
torch::Tensor trained(void (*clear)(Regression&)) {
  torch::manual_seed(3);
  Regression run(true);
  for (int i = 0; i < 4; ++i) {
    clear(run);
    run.backward();
    run.optimizer.step();
  }
  return run.optimizer.mean(run.model->weight);
}

TEST(Messages, ZeroingInPlaceUnderSampleOnStepIsLegal) {
  const ivon_test::OneThread one_thread;
  const auto expected = trained([](Regression& run) { run.optimizer.zero_grad(); });
  const auto base = trained([](Regression& run) {
    static_cast<torch::optim::Optimizer&>(run.optimizer).zero_grad(/*set_to_none=*/false);
  });
  const auto by_hand = trained([](Regression& run) {
    for (const auto& parameter : run.model->parameters()) {
      if (parameter.grad().defined()) parameter.grad().zero_();
    }
  });
  const auto by_model = trained([](Regression& run) { run.model->zero_grad(false); });
  EXPECT_TRUE(same_bits(base, expected));
  EXPECT_TRUE(same_bits(by_hand, expected));
  EXPECT_TRUE(same_bits(by_model, expected));
  IVON_EXPECT_ERROR(trained([](Regression&) {}),
                    "was added to one that an earlier sample already used");
}

TEST(Messages, PredictInsideAScopeNamesPredict) {
  for (const bool on_step : {false, true}) {
    Regression run(on_step);
    torch::NoGradGuard no_grad;
    const auto sample = run.optimizer.sampled_params();
    EXPECT_EQ(message_of([&] {
                (void)ivon::predict(run.optimizer, [&] {
                  return run.model->forward(torch::ones({2, 4}));
                });
              }),
              "ivon: predict() must be called outside a sample, but one is shown; end the scope of "
              "sampled_params() first");
  }
}

TEST(Messages, AModelConvertedUnderEvalSaysWhenToConvert) {
  Regression run(true);
  run.optimizer.eval();
  run.model->to(torch::kDouble);
  EXPECT_EQ(message_of([&] { run.optimizer.train(); }),
            "ivon: parameter 0 (group 0, shape [3, 4]) was converted to Double after its state was "
            "created for Float; convert the model before the first sample (with sample_on_step: "
            "before the optimizer is built), or build a new optimizer");
  run.model->to(torch::kBFloat16);
  EXPECT_EQ(message_of([&] { run.optimizer.train(); }),
            "ivon: parameter 0 (group 0, shape [3, 4]) was converted to BFloat16 after its state "
            "was created for Float; convert the model before the first sample (with "
            "sample_on_step: before the optimizer is built), or build a new optimizer");
  run.model->to(torch::kFloat);  // back again: nothing is lost
  run.optimizer.train();
}

TEST(Messages, AnEarlierDamageIsNotReportedAfterLoad) {
  Regression run(false);
  const std::string archive = run.saved();
  {
    const auto sample = run.optimizer.sampled_params();
    run.model->weight.set_data(torch::zeros({3, 4}));
  }
  std::stringstream file(archive);
  torch::load(run.optimizer, file);
  { const auto sample = run.optimizer.sampled_params(); }
}

TEST(Messages, AClosureThatThrowsGivesItsNoiseBack) {
  Regression run(false);
  const std::string before = run.saved();
  EXPECT_THROW(run.optimizer.step([&]() -> torch::Tensor {
    run.backward();
    throw std::runtime_error("from the closure");
  }),
               std::runtime_error);
  run.optimizer.state().clear();  // created by the first sample
  EXPECT_EQ(run.saved(), before);
}

}  // namespace
