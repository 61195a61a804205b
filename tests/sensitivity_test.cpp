// SPDX-License-Identifier: Apache-2.0
// posterior/output_variance.hpp, sensitivity.hpp and generalization.hpp: exact values against dense
// Jacobians, closed forms, refits and torch.func; estimates against exact values; what the calls
// leave behind; errors.
#include "ivon/posterior/sensitivity.hpp"

#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ivon/posterior/generalization.hpp"
#include "ivon/posterior/output_variance.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::Posterior;
using ivon::Sensitivity;
using ivon::SensitivityOptions;
using ivon::SensitivityScore;
using ivon_test::message_of;
using ivon_test::relative_error;
using ivon_test::same_bits;
using torch::Tensor;

const torch::TensorOptions kWide = torch::dtype(torch::kDouble);

// [n, 1, 4, 4] -> logits [n, 3]; the model of golden/sensitivity.py.
struct ConvNetImpl : torch::nn::Module {
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 2, 3)};
  torch::nn::Linear head{8, 3};
  ConvNetImpl() {
    register_module("conv", conv);
    register_module("head", head);
  }
  Tensor forward(const Tensor& x) { return head(torch::tanh(conv(x)).flatten(1)); }
};
TORCH_MODULE(ConvNet);

// A posterior with random means and precisions exp(2 + 0.7 z) * tightness over a module.
template <class Module>
Posterior random_posterior(const Module& module, double tightness = 1) {
  std::vector<ivon::PosteriorParameter> parameters;
  for (const auto& p : ivon::detail::module_parameters(module)) {
    const auto options = p.tensor.options().requires_grad(false);
    parameters.push_back({p.names.front(),
                          0.7 * torch::randn(p.tensor.sizes(), options),
                          (2 + 0.7 * torch::randn(p.tensor.sizes(), options)).exp() * tightness,
                          {},
                          {}});
  }
  return Posterior(parameters);
}

// A network, its posterior and data, all made from one seed.
struct Problem {
  ConvNet net;
  Posterior q;
  Tensor x, y;
  explicit Problem(torch::Dtype dtype = torch::kDouble, double tightness = 1)
      : net(make(dtype)), q(random_posterior(*net, tightness)) {
    x = torch::randn({5, 1, 4, 4}, dtype);
    y = torch::tensor({0, 1, 2, 2, 0}, torch::kLong);
  }
  static ConvNet make(torch::Dtype dtype) {
    torch::manual_seed(ivon_test::kSeed);
    ConvNet net;
    net->to(dtype);
    return net;
  }
  auto forward() {
    return [this](const Tensor& inputs) { return net->forward(inputs); };
  }
};

// V [N, C, C] from Jacobians that are built row by row, at the mean.
Tensor dense_covariance(Problem& problem) {
  problem.q.apply_mean(*problem.net);
  Tensor v = torch::zeros({problem.x.size(0), 3, 3}, kWide);
  for (int64_t i = 0; i < problem.x.size(0); ++i) {
    const Tensor f = problem.net->forward(problem.x.narrow(0, i, 1)).squeeze(0);
    for (const auto& item : problem.net->named_parameters()) {
      std::vector<Tensor> rows;
      for (int64_t k = 0; k < 3; ++k) {
        rows.push_back(torch::autograd::grad({f[k]}, {item.value()}, {}, true)[0].flatten());
      }
      const Tensor j = torch::stack(rows).to(torch::kDouble);
      const Tensor s = problem.q.precision(item.key()).flatten().to(torch::kDouble);
      v[i] += torch::matmul(j / s, j.t());
    }
  }
  return v;
}

Tensor class_errors(const Tensor& logits, const Tensor& y) {
  return torch::softmax(logits, -1) - torch::one_hot(y, logits.size(1)).to(torch::kDouble);
}

Tensor golden_tensor(const nlohmann::json& record) {
  return torch::tensor(record["values"].get<std::vector<double>>(), kWide)
      .view(record["shape"].get<std::vector<int64_t>>());
}

