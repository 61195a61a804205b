// SPDX-License-Identifier: Apache-2.0
#include "steps.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "common/clip_gradient.hpp"
#include "common/data/mix.hpp"

namespace image_classification {
namespace {

// The inputs and targets of a step.
struct Examples {
  torch::Tensor inputs;   // [n, channels, side, side], standardised
  torch::Tensor targets;  // int64 [n], or probabilities [n, classes] where images are mixed
};

// Whether a step with n images can be made. Perhaps no image of a batch can be read. And one image
// is too few for batch norm in training, which throws where its map has one pixel, as the last one
// of a ResNet-18 with inputs of 32 pixels, because a variance needs two values; where it does not
// throw, the variance is a poor one. With --batch 1 the user wants it so.
bool is_enough(const Stepping& stepping, int64_t n) {
  if (n == 1 && stepping.s.training.batch > 1) return !has_batch_norm(*stepping.network.model);
  return n > 0;
}

// Waits for the loader's next batch. Nothing if no step can be made with it.
std::optional<Examples> next_examples(const Stepping& stepping) {
  const std::optional<examples::ImageBatch> batch = stepping.loader.next();
  if (!batch) throw std::logic_error("the loader must have a batch for each step");
  if (!is_enough(stepping, batch->rows.size(0))) return {};
  const Network& network = stepping.network;
  Examples result{network.inputs(batch->images), batch->targets.to(network.device)};
  const AugmentationSettings& s = stepping.s.augmentation;
  if (s.mixup > 0 || s.cutmix > 0) {
    // The number of the first example makes the choice another one in every batch.
    examples::ExampleRandom random(static_cast<uint64_t>(stepping.seed), 0,
                                   static_cast<uint64_t>(batch->rows[0].item<int64_t>()));
    const auto classes = static_cast<int64_t>(network.about.classes.size());
    const examples::MixSettings settings = {s.mixup, s.cutmix, stepping.s.training.label_smoothing};
    const examples::Mixed mixed =
        examples::mix(result.inputs, result.targets, classes, settings, random);
    return Examples{mixed.inputs, mixed.targets};
  }
  return result;
}

torch::Tensor loss_of(const Stepping& stepping, const Examples& examples) {
  const bool mixed = examples.targets.is_floating_point();  // smoothed already
  return torch::cross_entropy_loss(stepping.network.logits(examples.inputs), examples.targets,
                                   /*weight=*/{}, at::Reduction::Mean, /*ignore_index=*/-100,
                                   mixed ? 0 : stepping.s.training.label_smoothing);
}

// Adds the gradient of the mean loss over all examples and returns that loss. A forward pass takes
// micro_batch of them, so that the activations fit the memory, and one more where only one would be
// left, which is too few for batch norm.
torch::Tensor backward(const Stepping& stepping, const Examples& examples) {
  const int64_t n = examples.inputs.size(0);
  const int64_t wanted = stepping.s.training.micro_batch;
  const int64_t part = wanted > 0 ? std::min(wanted, n) : n;
  torch::Tensor total = torch::zeros({}, examples.inputs.device());
  for (int64_t first = 0, end = 0; first < n; first = end) {
    end = std::min(first + part, n);
    if (part > 1 && end == n - 1) end = n;
    const Examples some{examples.inputs.slice(0, first, end),
                        examples.targets.slice(0, first, end)};
    const double share = static_cast<double>(end - first) / static_cast<double>(n);
    const torch::Tensor loss = loss_of(stepping, some) * share;
    loss.backward();
    total += loss.detach();
  }
  return total;
}

void clip_gradient(const Stepping& stepping) {
  const double bound = stepping.s.training.gradient_clip;
  if (bound > 0) examples::clip_gradient_norm(stepping.network.model->parameters(), bound);
}

}  // namespace

examples::TrainingStep plain_step(const Stepping& stepping) {
  return [stepping](const torch::Tensor& /*rows*/) {
    const std::optional<Examples> examples = next_examples(stepping);
    if (!examples) return torch::zeros({}, stepping.network.device);
    stepping.optimizer.zero_grad();
    torch::Tensor loss = backward(stepping, *examples);
    clip_gradient(stepping);
    stepping.optimizer.step();
    return loss;
  };
}

examples::TrainingStep scoped_step(const Stepping& stepping) {
  ivon::IVON<>& ivon = *examples::as_ivon(stepping.optimizer);
  return [stepping, &ivon](const torch::Tensor& /*rows*/) {
    const std::optional<Examples> examples = next_examples(stepping);
    torch::Tensor loss = torch::zeros({}, stepping.network.device);
    if (!examples) return loss;
    const int64_t samples = stepping.s.training.mc_samples;
    for (int64_t i = 0; i < samples; ++i) {
      ivon.zero_grad();
      {
        auto sample = ivon.sampled_params();  // weights drawn from the posterior
        loss += backward(stepping, *examples) / static_cast<double>(samples);
      }  // the posterior mean again
      clip_gradient(stepping);
    }
    ivon.step();
    return loss;
  };
}

}  // namespace image_classification
