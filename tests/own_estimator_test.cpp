// SPDX-License-Identifier: Apache-2.0
// Estimators that a user writes, outside the library: their values against formulas that are
// written here, by the fused passes, by tensor expressions and with parameters on a CUDA device,
// which the host plays. Run once more for each instruction set and for the CUDA path.
#include <ivon/ivon.hpp>
#include <limits>

#include "cuda_on_host.hpp"
#include "pch.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon_test::relative_error;

// Price's estimate plus the square of its statistic: neither of the library's formulas.
struct CurvedEstimator {
  static constexpr const char* kName = "curved";
  static constexpr bool kUsesDeviation = true;

  template <class T>
  static T statistic(const T& deviation, const T& gradient) {
    return deviation * gradient;
  }
  template <class T>
  static T add_statistic(const T& sum, const T& deviation, const T& gradient) {
    return sum + statistic(deviation, gradient);
  }
  template <class T>
  static T hessian(const T& damped_hess, const T& average) {
    return damped_hess * average + average * average;
  }
};

// The fourth power of the gradient, which needs no theta.
struct FourthPowerEstimator {
  static constexpr const char* kName = "fourth_power";
  static constexpr bool kUsesDeviation = false;

  template <class T>
  static T statistic(const T& /*deviation*/, const T& gradient) {
    return gradient * gradient * gradient * gradient;
  }
  template <class T>
  static T add_statistic(const T& sum, const T& deviation, const T& gradient) {
    return sum + statistic(deviation, gradient);
  }
  template <class T>
  static T hessian(const T& damped_hess, const T& average) {
    return average / (damped_hess + average);
  }
};

// The estimate divided by lambda from the averaged statistic, in double.
at::Tensor expected_hessian(const CurvedEstimator&, const at::Tensor& damped, const at::Tensor& x) {
  return damped * x + x * x;
}
at::Tensor expected_hessian(const FourthPowerEstimator&, const at::Tensor& damped,
                            const at::Tensor& x) {
  return x / (damped + x);
}
at::Tensor expected_statistic(const CurvedEstimator&, const at::Tensor& deviation,
                              const at::Tensor& gradient) {
  return deviation * gradient;
}
at::Tensor expected_statistic(const FourthPowerEstimator&, const at::Tensor&,
                              const at::Tensor& gradient) {
  return gradient.pow(4);
}

constexpr double kEss = 50, kDecay = 0.01, kHessInit = 0.5, kBeta1 = 0.9, kBeta2 = 0.9, kLr = 0.1;

// Three steps of `samples` samples each from `values`, whose memory they change, compared after
// every step with the paper's update, written here in double.
template <class Estimator>
void expect_the_formula(const at::Tensor& values, int samples, double tolerance) {
  const at::Tensor param = values.detach().requires_grad_();
  ivon::IVON<Estimator> optimizer({param}, ivon::IVONOptions(kLr)
                                               .ess(kEss)
                                               .weight_decay(kDecay)
                                               .hess_init(kHessInit)
                                               .betas({kBeta1, kBeta2})
                                               .mc_samples(samples)
                                               .rescale_lr(false));
  at::Tensor m = values.detach().to(at::kDouble, false, /*copy=*/true),
             h = at::full_like(m, kHessInit), g = at::zeros_like(m);
  for (int step = 1; step <= 3; ++step) {
    at::Tensor gradient = at::zeros_like(m), statistic = at::zeros_like(m);
    optimizer.zero_grad();
    for (int s = 0; s < samples; ++s) {
      optimizer.zero_grad();
      const auto sample = optimizer.sampled_params();
      const at::Tensor theta = param.detach().to(at::kDouble);
      (param.sin() * 0.5).sum().backward();
      const at::Tensor at_theta = param.grad().to(at::kDouble);
      gradient += at_theta / samples;
      statistic += expected_statistic(Estimator(), theta - m, at_theta) / samples;
    }
    optimizer.step();
    const at::Tensor damped = h + kDecay;
    const at::Tensor change = kEss * expected_hessian(Estimator(), damped, statistic) - h;
    const double rho = 1 - kBeta2;
    h = h + rho * change + 0.5 * (rho * change).pow(2) / damped;
    g = kBeta1 * g + (1 - kBeta1) * gradient;
    m = m - kLr * (g / (1 - std::pow(kBeta1, step)) + kDecay * m) / (h + kDecay);
    EXPECT_LT(relative_error(optimizer.param_state(param).hess(), h), tolerance) << "step " << step;
    EXPECT_LT(relative_error(optimizer.param_state(param).momentum(), g), tolerance);
    EXPECT_LT(relative_error(optimizer.mean(param), m), tolerance);
  }
}

