// SPDX-License-Identifier: Apache-2.0
// IVON reaches posteriors that are known: Bayesian linear regression (closed form), 1-D quadratics
// (the stationary Hessian of both estimators), 2-D logistic regression (quadrature).
//
// The update is elementwise, so a parameter [R, D] whose loss is a sum over R separate problems is
// R independent runs. Averages over the replicas have a standard error sqrt(R) smaller than one
// run.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using torch::Tensor;

const torch::TensorOptions kWide = torch::dtype(torch::kDouble);

// lambda (h + delta), the precision of q: [R, D].
template <class Estimator>
Tensor precision(const ivon::IVON<Estimator>& optimizer, const Tensor& param) {
  const auto& options =
      static_cast<const ivon::IVONOptions&>(optimizer.param_groups().front().options());
  return options.ess() * (optimizer.param_state(param).hess() + options.weight_decay());
}

// The constant learning rate 0.02 keeps the fluctuation of m at 1 % of the posterior variance, and
// rho = 2e-3 shifts h by rho / 2 Var(hhat) / h^2, about 0.3 % (the quadratic term of the update).
ivon::IVONOptions known_options(double ess) {
  return ivon::IVONOptions(0.02).ess(ess).beta2(0.998).rescale_lr(false);
}
constexpr int kSteps = 5000;  // 10 / rho: what is left of h's start is exp(-10)

// The problems are small: a second thread only waits at barriers (5 times as long on a busy
// machine).
class KnownPosterior : public testing::Test {
 protected:
  KnownPosterior() { torch::set_num_threads(1); }
  ~KnownPosterior() override { torch::set_num_threads(threads_); }

 private:
  int threads_ = torch::get_num_threads();
};

struct Regression {
  static constexpr int64_t kExamples = 40, kFeatures = 4;
  static constexpr double kNoise = 0.5, kDelta = 0.05;
  Tensor x, y;       // [N, D], [N]
  Tensor mean;       // [D] of the exact posterior
  Tensor precision;  // [D, D] of the exact posterior

  Regression() {
    torch::manual_seed(ivon_test::kSeed);
    // Neighbouring features are correlated: the exact posterior is not diagonal.
    const Tensor mixing =
        torch::eye(kFeatures, kWide) + 0.4 * torch::ones({kFeatures, kFeatures}, kWide).tril(-1);
    x = torch::randn({kExamples, kFeatures}, kWide).matmul(mixing);
    y = x.matmul(torch::randn({kFeatures}, kWide)) + kNoise * torch::randn({kExamples}, kWide);
    const double prior = kDelta * static_cast<double>(kExamples);
    precision = x.t().matmul(x) / (kNoise * kNoise) + prior * torch::eye(kFeatures, kWide);
    mean = torch::linalg_solve(precision, x.t().mv(y) / (kNoise * kNoise));
  }

  // Gaussian negative log-likelihood, mean over examples, for each replica of w [R, D]: [R].
  Tensor loss(const Tensor& w) const {
    return ((y - w.matmul(x.t())) / kNoise).square().mean(1) / 2;
  }
};

// The Gaussian with diagonal covariance that minimises KL(q || posterior) has the posterior's mean
// and the DIAGONAL of its precision (not the inverse of the diagonal of its covariance).
TEST_F(KnownPosterior, BayesianLinearRegression) {
  const Regression problem;
  constexpr int64_t kReplicas = 256;
  const Tensor w = torch::zeros({kReplicas, Regression::kFeatures}, kWide).requires_grad_();
  ivon::IVON optimizer({w}, known_options(Regression::kExamples)
                                .weight_decay(Regression::kDelta)
                                .hess_init(1)
                                .mc_samples(2));
  optimizer.manual_seed(ivon_test::kSeed);
  for (int i = 0; i < kSteps; ++i) {
    optimizer.step([&] {
      optimizer.zero_grad();
      const Tensor loss = problem.loss(w).sum();
      loss.backward();
      return loss;
    });
  }
  const Tensor exact = problem.precision.diag();
  const Tensor ratio = precision(optimizer, w).mean(0) / exact;
  EXPECT_LE((ratio - 1).abs().max().item<double>(), ivon_test::tolerance::kKnownPrecision) << ratio;
  const Tensor off = (optimizer.mean(w).mean(0) - problem.mean) * exact.sqrt();
  EXPECT_LE(off.abs().max().item<double>(), ivon_test::tolerance::kKnownMean) << off;

  // What the module is shown has this spread.
  Tensor squares = torch::zeros({Regression::kFeatures}, kWide);
  constexpr int kDraws = 64;
  for (int i = 0; i < kDraws; ++i) {
    const torch::NoGradGuard no_grad;
    const Tensor mean = optimizer.mean(w);
    auto sample = optimizer.sampled_params();
    squares += (w - mean).square().mean(0) / kDraws;
  }
  EXPECT_LE((squares * exact - 1).abs().max().item<double>(), ivon_test::tolerance::kKnownVariance)
      << squares * exact;
}

