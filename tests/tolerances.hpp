// SPDX-License-Identifier: Apache-2.0
// Every tolerance of the tests, with its reason. Relative errors are relative_error() of
// support.hpp: the largest difference over the largest magnitude of the expected tensor.
#pragma once

namespace ivon_test::tolerance {

// float64 against ivon-opt, up to twenty steps: rounding (2e-16 each), and the noise read back as
// theta - mean, which costs |theta| / sigma * 1e-16. Largest measured: 4.1e-14.
inline constexpr double kGoldenFloat64 = 1e-12;

// float32 against ivon-opt: as above with 6e-8. Largest measured: 6.9e-7.
inline constexpr double kGoldenFloat32 = 2e-6;

// Fused kernels against the tensor expressions over 5 steps, relative: the kernels' FMAs save
// roundings of 6e-8 each; theta - m carries a rounding of theta, |theta| / sigma up to 100.
inline constexpr double kFusedFloat32 = 2e-6;
inline constexpr double kFusedFloat32Hess = 5e-5;
inline constexpr double kFusedFloat64 = 0x1p-27;  // times those: 2^-29, with a margin

// A user's estimator against its formula in double, three steps, relative: roundings of 2^-53 and
// 2^-24. theta - m carries a rounding of theta, |theta| / sigma up to 10, and float32 fourth powers
// of gradients some more. Largest measured: 4.9e-16 and 3.5e-7.
inline constexpr double kOwnEstimatorFloat64 = 1e-13;
inline constexpr double kOwnEstimatorFloat32 = 1e-5;

// The damped Hessian against an independent program, 25 steps, relative.
inline constexpr double kDampedFloat64 = 1e-12;
inline constexpr double kDampedFloat32 = 2e-5;

// Damped and without noise against torch::optim::AdamW in float64, 40 steps, relative.
inline constexpr double kAdamW = 1e-11;

// Learning rates against Python's, absolute and relative: its schedulers multiply step by step,
// ours have a closed form.
inline constexpr double kSchedule = 1e-14;

// Metrics of float32 probabilities in [0, 1], absolute: torchmetrics sums in float32, and rows that
// sum to 1 +- 1e-7 were normalised for scikit-learn.
inline constexpr double kMetricFloat32 = 5e-7;

// Metrics of float64 inputs on the generated cases, absolute for figures in [0, 88] and relative
// for regressions: sums of at most 60 terms in float64, and 15 digits in the file.
inline constexpr double kMetricCases = 1e-12;
// As above against torchmetrics, which sums in float32.
inline constexpr double kMetricTorchmetrics = 1e-6;
// As above for CRPS, relative: the numerical integration has a relative error of 1e-11 a piece, and
// leaves out tails beyond 12 standard deviations.
inline constexpr double kMetricIntegral = 1e-9;
// Metrics over batches against all data at once, absolute: another order of 300 float64 terms.
inline constexpr double kMetricBatches = 1e-13;

// Averaged predictions against the definition in float64, absolute: entropies up to log 10, 16
// samples; the float32 log-sum grows by a rounding of 6e-8 * log S a sample, hence the wider bound
// for 1000 samples.
inline constexpr double kPredictionFloat64 = 1e-14;
inline constexpr double kPredictionFloat32 = 2e-6;
inline constexpr double kPredictionFloat32Long = 2e-5;

// Sensitivities in float64 against another order of the same sums, relative: at most 50 roundings
// of 1e-16; in float32 against float64, 50 roundings of 6e-8; against torch.func, also the rounding
// in the file; leave-one-out of a linear model against refits by linalg_solve.
inline constexpr double kSensitivityFloat64 = 1e-13;
inline constexpr double kSensitivityFloat32 = 5e-6;
inline constexpr double kSensitivityGolden = 1e-12;
inline constexpr double kLeaveOneOutRefit = 1e-9;

// Known posteriors, averaged over 256 or 1024 independent runs. Precision (relative): bias of 0.3 %
// from the quadratic term of the update, standard error 0.3 %. Mean, in posterior standard
// deviations: fluctuation 0.1, standard error 0.006. Variance of shown samples (relative): 256 * 64
// draws, standard error 1.1 %, and E[1/h] > 1/E[h] by 0.3 %. Predictive probabilities (absolute):
// the mean's fluctuation adds 1 % of variance, Monte Carlo error below 0.003.
inline constexpr double kKnownPrecision = 0.01;
inline constexpr double kKnownMean = 0.03;
inline constexpr double kKnownVariance = 0.05;
inline constexpr double kKnownPredictive = 0.008;

// Fused passes against the formulas in double, one element and step, in roundings of the state's
// type (2^-24 or 2^-53) relative to the sum of the sizes of what is added up: one for each
// operation on the way, coefficients included. At most 2, 6, 4, 2 and 4 were measured.
inline constexpr double kSampleRoundings = 3;
inline constexpr double kSumRoundings = 6;
inline constexpr double kHessRoundings = 6;
inline constexpr double kMomentumRoundings = 3;
inline constexpr double kMeanRoundings = 6;

}  // namespace ivon_test::tolerance
