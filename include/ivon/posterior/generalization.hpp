// SPDX-License-Identifier: Apache-2.0
//
// Estimates from the training examples how well a model does on examples that it has not seen. For
// each training example they estimate the prediction of a model that was trained without it
// (leave-one-out cross-validation), with the memory-perturbation equation of Nickl et al. 2023
// (arXiv 2310.19273) and without training again. No held-out data are needed, so the estimate can
// be watched during training and can choose options.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/output_variance.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/posterior/sensitivity.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// The leave-one-out estimates of a classifier, one for each example. The tensors are float64 and
/// on the device of the logits.
struct LeaveOneOut {
  /// [N], in nats, >= 0. The negative log-likelihood of the example's target given `logits`.
  at::Tensor loss;
  /// [N, C], f_i + V_i e_i: the estimated logits of the example without training on it.
  at::Tensor logits;
};

/// Returns the leave-one-out estimates of a classifier for training examples. With the logits f_i
/// at the posterior's mean, the error e_i = softmax(f_i) - onehot(y_i) and the covariance V_i of
/// the logits, the loss is -log softmax(f_i + V_i e_i) at y_i.
///
/// Arguments and errors are those of sensitivity(). For a data loader, call the function for each
/// batch. During training, pass Posterior::of(optimizer, *model).
template <class Module, class Forward>
LeaveOneOut leave_one_out(Posterior& q, Module& module, const Forward& forward,
                          const at::Tensor& inputs, const at::Tensor& targets,
                          const SensitivityOptions& options = {}) {
  const detail::ClassErrors errors(targets, inputs);
  const detail::OutputCovariance found =
      detail::output_covariance(q, module, forward, inputs, options.output_variance(),
                                detail::CovariancePart::kProduct, errors);
  const detail::PlainTensors plain;
  const at::Tensor logits = found.outputs + found.part;
  const at::Tensor log_p = at::log_softmax(logits, -1);
  return {-log_p.gather(1, errors.places(logits, 0)).squeeze(1), logits};
}

/// Returns the mean of leave_one_out().loss over the examples, in nats: an estimate of the loss on
/// unseen examples.
template <class Module, class Forward>
double leave_one_out_loss(Posterior& q, Module& module, const Forward& forward,
                          const at::Tensor& inputs, const at::Tensor& targets,
                          const SensitivityOptions& options = {}) {
  return leave_one_out(q, module, forward, inputs, targets, options)
      .loss.mean()
      .template item<double>();
}

/// The leave-one-out estimates of a regression, one for each example: float64 [N], on the device of
/// the outputs.
struct RegressionLeaveOneOut {
  /// The estimated prediction for the example without training on it, in the targets' unit.
  at::Tensor prediction;
  /// `prediction` minus the model's prediction: the sensitivity to the example, with its sign.
  at::Tensor deviation;
  /// v_i, the variance of the model's prediction under the posterior, in the targets' unit squared.
  at::Tensor variance;
};

/// Returns the leave-one-out estimates of a regression with one output and Gaussian noise of the
/// variance sigma^2 = `noise_variance` > 0. With the prediction f_i at the posterior's mean, its
/// variance v_i and e_i = (f_i - y_i) / sigma^2, the prediction without the example is
///   f_i + v_i e_i / (1 - v_i / sigma^2).
/// The formula is exact for a model that is linear in its parameters if v_i is: then the covariance
/// of the exact posterior is diagonal, as it is for orthogonal features.
///
/// forward(inputs [n, ...]) returns the predictions [n] or [n, 1]. `targets` is floating point [N].
/// The posterior must be that of the sum of (f_i - y_i)^2 / (2 sigma^2), so train with the mean of
/// these terms and with the number of examples as `ess`. All else is as for sensitivity().
///
/// Throws c10::Error as sensitivity() does, if `noise_variance` is not finite and > 0, and if an
/// example has v_i >= sigma^2, which a posterior that has seen the example cannot have.
template <class Module, class Forward>
RegressionLeaveOneOut leave_one_out_regression(Posterior& q, Module& module, const Forward& forward,
                                               const at::Tensor& inputs, const at::Tensor& targets,
                                               double noise_variance,
                                               const SensitivityOptions& options = {}) {
  TORCH_CHECK(noise_variance > 0 && std::isfinite(noise_variance),
              "ivon: noise_variance must be finite and > 0, got ", noise_variance,
              "; it is the variance of the targets around the predictions");
  TORCH_CHECK(targets.defined() && targets.is_floating_point() && targets.dim() == 1 &&
                  inputs.defined() && inputs.dim() >= 1 && targets.size(0) == inputs.size(0),
              "ivon: targets must be floating point [N], one for each input, got ",
              targets.defined() ? c10::str(targets.scalar_type(), " ", targets.sizes())
                                : "an undefined tensor",
              "; squeeze() or convert them");
  const auto column = [&forward](const at::Tensor& examples) -> at::Tensor {
    at::Tensor outputs = forward(examples);
    if (!outputs.defined() || outputs.dim() > 2) return outputs;  // the caller reports it
    TORCH_CHECK(outputs.dim() == 1 || (outputs.dim() == 2 && outputs.size(1) == 1),
                "ivon: forward must return one prediction for each example, [n] or [n, 1], got ",
                outputs.sizes(), "; use one model output at a time");
    return outputs.dim() == 1 ? outputs.unsqueeze(1) : outputs;
  };
  const auto none = [](const at::Tensor& outputs, int64_t) { return outputs; };
  const detail::OutputCovariance found =
      detail::output_covariance(q, module, column, inputs, options.output_variance(),
                                detail::CovariancePart::kDiagonal, none);
  const detail::PlainTensors plain;
  const at::Tensor f = found.outputs.squeeze(1);
  const at::Tensor v = found.part.squeeze(1);
  const auto largest = v.max().template item<double>();
  TORCH_CHECK(largest < noise_variance, "ivon: the variance of each prediction must be below the ",
              "noise_variance ", noise_variance, ", got ", largest,
              "; train on these examples with the loss (f - y)^2 / (2 noise_variance)");
  const at::Tensor y = targets.detach().to(f.options());
  const at::Tensor e = (f - y) / noise_variance;
  const at::Tensor deviation = v * e / (1 - v / noise_variance);
  return {f + deviation, deviation, v};
}

IVON_NAMESPACE_END
