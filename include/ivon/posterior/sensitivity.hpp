// SPDX-License-Identifier: Apache-2.0
//
// How much a classifier depends on each of its training examples, without training it again. For
// example i, with the logits f_i at the posterior's mean, p_i = softmax(f_i), the error
// e_i = p_i - onehot(y_i) and the covariance V_i of the logits (output_variance.hpp), training
// without the example would change the logits of this example by about V_i e_i. This is the
// memory-perturbation equation of Nickl et al. 2023 (arXiv 2310.19273). Examples with a high score
// are often atypical, ambiguous or mislabelled.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/softmax.h>
#include <c10/util/Exception.h>
#include <torch/arg.h>

#include <cstdint>
#include <functional>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/output_variance.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN

/// How sensitivity() makes one number of an example's error e, probabilities p and covariance V.
enum class SensitivityScore {
  /// The Euclidean norm of V e: by how much the logits of the example would change.
  kDeviation,
  /// The sum over the classes k of |e_k p_k (1 - p_k) V_kk|: by how much the probabilities would
  /// change if the logits were independent.
  kVariance,
};

/// Options of sensitivity() and of the leave-one-out functions.
struct SensitivityOptions {
  /// The score; the leave-one-out functions do not use it.
  TORCH_ARG(SensitivityScore, score) = SensitivityScore::kDeviation;
  /// The number of posterior samples of the estimate, >= 2, or 0 for exact values.
  /// output_variance.hpp tells the costs and the error.
  TORCH_ARG(int64_t, samples) = 0;
  /// The number of examples that an estimate forwards together, >= 1; it bounds the memory.
  TORCH_ARG(int64_t, batch_size) = 256;
  /// Called as progress(done, total), as OutputVarianceOptions::progress is.
  TORCH_ARG(std::function<void(int64_t, int64_t)>, progress);

 public:
  /// Returns the options without the score.
  OutputVarianceOptions output_variance() const {
    return OutputVarianceOptions().samples(samples_).batch_size(batch_size_).progress(progress_);
  }
};

/// What sensitivity() returns. All tensors are float64 and on the device of the logits.
struct Sensitivity {
  /// [N], >= 0. A higher score means that the model depends more on the example.
  at::Tensor score;
  /// [N, C], the logits at the posterior's mean.
  at::Tensor logits;
  /// [N, C], V e, for the score kDeviation; else undefined. logits + deviation are about the logits
  /// of a model that was trained without the example.
  at::Tensor deviation;
  /// [N, C], the variances V_kk of the logits, for the score kVariance; else undefined.
  at::Tensor variance;
};

namespace detail {

/// The errors softmax(logits) - onehot(targets) of N classified examples.
class ClassErrors {
 public:
  /// `targets` are class indices, int64 [N].
  ClassErrors(const at::Tensor& targets, const at::Tensor& inputs) : targets_(targets) {
    TORCH_CHECK(targets.defined() && targets.scalar_type() == at::kLong && targets.dim() == 1,
                "ivon: targets must be class indices, Long [N], got ",
                targets.defined() ? c10::str(targets.scalar_type(), " ", targets.sizes())
                                  : "an undefined tensor",
                "; pass one class index for each example");
    if (!inputs.defined() || inputs.dim() == 0 || inputs.size(0) == 0) return;  // reported later
    TORCH_CHECK(targets.size(0) == inputs.size(0), "ivon: targets must be one for each of the ",
                inputs.size(0), " inputs, got ", targets.size(0), "; pass a batch's own targets");
    least_ = targets.min().item<int64_t>();
    largest_ = targets.max().item<int64_t>();
  }

  /// Returns the errors [n, C] of the examples from `begin`, for their logits, float64 [n, C].
  at::Tensor operator()(const at::Tensor& logits, int64_t begin) const {
    const int64_t classes = logits.size(1);
    TORCH_CHECK(classes >= 2, "ivon: forward must return logits of at least 2 classes, got ",
                logits.sizes(),
                "; for a single sigmoid output z return "
                "torch::cat({torch::zeros_like(z), z}, -1)");
    TORCH_CHECK(least_ >= 0 && largest_ < classes, "ivon: targets must be from 0 to ", classes - 1,
                " for ", classes, " classes, got ", least_ < 0 ? least_ : largest_,
                "; leave out examples without a class");
    const at::Tensor index = places(logits, begin);
    return at::softmax(logits, -1)
        .scatter_add_(1, index, at::full({}, -1.0, logits.options()).expand_as(index));
  }

  /// Returns the targets [n, 1] of the examples of `logits` [n, C], on their device.
  at::Tensor places(const at::Tensor& logits, int64_t begin) const {
    return targets_.narrow(0, begin, logits.size(0)).to(logits.device()).unsqueeze(1);
  }

 private:
  const at::Tensor& targets_;
  int64_t least_ = 0, largest_ = 0;
};

}  // namespace detail

/// Returns how sensitive a classifier is to each of the given examples, which should be training
/// examples.
///
/// forward(inputs [n, ...]) returns logits [n, C] with C >= 2. `inputs` has the shape [N, ...] and
/// `targets` are class indices 0 to C - 1, int64 [N]. What output_variance() says of forward, of
/// the module, of `q` and of errors holds here, too; targets of another type, shape or range are
/// also errors. Examples whose logits are not finite get the score NaN.
///
/// The posterior must be that of the sum of the examples' cross-entropies, so `ess` must be the
/// number of training examples. The examples do not influence each other: for a data loader, call
/// the function for each batch and concatenate. The scores of different calls compare as long as
/// `q` is the same. At any time during training, pass Posterior::of(optimizer, *model); with
/// sample_on_step, keep a guard of optimizer.mean_params() alive during the call.
template <class Module, class Forward>
Sensitivity sensitivity(Posterior& q, Module& module, const Forward& forward,
                        const at::Tensor& inputs, const at::Tensor& targets,
                        const SensitivityOptions& options = {}) {
  const bool deviation = options.score() == SensitivityScore::kDeviation;
  const detail::ClassErrors errors(targets, inputs);
  const detail::OutputCovariance found = detail::output_covariance(
      q, module, forward, inputs, options.output_variance(),
      deviation ? detail::CovariancePart::kProduct : detail::CovariancePart::kDiagonal, errors);
  const detail::PlainTensors plain;
  if (deviation) {
    return {at::linalg_vector_norm(found.part, 2, at::IntArrayRef{-1}), found.outputs, found.part,
            at::Tensor()};
  }
  const at::Tensor p = at::softmax(found.outputs, -1);
  const at::Tensor terms = errors(found.outputs, 0) * p * (1 - p) * found.part;
  return {terms.abs().sum(-1), found.outputs, at::Tensor(), found.part};
}

IVON_NAMESPACE_END