template <class Estimator>
void expect_the_formula_everywhere() {
  torch::manual_seed(ivon_test::kSeed);
  const at::Tensor values = torch::rand({70, 61}, at::kDouble) + 0.2;
  for (const int samples : {1, 3}) {
    using namespace ivon_test;
    SCOPED_TRACE(samples);
    expect_the_formula<Estimator>(values.clone(), samples, tolerance::kOwnEstimatorFloat64);
    expect_the_formula<Estimator>(values.to(at::kFloat), samples, tolerance::kOwnEstimatorFloat32);
    // A part of a wider matrix goes by tensor expressions.
    at::Tensor wide = torch::zeros({70, 100}, at::kDouble);
    at::Tensor part = wide.narrow(1, 3, 61);
    part.copy_(values);
    expect_the_formula<Estimator>(part, samples, tolerance::kOwnEstimatorFloat64);
  }
}

TEST(OwnEstimator, FollowsItsFormula) {
  expect_the_formula_everywhere<CurvedEstimator>();
  expect_the_formula_everywhere<FourthPowerEstimator>();
}

TEST(OwnEstimator, FollowsItsFormulaOnTheCudaPath) {
  ivon_test::HostRuntime runtime;
  ivon::detail::cuda::Runtime* const before = ivon::detail::cuda::host_runtime();
  ivon::detail::cuda::host_runtime() = &runtime;
  expect_the_formula_everywhere<CurvedEstimator>();
  expect_the_formula_everywhere<FourthPowerEstimator>();
  ivon::detail::cuda::host_runtime() = before;
  // Its noise comes from the kernels; there are none for its updates.
  EXPECT_GT(runtime.launches["ivon_sample"], 0);
  EXPECT_EQ(runtime.launches["ivon_update"], 0);
  EXPECT_EQ(runtime.launches["ivon_accumulate"], 0);
}

TEST(OwnEstimator, TrainsAndResumesUnderItsName) {
  for (const bool on_step : {false, true}) {
    const at::Tensor param = torch::ones({33}).requires_grad_();
    const auto options = ivon::IVONOptions(0.1).ess(100).sample_on_step(on_step);
    ivon::IVON<CurvedEstimator> optimizer({param}, options);
    for (int i = 0; i < 3; ++i) {
      optimizer.step([&] {
        optimizer.zero_grad();
        at::Tensor loss = param.pow(2).sum();
        loss.backward();
        return loss;
      });
    }
    std::stringstream stream;
    torch::serialize::OutputArchive out;
    optimizer.save(out);
    out.save_to(stream);
    torch::serialize::InputArchive in;
    in.load_from(stream);
    const at::Tensor other = torch::ones({33}).requires_grad_();
    {
      ivon::IVON<> with_price({other}, options);
      EXPECT_THAT(ivon_test::message_of([&] { with_price.load(in); }),
                  ::testing::HasSubstr("curved"));
    }
    ivon::IVON<CurvedEstimator> resumed({other}, options);
    stream.seekg(0);
    torch::serialize::InputArchive again;
    again.load_from(stream);
    resumed.load(again);
    EXPECT_TRUE(ivon_test::same_bits(resumed.param_state(other).hess(),
                                     optimizer.param_state(param).hess()));
  }
}

// An estimator that is not finite somewhere leaves those elements alone, as the library's do.
TEST(OwnEstimator, ElementsThatAreNotFiniteAreLeftAlone) {
  const at::Tensor param = torch::ones({40}).requires_grad_();
  ivon::IVON<FourthPowerEstimator> optimizer({param}, ivon::IVONOptions(0.1).ess(100));
  {
    const auto sample = optimizer.sampled_params();
    param.mutable_grad() = torch::ones({40});
    param.mutable_grad()[7] = std::numeric_limits<float>::max();
  }
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_elements(), 1);
  EXPECT_EQ(param[7].item<float>(), 1);
  EXPECT_NE(param[8].item<float>(), 1);
}

}  // namespace