// Curvatures from a hundredth of the initial Hessian to a hundred times.
struct Quadratics {
  static constexpr int64_t kReplicas = 1024;
  Tensor curvature = torch::tensor({0.01, 0.1, 1., 10., 100.}, torch::kDouble);  // [D]
  Tensor minimum = torch::tensor({1., -2., 0., 3., 0.5}, torch::kDouble);        // [D]

  // E[h] / curvature after training with weight_decay 0: [D].
  template <class Estimator>
  Tensor trained_ratio() const {
    // Begins at the minimum: a start many sigma away belongs to other tests.
    Tensor w = minimum.expand({kReplicas, -1}).clone().requires_grad_();
    ivon::IVON<Estimator> optimizer({w}, known_options(100).beta1(0).weight_decay(0));
    optimizer.manual_seed(ivon_test::kSeed);
    for (int i = 0; i < 2 * kSteps; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        (curvature / 2 * (w - minimum).square()).sum().backward();
      }
      optimizer.step();
    }
    return precision(optimizer, w).mean(0) / 100 / curvature;
  }
};

TEST_F(KnownPosterior, StationaryHessianOfAQuadratic) {
  const Tensor ratio = Quadratics().trained_ratio<ivon::PriceEstimator>();
  EXPECT_LE((ratio - 1).abs().max().item<double>(), ivon_test::tolerance::kKnownPrecision) << ratio;
}

// E[hhat] = lambda a^2 (sigma^2 + Var m) with Var m = lr / (2 - lr) sigma^2 (beta1 = 0) and
// sigma^2 = 1 / (lambda h): h = a sqrt(2 / (2 - lr)), without minibatch noise.
TEST_F(KnownPosterior, StationaryHessianOfAQuadraticFromSquaredGradients) {
  const Tensor ratio = Quadratics().trained_ratio<ivon::GradSquaredEstimator>();
  const double expected = std::sqrt(2 / (2 - 0.02));
  EXPECT_LE((ratio / expected - 1).abs().max().item<double>(),
            ivon_test::tolerance::kKnownPrecision)
      << ratio;
}

// ---- logistic regression by quadrature
// -----------------------------------------------------------

// Nodes and weights of E[f(z)], z ~ N(0, 1), from the Jacobi matrix (Golub and Welsch 1969): [n].
std::tuple<Tensor, Tensor> gauss_hermite(int64_t n) {
  const Tensor off_diagonal = torch::arange(1, n, kWide).sqrt();
  const auto [nodes, vectors] =
      torch::linalg_eigh(torch::diag(off_diagonal, 1) + torch::diag(off_diagonal, -1));
  return {nodes, vectors[0].square()};
}

struct Logistic {
  static constexpr int64_t kExamples = 30;
  static constexpr double kDelta = 0.02;
  Tensor x, y;  // [N, 2], [N] of 0 and 1

  Logistic() {
    torch::manual_seed(ivon_test::kSeed);
    x = torch::randn({kExamples, 2}, kWide) * torch::tensor({1.0, 0.5}, torch::kDouble);
    const Tensor truth = torch::tensor({1.5, -2.0}, torch::kDouble);
    y = torch::rand({kExamples}, kWide).lt(torch::sigmoid(x.mv(truth))).to(torch::kDouble);
  }

  // Mean negative log-likelihood for each row of w [R, 2]: [R].
  Tensor loss(const Tensor& w) const {
    const Tensor logits = w.matmul(x.t());
    return (torch::softplus(logits) - y * logits).mean(1);
  }
};

struct MeanField {
  Tensor mean, variance;  // [2]

  // The points (theta [n^2, 2]) and weights ([n^2]) of an expectation under this Gaussian.
  std::tuple<Tensor, Tensor> quadrature() const {
    const auto [nodes, weights] = gauss_hermite(32);
    const auto grid = torch::meshgrid({nodes, nodes}, "ij");
    const Tensor z = torch::stack({grid[0].flatten(), grid[1].flatten()}, 1);
    return {mean + z * variance.sqrt(), torch::outer(weights, weights).flatten()};
  }
};