TEST(OutputVariance, ExactValuesAreThoseOfTheDenseJacobian) {
  for (const auto dtype : {torch::kDouble, torch::kFloat}) {
    Problem p(dtype);
    const double tolerance = dtype == torch::kDouble ? ivon_test::tolerance::kSensitivityFloat64
                                                     : ivon_test::tolerance::kSensitivityFloat32;
    const Tensor variance = ivon::output_variance(p.q, *p.net, p.forward(), p.x);
    const Sensitivity s = ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y);
    const Tensor v = dense_covariance(p);
    const Tensor logits = p.net->forward(p.x).detach().to(torch::kDouble);
    const Tensor e = class_errors(logits, p.y);
    EXPECT_EQ(variance.scalar_type(), torch::kDouble);
    EXPECT_LE(relative_error(variance, v.diagonal(0, 1, 2)), tolerance);
    EXPECT_LE(relative_error(s.logits, logits), tolerance);
    EXPECT_LE(relative_error(s.deviation, torch::matmul(v, e.unsqueeze(2)).squeeze(2)), tolerance);
    EXPECT_LE(relative_error(s.score, s.deviation.norm(2, -1)), tolerance);
    EXPECT_FALSE(s.variance.defined());
    EXPECT_FALSE(s.score.requires_grad());
  }
}

TEST(OutputVariance, OfALinearModelHasAClosedForm) {
  torch::manual_seed(ivon_test::kSeed);
  torch::nn::Linear linear(6, 4);
  linear->to(torch::kDouble);
  Posterior q = random_posterior(*linear);
  const Tensor x = torch::randn({7, 6}, kWide);
  const Tensor expected = torch::matmul(x.square(), q.precision("weight").reciprocal().t()) +
                          q.precision("bias").reciprocal();
  const auto forward = [&](const Tensor& inputs) { return linear->forward(inputs); };
  EXPECT_LE(relative_error(ivon::output_variance(q, *linear, forward, x), expected),
            ivon_test::tolerance::kSensitivityFloat64);
}

TEST(OutputVariance, TakesTorchScriptModules) {
  torch::manual_seed(ivon_test::kSeed);
  torch::jit::Module module("net");
  module.register_parameter("w", torch::randn({4, 3}, kWide), /*is_buffer=*/false);
  module.register_parameter("unused", torch::randn({2}, kWide), /*is_buffer=*/false);
  module.define("def forward(self, x):\n  return torch.mm(x, self.w)\n");
  Posterior q = random_posterior(module);
  const Tensor x = torch::randn({5, 4}, kWide);
  const Tensor y = torch::tensor({0, 1, 2, 2, 0}, torch::kLong);
  const auto forward = [&](const Tensor& inputs) { return module.forward({inputs}).toTensor(); };
  const Tensor v = torch::matmul(x.square(), q.precision("w").reciprocal());
  const Tensor e = class_errors(torch::matmul(x, q.mean("w")), y);
  const Sensitivity s = ivon::sensitivity(q, module, forward, x, y);
  EXPECT_LE(relative_error(s.deviation, v * e), ivon_test::tolerance::kSensitivityFloat64);
}

TEST(Sensitivity, IsThatOfTorchFunc) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/sensitivity.json");
  const auto record = nlohmann::json::parse(in);
  ConvNet net;
  net->to(torch::kDouble);
  std::vector<ivon::PosteriorParameter> parameters;
  for (const auto& [name, mean] : record["mean"].items()) {
    parameters.push_back(
        {name, golden_tensor(mean), golden_tensor(record["precision"][name]), {}, {}});
  }
  Posterior q(parameters);
  const Tensor x = golden_tensor(record["inputs"]);
  const Tensor y = torch::tensor(record["targets"].get<std::vector<int64_t>>(), torch::kLong);
  const auto forward = [&](const Tensor& inputs) { return net->forward(inputs); };
  const auto expect = [&](const Tensor& actual, const char* name) {
    EXPECT_LE(relative_error(actual, golden_tensor(record[name])),
              ivon_test::tolerance::kSensitivityGolden)
        << name;
  };
  const Sensitivity deviation = ivon::sensitivity(q, *net, forward, x, y);
  expect(deviation.logits, "logits");
  expect(deviation.deviation, "deviation");
  expect(deviation.score, "score_deviation");
  const Sensitivity variance = ivon::sensitivity(
      q, *net, forward, x, y, SensitivityOptions().score(SensitivityScore::kVariance));
  expect(variance.variance, "variance");
  expect(variance.score, "score_variance");
  EXPECT_FALSE(variance.deviation.defined());
  const ivon::LeaveOneOut left_out = ivon::leave_one_out(q, *net, forward, x, y);
  expect(left_out.loss, "leave_one_out_loss");
  const double mean = golden_tensor(record["leave_one_out_loss"]).mean().item<double>();
  EXPECT_NEAR(ivon::leave_one_out_loss(q, *net, forward, x, y), mean,
              ivon_test::tolerance::kSensitivityGolden);
}

