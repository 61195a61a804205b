// SPDX-License-Identifier: Apache-2.0
// Computes the statistics of batch-norm layers anew, for the weights that a module holds now.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>

#include <cstdint>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// While it lives, the batch-norm layers of a module average their statistics from the beginning,
/// and all its other parts are in evaluation mode. The destructor gives all modes and momenta back,
/// and without keep() the old statistics as well.
class BatchNormAverages {
 public:
  /// Keeps a reference to the module. Without layers that have statistics, changes nothing.
  explicit BatchNormAverages(torch::nn::Module& module) {
    add(module);
    // The module may lie on the stack, where it cannot be part of this list.
    for (const std::shared_ptr<torch::nn::Module>& part : module.modules(/*include_self=*/false)) {
      add(*part);
    }
    if (layers_.empty()) return;
    module.eval();
    for (Layer& layer : layers_) {
      layer.module->train();
      layer.options->momentum() = std::nullopt;  // LibTorch then averages over all batches
      layer.mean.zero_();
      layer.variance.fill_(1);
      layer.batches.zero_();
    }
  }
  ~BatchNormAverages() {
    const PlainTensors plain;
    for (Layer& layer : layers_) {
      layer.options->momentum() = layer.old_momentum;
      if (keep_ && layer.batches.item<int64_t>() > 0) continue;
      layer.mean.copy_(layer.old_mean);
      layer.variance.copy_(layer.old_variance);
      layer.batches.copy_(layer.old_batches);
    }
    if (layers_.empty()) return;
    // train() also sets the modes of all parts below, which come later in the list.
    for (const auto& [part, training] : modes_) part->train(training);
  }
  BatchNormAverages(const BatchNormAverages&) = delete;
  BatchNormAverages& operator=(const BatchNormAverages&) = delete;

  /// Whether there is no layer with statistics.
  bool empty() const { return layers_.empty(); }
  /// Keeps the new statistics of the layers that have seen a batch.
  void keep() { keep_ = true; }

 private:
  struct Layer {
    torch::nn::Module* module;
    torch::nn::BatchNormOptions* options;
    at::Tensor mean, variance, batches;  // the layer's buffers
    at::Tensor old_mean, old_variance, old_batches;
    std::optional<double> old_momentum;
  };

  void add(torch::nn::Module& part) {
    modes_.emplace_back(&part, part.is_training());
    add_layer<torch::nn::BatchNorm1dImpl>(part);
    add_layer<torch::nn::BatchNorm2dImpl>(part);
    add_layer<torch::nn::BatchNorm3dImpl>(part);
  }
  // A layer that the module has in several places is listed once.
  template <class BatchNorm>
  void add_layer(torch::nn::Module& part) {
    auto* layer = dynamic_cast<BatchNorm*>(&part);
    if (layer == nullptr || !layer->running_mean.defined() || !known_.insert(&part).second) return;
    layers_.push_back({layer, &layer->options, layer->running_mean, layer->running_var,
                       layer->num_batches_tracked, layer->running_mean.clone(),
                       layer->running_var.clone(), layer->num_batches_tracked.clone(),
                       layer->options.momentum()});
  }

  std::vector<std::pair<torch::nn::Module*, bool>> modes_;  // whether each part is training
  std::unordered_set<const torch::nn::Module*> known_;
  std::vector<Layer> layers_;
  bool keep_ = false;
};

}  // namespace detail

/// Sets the running mean and variance of every BatchNorm1d, BatchNorm2d and BatchNorm3d layer to
/// their average over the batches, at the weights that the module holds now. The statistics that
/// training leaves belong to the weights of its last steps, so predictions at other weights need
/// new ones: call this at the posterior mean, or within the scope of a sample for that sample.
///
/// `batches` is a range, such as a data loader `*loader`, with at least one batch, and
/// `forward(batch)` runs the module on one of them, without gradients. Only batch-norm layers are
/// in training mode meanwhile, so dropout is off. Each batch counts the same: the mean is the
/// average of the batches' means, and the variance that of their unbiased variances, as LibTorch
/// computes them with momentum = nullopt; num_batches_tracked is the number of averaged batches.
///
/// Modes and momenta are afterwards as they were, also after an exception, which gives the old
/// statistics back as well. Layers that `forward` does not reach keep theirs. Layers without
/// running statistics are left alone, and without any layer nothing is run. The statistics stay
/// when a sample's scope ends, because they are buffers, not parameters.
///
/// Throws c10::Error if there is no batch. What `forward` or the range throws passes through.
template <class Batches, class Forward>
void reestimate_batch_norm(torch::nn::Module& module, Batches&& batches, Forward&& forward) {
  const detail::PlainTensors plain;
  detail::BatchNormAverages averages(module);
  if (averages.empty()) return;
  int64_t count = 0;
  for (auto&& batch : batches) {
    forward(batch);
    ++count;
  }
  TORCH_CHECK(count > 0,
              "ivon: batches must have at least 1 batch, got 0; a loader that was read to its end "
              "must be made anew");
  averages.keep();
}

IVON_NAMESPACE_END