// The Gaussian with diagonal covariance that maximises the ELBO. It satisfies E_q[grad + delta m] =
// 0 and 1 / variance = lambda (E_q[second derivative] + delta): iterated to 1e-12 by damped Newton
// steps.
MeanField optimal_mean_field(const Logistic& problem) {
  constexpr double kLambda = Logistic::kExamples;
  MeanField q{torch::zeros({2}, kWide), torch::full({2}, 0.1, kWide)};
  for (int i = 0; i < 1000; ++i) {
    const auto [theta, weights] = q.quadrature();
    const Tensor p = torch::sigmoid(theta.matmul(problem.x.t()));  // [n^2, N]
    const Tensor gradient = (p - problem.y).matmul(problem.x) / kLambda;
    const Tensor second = (p * (1 - p)).matmul(problem.x.square()) / kLambda;
    const Tensor h = weights.matmul(second) + Logistic::kDelta;
    const Tensor step = 0.3 * (weights.matmul(gradient) + Logistic::kDelta * q.mean) / h;
    q.mean = q.mean - step;
    q.variance = 0.7 * q.variance + 0.3 / (kLambda * h);
    if (step.abs().max().item<double>() < 1e-12) return q;
  }
  ADD_FAILURE() << "the fixed point was not reached";
  return q;
}

// The predictive probabilities of class 1 at points [G, 2] under the exact posterior: a sum over a
// grid that reaches 8 standard deviations of q in every direction, 400 x 400 points.
Tensor exact_predictive(const Logistic& problem, const MeanField& q, const Tensor& points) {
  const Tensor span = torch::linspace(-8, 8, 400, kWide);
  const auto grid = torch::meshgrid({span, span}, "ij");
  const Tensor theta =
      q.mean + torch::stack({grid[0].flatten(), grid[1].flatten()}, 1) * q.variance.sqrt();
  const double lambda = Logistic::kExamples;
  const Tensor log_density =
      -lambda * (problem.loss(theta) + Logistic::kDelta / 2 * theta.square().sum(1));
  return torch::softmax(log_density, 0).matmul(torch::sigmoid(theta.matmul(points.t())));
}

// Compared: mean and precision of q with those of the optimal mean-field Gaussian; the predictive
// probabilities of ivon::predict with that Gaussian's, and with the exact posterior's, to which
// they must be nearer than the probabilities at the mean are.
TEST_F(KnownPosterior, LogisticRegressionByQuadrature) {
  const Logistic problem;
  const MeanField q = optimal_mean_field(problem);
  constexpr int64_t kReplicas = 256;
  const Tensor w = torch::zeros({kReplicas, 2}, kWide).requires_grad_();
  ivon::IVON optimizer(
      {w}, known_options(Logistic::kExamples).weight_decay(Logistic::kDelta).hess_init(0.25));
  optimizer.manual_seed(ivon_test::kSeed);
  for (int i = 0; i < kSteps; ++i) {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      problem.loss(w).sum().backward();
    }
    optimizer.step();
  }
  const Tensor ratio = precision(optimizer, w).mean(0) * q.variance;
  EXPECT_LE((ratio - 1).abs().max().item<double>(), ivon_test::tolerance::kKnownPrecision) << ratio;
  const Tensor off = (optimizer.mean(w).mean(0) - q.mean) / q.variance.sqrt();
  EXPECT_LE(off.abs().max().item<double>(), ivon_test::tolerance::kKnownMean) << off;

  const Tensor axis = torch::linspace(-3, 3, 13, kWide);
  const auto grid = torch::meshgrid({axis, axis}, "ij");
  const Tensor points = torch::stack({grid[0].flatten(), grid[1].flatten()}, 1);  // [G, 2]
  const auto forward = [&] {
    const Tensor logits = points.matmul(w.t());  // [G, R]
    return torch::stack({torch::zeros_like(logits), logits}, -1);
  };
  const Tensor ours = ivon::predict(optimizer, forward, 64).probs.select(-1, 1).mean(1);
  const auto [theta, weights] = q.quadrature();
  const Tensor of_q = weights.matmul(torch::sigmoid(theta.matmul(points.t())));
  EXPECT_LE((ours - of_q).abs().max().item<double>(), ivon_test::tolerance::kKnownPredictive);

  const Tensor exact = exact_predictive(problem, q, points);
  const Tensor at_mean = torch::sigmoid(points.mv(q.mean));
  const double our_distance = (ours - exact).abs().max().item<double>();
  const double mean_distance = (at_mean - exact).abs().max().item<double>();
  RecordProperty("distance_to_exact", std::to_string(our_distance));
  RecordProperty("distance_of_mean_to_exact", std::to_string(mean_distance));
  EXPECT_LT(our_distance, 0.5 * mean_distance);
}

}  // namespace