// Bayesian linear regression with orthogonal features: its exact posterior is diagonal.
TEST(LeaveOneOut, OfALinearRegressionIsThatOfRefits) {
  torch::manual_seed(ivon_test::kSeed);
  constexpr int64_t kExamples = 9, kFeatures = 3;
  constexpr double kNoise = 0.3, kPrior = 0.4;
  const Tensor x = std::get<0>(torch::linalg_qr(torch::randn({kExamples, kFeatures}, kWide))) *
                   torch::tensor({1.0, 2.0, 0.5}, kWide);
  const Tensor y = torch::randn({kExamples}, kWide);
  const auto precision_of = [&](const Tensor& features) {
    return torch::matmul(features.t(), features) / kNoise + kPrior * torch::eye(kFeatures, kWide);
  };
  const auto mean_of = [&](const Tensor& features, const Tensor& targets) {
    return torch::linalg_solve(precision_of(features), torch::mv(features.t(), targets) / kNoise);
  };
  torch::nn::Linear linear(torch::nn::LinearOptions(kFeatures, 1).bias(false));
  linear->to(torch::kDouble);
  Posterior q(
      {{"weight", mean_of(x, y).unsqueeze(0), precision_of(x).diag().unsqueeze(0), {}, {}}});

  const auto forward = [&](const Tensor& inputs) { return linear->forward(inputs); };
  const auto found = ivon::leave_one_out_regression(q, *linear, forward, x, y, kNoise);
  std::vector<Tensor> expected;
  for (int64_t i = 0; i < kExamples; ++i) {
    const Tensor others = torch::arange(kExamples).ne(i);
    expected.push_back(mean_of(x.index({others}), y.index({others})).dot(x[i]));
  }
  const Tensor refits = torch::stack(expected);
  EXPECT_LE(relative_error(found.prediction, refits), ivon_test::tolerance::kLeaveOneOutRefit);
  EXPECT_LE(relative_error(found.deviation, refits - torch::mv(x, mean_of(x, y))),
            ivon_test::tolerance::kLeaveOneOutRefit);
  const auto flat = [&](const Tensor& inputs) { return linear->forward(inputs).squeeze(1); };
  const auto same = ivon::leave_one_out_regression(q, *linear, flat, x, y, kNoise);
  EXPECT_TRUE(same_bits(same.prediction, found.prediction));
}

