// SPDX-License-Identifier: Apache-2.0
// Replays the trajectories of ivon-opt (golden/ivon_opt.json, told in golden/README.md): writes the
// recorded sample into the parameters inside each scope, sets the recorded gradients, steps, and
// compares every state tensor.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "golden_support.hpp"
#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon_test::apply;
using ivon_test::tensor_of;
using nlohmann::json;

const json& golden() {
  static const json file = [] {
    std::ifstream in(IVON_TEST_GOLDEN_DIR "/ivon_opt.json");
    return json::parse(in);
  }();
  return file;
}

struct Setup {
  std::vector<torch::Tensor> params;  // all groups, in order
  std::vector<torch::optim::OptimizerParamGroup> groups;
  ivon::IVONOptions options;
  torch::Dtype dtype;
};

Setup set_up(const json& record) {
  Setup setup;
  setup.dtype = record["dtype"] == "float64" ? torch::kFloat64 : torch::kFloat32;
  apply(record["options"], setup.options);
  for (const auto& group : record["groups"]) {
    std::vector<torch::Tensor> params;
    for (const auto& param : group["params"]) {
      const auto shape = param["shape"].get<std::vector<int64_t>>();
      params.push_back(tensor_of(param["init"], shape, setup.dtype).requires_grad_());
      setup.params.push_back(params.back());
    }
    if (group["options"].empty()) {
      setup.groups.emplace_back(params);
    } else {
      auto own = std::make_unique<ivon::IVONOptions>();
      apply(group["options"], *own);
      setup.groups.emplace_back(params, std::move(own));
    }
  }
  return setup;
}

// Shows the optimizer's mean plus the recorded noise (theta - mean before the step, both recorded)
// and sets the recorded gradients; called inside a sample's scope.
template <class Estimator>
void inject(const ivon::IVON<Estimator>& optimizer, const json& sample, const json& mean_before,
            const Setup& setup) {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < setup.params.size(); ++i) {
    auto param = setup.params[i];
    const auto noise = tensor_of(sample["theta"][i], param.sizes(), torch::kFloat64) -
                       tensor_of(mean_before[i], param.sizes(), torch::kFloat64);
    param.copy_(optimizer.mean(param).to(torch::kFloat64) + noise);
    param.mutable_grad() = tensor_of(sample["grad"][i], param.sizes(), setup.dtype);
  }
}

template <class Estimator>
void take_step(ivon::IVON<Estimator>& optimizer, const json& step, const json& mean_before,
               const Setup& setup, bool by_closure) {
  for (size_t g = 0; g < optimizer.param_groups().size(); ++g) {
    optimizer.param_groups()[g].options().set_lr(step["lr"][g]);
  }
  if (by_closure) {
    size_t next = 0;
    optimizer.step([&] {
      optimizer.zero_grad();
      inject(optimizer, step["samples"][next++], mean_before, setup);
      return torch::zeros({});
    });
    ASSERT_EQ(next, step["samples"].size());
    return;
  }
  for (const auto& sample : step["samples"]) {
    optimizer.zero_grad();
    const auto scope = optimizer.sampled_params();
    inject(optimizer, sample, mean_before, setup);
  }
  optimizer.step();
}

struct Errors {
  double mean = 0, hess = 0, momentum = 0;
};

template <class Estimator>
Errors replay(const json& record, bool by_closure) {
  const Setup setup = set_up(record);
  ivon::IVON<Estimator> optimizer(setup.groups, setup.options);
  Errors worst;
  json mean_before;
  for (const auto& group : record["groups"]) {
    for (const auto& param : group["params"]) mean_before.push_back(param["init"]);
  }
  for (const auto& step : record["steps"]) {
    take_step(optimizer, step, mean_before, setup, by_closure);
    mean_before = step["mean"];
    for (size_t i = 0; i < setup.params.size(); ++i) {
      const auto& param = setup.params[i];
      const auto& state = optimizer.param_state(param);
      const auto error = [&](const torch::Tensor& actual, const char* key) {
        EXPECT_EQ(actual.scalar_type(), setup.dtype) << key;
        return ivon_test::relative_error(actual,
                                         tensor_of(step[key][i], param.sizes(), torch::kFloat64));
      };
      worst.mean = std::max(worst.mean, error(param, "mean"));
      worst.hess = std::max(worst.hess, error(state.hess(), "hess"));
      worst.momentum = std::max(worst.momentum, error(state.momentum(), "momentum"));
    }
  }
  EXPECT_EQ(optimizer.skipped_elements(), 0);
  return worst;
}

class GoldenTrajectory : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTrajectory, MatchesIvonOpt) {
  const json* record = nullptr;
  for (const auto& candidate : golden()["cases"]) {
    if (candidate["name"] == GetParam()) record = &candidate;
  }
  ASSERT_NE(record, nullptr) << "not in the golden file: " << GetParam();
  ASSERT_GE((*record)["steps"].size(), 8U);

  const bool by_closure = GetParam().find("closure") != std::string::npos;
  const Errors worst = (*record)["estimator"] == "price"
                           ? replay<ivon::PriceEstimator>(*record, by_closure)
                           : replay<ivon::GradSquaredEstimator>(*record, by_closure);
  const bool is_double = (*record)["dtype"] == "float64";
  namespace tolerance = ivon_test::tolerance;
  const double bound = is_double ? tolerance::kGoldenFloat64 : tolerance::kGoldenFloat32;
  EXPECT_LE(worst.mean, bound);
  EXPECT_LE(worst.hess, bound);
  EXPECT_LE(worst.momentum, bound);
  // Shown by --gtest_output: how far below the tolerance the case is.
  std::ostringstream measured;
  measured << "mean " << worst.mean << " hess " << worst.hess << " momentum " << worst.momentum;
  RecordProperty("relative_errors", measured.str());
}

const std::string kCases[] = {
    "price_defaults",           "price_fast_hessian",
    "price_samples3",           "price_two_groups",
    "price_no_debias",          "price_no_rescale_lr",
    "price_clip_radius",        "price_float32",
    "price_float32_two_groups", "gradsq_defaults",
    "gradsq_fast_hessian",      "gradsq_samples3",
    "gradsq_two_groups",        "gradsq_no_debias",
    "gradsq_no_rescale_lr",     "gradsq_clip_radius",
    "gradsq_float32",           "gradsq_float32_two_groups",
    "price_lr_schedule",        "price_ess_large",
    "price_hess_init_small",    "price_beta1_zero",
    "price_beta1_large",        "price_beta2_zero",
    "price_beta2_one",          "price_weight_decay_large",
    "price_weight_decay_zero",  "price_closure_samples4",
    "price_float32_defaults",   "price_float32_paper_cifar",
};

INSTANTIATE_TEST_SUITE_P(IvonOpt, GoldenTrajectory, ::testing::ValuesIn(kCases),
                         [](const auto& instance) { return instance.param; });

TEST(GoldenFile, HoldsTheCasesOfThisTestAndNoOthers) {
  EXPECT_EQ(golden()["versions"]["ivon-opt"], "0.1.3");
  EXPECT_EQ(golden()["cases"].size(), std::size(kCases));
}

}  // namespace
