// SPDX-License-Identifier: Apache-2.0
//
// Predicts by averaging a classifier's probabilities over the posterior, as Shen et al. 2024 (arXiv
// 2402.17641) do: one batch, or a whole data set. The posterior is that of an optimizer in training
// or a Posterior. prediction.hpp says what is computed.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <ivon/posterior/internal/draws.hpp>
#include <ivon/posterior/predict_options.hpp>
#include <ivon/posterior/prediction.hpp>
#include <ivon/version.hpp>
#include <type_traits>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

template <class Module>
using IfModule = std::void_t<decltype(std::declval<Module&>().named_parameters())>;

/// Tells when averaged probabilities have settled, as PredictOptions::tolerance() describes.
class SettledRule {
 public:
  explicit SettledRule(double tolerance) : tolerance_(tolerance) {}

  /// Whether the averages of `samples` samples are settled. `all` are the averages of all batches.
  bool operator()(int64_t samples, const std::vector<PredictionAccumulator>& all) {
    if (tolerance_ <= 0 || samples < next_) return false;
    bool settled = !before_.empty();
    std::vector<at::Tensor> now;
    now.reserve(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      now.push_back(all[i].probs());
      settled = settled && (now[i].numel() == 0 ||
                            (now[i] - before_[i]).abs().max().item<double>() <= tolerance_);
    }
    before_ = std::move(now);
    next_ = 2 * samples;
    return settled;
  }

 private:
  double tolerance_;
  int64_t next_ = 2;
  std::vector<at::Tensor> before_;
};

template <class Draws, class Forward>
Prediction predict_one(Draws& draws, const Forward& forward, const PredictOptions& options) {
  std::vector<PredictionAccumulator> average(1);
  SettledRule settled(options.tolerance());
  for_each_sample(
      draws, options, [&] { average[0].add(forward()); },
      [&](int64_t samples) { return settled(samples, average); });
  return average[0].result();
}

inline Prediction joined(const std::vector<Prediction>& parts) {
  TORCH_CHECK(!parts.empty(), "ivon: the data must have at least 1 batch, got 0; check the loader");
  const auto join = [&](at::Tensor Prediction::*field) {
    std::vector<at::Tensor> tensors;
    tensors.reserve(parts.size());
    for (const Prediction& part : parts) tensors.push_back(part.*field);
    return at::cat(tensors);
  };
  Prediction all{join(&Prediction::probs), join(&Prediction::entropy),
                 join(&Prediction::mutual_information)};
  all.expected_entropy = join(&Prediction::expected_entropy);
  all.confidence = join(&Prediction::confidence);
  all.samples = parts.front().samples;
  return all;
}

}  // namespace detail

/// Averages the prediction of `forward` over draws of the weights from the optimizer's posterior.
///
/// `optimizer` is an ivon::IVON or an object of another type with sampled_params() and
/// mean_params(). `forward` is called without arguments once per sample, while the module holds
/// that sample and gradients are off. It returns logits [..., C], not probabilities, of the same
/// shape every time. If the model has dropout or batch normalisation, call the model's eval()
/// first, or use the overload that is given the module.
///
/// Training is not affected. Predictions draw from a noise stream of their own. When predict()
/// returns or throws, the module holds what it held before.
///
/// Throws c10::Error if an option is out of range, if sampled_params() refuses (for instance
/// because a sample is shown already), or if the logits are not as PredictionAccumulator::add()
/// needs them. What `forward` throws passes through.
template <class Optimizer, class Forward>
Prediction predict(Optimizer& optimizer, Forward&& forward, const PredictOptions& options = {}) {
  options.validate();
  const c10::NoGradGuard no_grad;
  detail::OptimizerDraws<Optimizer> draws(optimizer);
  return detail::predict_one(draws, forward, options);
}

/// Averages the prediction of `forward` over draws of a module's weights from `source`, which is a
/// Posterior or an optimizer as in the other overload. The module is a torch::nn::Module or a
/// torch::jit::Module; it is in evaluation mode meanwhile, and each of its parts is given its mode
/// back. Otherwise as the other overload.
template <class Source, class Module, class Forward, class = detail::IfModule<Module>>
Prediction predict(Source& source, Module& module, Forward&& forward,
                   const PredictOptions& options = {}) {
  options.validate();
  const c10::NoGradGuard no_grad;
  const detail::EvaluationMode<Module> evaluating(module);
  auto draws = detail::DrawsOf<Source, Module>::make(source, module);
  return detail::predict_one(draws, forward, options);
}

/// Averages the predictions for a whole data set. `batches` is what a range-based for loop walks
/// over, such as a vector or a LibTorch data loader (`*loader`), in the same order every time.
/// `forward(batch)` returns the logits [n, ..., C] of a batch. Returns the prediction for all
/// examples, joined along the first dimension.
///
/// The samples are the outer loop: all batches are predicted with the same samples, and the data
/// are read once per sample. With the option `fresh_samples` every batch has samples of its own,
/// and the data are read once. Memory: the results, [N, C] numbers. Source, module and errors are
/// those of predict(); in addition it throws c10::Error if there is no batch, or if the number of
/// batches changes.
template <class Source, class Module, class Batches, class Forward>
Prediction predict_batches(Source& source, Module& module, Batches&& batches, Forward&& forward,
                           const PredictOptions& options = {}) {
  options.validate();
  const c10::NoGradGuard no_grad;
  const detail::EvaluationMode<Module> evaluating(module);
  auto draws = detail::DrawsOf<Source, Module>::make(source, module);
  std::vector<Prediction> parts;
  if (options.fresh_samples()) {
    for (auto&& batch : batches) {
      parts.push_back(detail::predict_one(
          draws, [&] { return forward(batch); }, options));
    }
    return detail::joined(parts);
  }
  std::vector<PredictionAccumulator> averages;
  detail::SettledRule settled(options.tolerance());
  const auto visit = [&] {
    const bool first = averages.empty();
    size_t place = 0;
    for (auto&& batch : batches) {
      if (first) averages.emplace_back();
      TORCH_CHECK(place < averages.size(), "ivon: the data must have the same batches every time, ",
                  "but there are more than before; use a loader with a fixed order");
      averages[place++].add(forward(batch));
    }
    TORCH_CHECK(place == averages.size(), "ivon: the data must have the same batches every time, ",
                "but there are fewer than before; use a loader with a fixed order");
  };
  detail::for_each_sample(draws, options, visit,
                          [&](int64_t samples) { return settled(samples, averages); });
  for (const PredictionAccumulator& average : averages) parts.push_back(average.result());
  return detail::joined(parts);
}

IVON_NAMESPACE_END