// The mean square of the estimate's error, over the figure that the comment of output_variance.hpp
// gives for a linear model: about 1, for the diagonal of V and for V e. So the error falls like
// 1 / sqrt(samples). The 64 examples in 50 dimensions have nearly independent errors.
std::pair<double, double> standardized_errors(int64_t samples) {
  torch::manual_seed(ivon_test::kSeed);
  torch::nn::Linear linear(50, 4);
  linear->to(torch::kDouble);
  Posterior q = random_posterior(*linear);
  q.manual_seed(static_cast<uint64_t>(samples));
  const Tensor x = torch::randn({64, 50}, kWide);
  const Tensor y = torch::randint(4, {64}, torch::kLong);
  const auto forward = [&](const Tensor& inputs) { return linear->forward(inputs); };
  const auto options = SensitivityOptions().samples(samples);
  const Tensor v = ivon::output_variance(q, *linear, forward, x);
  const Tensor estimate = ivon::output_variance(q, *linear, forward, x, options.output_variance());
  const double diagonal = (estimate / v - 1).square().mean().item<double>();
  const Sensitivity exact = ivon::sensitivity(q, *linear, forward, x, y);
  const Sensitivity drawn = ivon::sensitivity(q, *linear, forward, x, y, options);
  const Tensor e = class_errors(exact.logits, y);
  const Tensor expected =
      exact.deviation.square().sum(-1) + v.sum(-1) * (e * exact.deviation).sum(-1);
  const Tensor squares = (drawn.deviation - exact.deviation).square().sum(-1);
  const auto n = static_cast<double>(samples - 1);
  return {diagonal * n / 2, (squares / expected).mean().item<double>() * n};
}

TEST(OutputVariance, EstimatesHaveTheStatedError) {
  const ivon_test::OneThread one_thread;
  for (const int64_t samples : {16, 64, 1024}) {
    const auto [diagonal, product] = standardized_errors(samples);
    EXPECT_NEAR(diagonal, 1, 0.3) << samples << " samples, seed " << ivon_test::kSeed;
    EXPECT_NEAR(product, 1, 0.3) << samples << " samples, seed " << ivon_test::kSeed;
  }
}

// The largest relative bias of a variance, which the curvature of the outputs causes. The sampling
// error of 20,000 samples is 1 % for one variance; the largest of all is looked at.
double largest_bias(double tightness) {
  Problem p(torch::kDouble, tightness);
  const auto options = ivon::OutputVarianceOptions().samples(20000);
  const Tensor exact = ivon::output_variance(p.q, *p.net, p.forward(), p.x);
  const Tensor drawn = ivon::output_variance(p.q, *p.net, p.forward(), p.x, options);
  return (drawn / exact - 1).abs().max().item<double>();
}

TEST(OutputVariance, TheBiasOfEstimatesFallsWithTheVariance) {
  const ivon_test::OneThread one_thread;
  EXPECT_NEAR(largest_bias(1), 0.58, 0.03);
  EXPECT_LE(largest_bias(100), 0.05);
}

TEST(Sensitivity, EstimatesDoNotDependOnTheBatchSize) {
  Problem p;
  std::vector<Sensitivity> found;
  for (const int64_t batch_size : {1, 2, 256}) {
    p.q.manual_seed(7);
    found.push_back(ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y,
                                      SensitivityOptions().samples(8).batch_size(batch_size)));
    EXPECT_LE(relative_error(found.back().deviation, found.front().deviation),
              ivon_test::tolerance::kSensitivityFloat64);
  }
  // The next call draws other samples.
  const Sensitivity next =
      ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y, SensitivityOptions().samples(8));
  EXPECT_GT(relative_error(next.deviation, found.front().deviation), 1e-3);
}

TEST(Sensitivity, ReportsItsProgress) {
  Problem p;
  std::vector<std::pair<int64_t, int64_t>> reports;
  const auto report = [&](int64_t done, int64_t total) { reports.emplace_back(done, total); };
  ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y, SensitivityOptions().progress(report));
  EXPECT_EQ(reports.size(), 5U);
  EXPECT_EQ(reports.front(), (std::pair<int64_t, int64_t>(1, 5)));
  EXPECT_EQ(reports.back(), (std::pair<int64_t, int64_t>(5, 5)));
  reports.clear();
  ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y,
                    SensitivityOptions().samples(2).batch_size(3).progress(report));
  EXPECT_EQ(reports.size(), 6U);
  EXPECT_EQ(reports.front(), (std::pair<int64_t, int64_t>(3, 15)));
  EXPECT_EQ(reports.back(), (std::pair<int64_t, int64_t>(15, 15)));
}

// Values, gradients and requires_grad of the module before, to compare with those after.
struct Snapshot {
  std::vector<Tensor> values, gradients, gradient_values;
  std::vector<bool> required;
  explicit Snapshot(const torch::nn::Module& module) {
    for (const Tensor& parameter : module.parameters()) {
      values.push_back(parameter.detach().clone());
      gradients.push_back(parameter.grad());
      gradient_values.push_back(parameter.grad().defined() ? parameter.grad().clone() : Tensor());
      required.push_back(parameter.requires_grad());
    }
  }
  void expect_unchanged(const torch::nn::Module& module) const {
    const auto parameters = module.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(same_bits(parameters[i], values[i])) << i;
      EXPECT_TRUE(parameters[i].grad().is_same(gradients[i])) << i;
      EXPECT_TRUE(same_bits(parameters[i].grad(), gradient_values[i])) << i;
      EXPECT_EQ(parameters[i].requires_grad(), required[i]) << i;
    }
  }
};

TEST(Sensitivity, LeavesTheModuleAsItWas) {
  Problem p;
  p.net->forward(p.x).sum().backward();
  p.net->head->weight.mutable_grad().reset();
  p.net->conv->parameters()[0].requires_grad_(false);
  const Snapshot before(*p.net);
  int64_t calls = 0;
  const auto throws_later = [&](const Tensor& inputs) {
    if (++calls == 3) throw std::runtime_error("stop");
    return p.net->forward(inputs);
  };
  for (const int64_t samples : {0, 3}) {
    const auto options = SensitivityOptions().samples(samples).batch_size(2);
    ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y, options);
    before.expect_unchanged(*p.net);
    calls = samples == 0 ? 0 : -2;  // so that the estimate throws during a sample
    EXPECT_THROW(ivon::sensitivity(p.q, *p.net, throws_later, p.x, p.y, options),
                 std::runtime_error);
    before.expect_unchanged(*p.net);
  }
}

TEST(Sensitivity, WorksInEveryModeAndWithAFrozenModule) {
  Problem p;
  const Sensitivity expected = ivon::sensitivity(p.q, *p.net, p.forward(), p.x, p.y);
  const auto same = [&](const Tensor& inputs) {
    const Sensitivity found = ivon::sensitivity(p.q, *p.net, p.forward(), inputs, p.y);
    return same_bits(found.deviation, expected.deviation) && same_bits(found.score, expected.score);
  };
  {
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(same(p.x));
    EXPECT_FALSE(torch::GradMode::is_enabled());
  }
  {
    const c10::InferenceMode inference;
    EXPECT_TRUE(same(p.x.clone()));
  }
  EXPECT_TRUE(same(p.x.clone().requires_grad_()));
  for (const Tensor& parameter : p.net->parameters()) parameter.requires_grad_(false);
  EXPECT_TRUE(same(p.x));
  for (const Tensor& parameter : p.net->parameters()) EXPECT_FALSE(parameter.requires_grad());
}

// The message of sensitivity() for the problem with other arguments.
std::string message(const Tensor& x, const Tensor& y, const SensitivityOptions& options = {}) {
  Problem p;
  return message_of([&] { ivon::sensitivity(p.q, *p.net, p.forward(), x, y, options); });
}

TEST(Sensitivity, NamesWrongTargetsAndInputs) {
  const Problem p;
  const Tensor none = p.x.narrow(0, 0, 0), no_targets = p.y.narrow(0, 0, 0);
  EXPECT_EQ(message(none, no_targets),
            "ivon: inputs must have the shape [N, ...] with N >= 1, got [0, 1, 4, 4]; pass at "
            "least one example");
  EXPECT_EQ(message(p.x, p.y + 1),
            "ivon: targets must be from 0 to 2 for 3 classes, got 3; leave out examples without a "
            "class");
  EXPECT_EQ(message(p.x, p.y - 1),
            "ivon: targets must be from 0 to 2 for 3 classes, got -1; leave out examples without a "
            "class");
  EXPECT_EQ(message(p.x, p.y.to(torch::kFloat)),
            "ivon: targets must be class indices, Long [N], got Float [5]; pass one class index "
            "for each example");
  EXPECT_EQ(message(p.x, p.y.narrow(0, 0, 4)),
            "ivon: targets must be one for each of the 5 inputs, got 4; pass a batch's own "
            "targets");
}

TEST(Sensitivity, NamesWrongOptions) {
  const Problem p;
  for (const int64_t samples : {1, -2}) {
    EXPECT_EQ(message(p.x, p.y, SensitivityOptions().samples(samples)),
              "ivon: samples must be 0 or >= 2, got " + std::to_string(samples) +
                  "; 0 computes the exact value");
  }
  EXPECT_EQ(message(p.x, p.y, SensitivityOptions().batch_size(0)),
            "ivon: batch_size must be >= 1, got 0; it is the number of examples that are forwarded "
            "together");
}

TEST(Sensitivity, NamesWrongOutputs) {
  Problem p;
  const auto of = [&](const std::function<Tensor(const Tensor&)>& change, int64_t samples = 0) {
    const auto forward = [&](const Tensor& x) { return change(p.net->forward(x)); };
    return message_of([&] {
      ivon::sensitivity(p.q, *p.net, forward, p.x, p.y, SensitivityOptions().samples(samples));
    });
  };
  EXPECT_EQ(of([](const Tensor& f) { return f.sum(-1); }),
            "ivon: forward must return floating-point outputs of the shape [n, C] for n examples, "
            "with one C for all, here [1, C], got Double [1]; keep the examples as first "
            "dimension");
  EXPECT_EQ(of([](const Tensor& f) { return f.argmax(-1, true); }, 2),
            "ivon: forward must return floating-point outputs of the shape [n, C] for n examples, "
            "with one C for all, here [5, C], got Long [5, 1]; keep the examples as first "
            "dimension");
  int64_t calls = 0;
  EXPECT_EQ(of([&](const Tensor& f) { return f.narrow(1, 0, ++calls < 3 ? 3 : 2); }),
            "ivon: forward must return floating-point outputs of the shape [n, C] for n examples, "
            "with one C for all, here [1, 3], got Double [1, 2]; keep the examples as first "
            "dimension");
  EXPECT_EQ(of([](const Tensor& f) { return f.narrow(1, 0, 1); }),
            "ivon: forward must return logits of at least 2 classes, got [1, 1]; for a single "
            "sigmoid output z return torch::cat({torch::zeros_like(z), z}, -1)");
  EXPECT_EQ(of([](const Tensor& f) { return f.detach(); }),
            "ivon: forward must compute its outputs from the module's parameters with gradients "
            "on, got outputs without a gradient; remove NoGradGuard and detach() from forward");
}

TEST(LeaveOneOut, NamesWrongArgumentsOfRegressions) {
  Problem p;
  const Tensor y = torch::zeros({5}, kWide);
  const auto of = [&](const Tensor& targets, int64_t outputs, double noise_variance) {
    const auto forward = [&](const Tensor& x) { return p.net->forward(x).narrow(1, 0, outputs); };
    return message_of([&] {
      ivon::leave_one_out_regression(p.q, *p.net, forward, p.x, targets, noise_variance);
    });
  };
  EXPECT_EQ(of(y, 1, 1e9), "");
  EXPECT_EQ(of(y, 1, 0),
            "ivon: noise_variance must be finite and > 0, got 0; it is the variance of the targets "
            "around the predictions");
  EXPECT_EQ(of(y.unsqueeze(1), 1, 1),
            "ivon: targets must be floating point [N], one for each input, got Double [5, 1]; "
            "squeeze() or convert them");
  EXPECT_EQ(of(y, 2, 1),
            "ivon: forward must return one prediction for each example, [n] or [n, 1], got [1, 2]; "
            "use one model output at a time");
  const std::string too_wide = of(y, 1, 1e-9);
  EXPECT_EQ(too_wide.find("ivon: the variance of each prediction must be below the noise_variance "
                          "1e-09, got "),
            0U);
  EXPECT_NE(too_wide.find("; train on these examples with the loss (f - y)^2 / (2 "
                          "noise_variance)"),
            std::string::npos);
}

}  // namespace
