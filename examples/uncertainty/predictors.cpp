// SPDX-License-Identifier: Apache-2.0
#include "predictors.hpp"

#include <torch/torch.h>

#include <cstddef>
#include <utility>

namespace uncertainty {
namespace {

constexpr int64_t kImagesAtOnce = 500;  // few enough for the activations to stay in the cache

ivon::Prediction on_cpu(ivon::Prediction p) {
  for (torch::Tensor* field :
       {&p.probs, &p.entropy, &p.mutual_information, &p.expected_entropy, &p.confidence}) {
    *field = field->cpu();
  }
  return p;
}

// The logits of `images` in the pass number `pass`.
using Pass = std::function<torch::Tensor(const torch::Tensor& images, int64_t pass)>;

ivon::Prediction averaged_passes(const torch::Tensor& images, int64_t passes, const Pass& logits) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> of_each_pass;
  for (int64_t pass = 0; pass < passes; ++pass) {
    std::vector<torch::Tensor> parts;
    for (const torch::Tensor& part : images.split(kImagesAtOnce)) {
      parts.push_back(logits(part, pass));
    }
    of_each_pass.push_back(torch::cat(parts));
  }
  return on_cpu(ivon::prediction_from_logits(torch::stack(of_each_pass)));
}

// Dropout is on while this exists.
class DropoutScope {
 public:
  explicit DropoutScope(examples::ConvNet network) : network_(std::move(network)) {
    network_->train();
  }
  ~DropoutScope() { network_->eval(); }
  DropoutScope(const DropoutScope&) = delete;
  DropoutScope& operator=(const DropoutScope&) = delete;

 private:
  examples::ConvNet network_;
};

}  // namespace

Predictor networks_predictor(std::vector<examples::ConvNet> networks, bool bf16) {
  return [networks = std::move(networks), bf16](const torch::Tensor& images) mutable {
    return averaged_passes(images, static_cast<int64_t>(networks.size()),
                           [&](const torch::Tensor& part, int64_t pass) {
                             return logits(networks[static_cast<size_t>(pass)], part, bf16);
                           });
  };
}

Predictor mc_dropout_predictor(examples::ConvNet network, int64_t samples, int64_t seed,
                               bool bf16) {
  return [network = std::move(network), samples, seed, bf16](const torch::Tensor& images) mutable {
    torch::manual_seed(static_cast<uint64_t>(seed));
    const DropoutScope scope(network);
    return averaged_passes(images, samples, [&](const torch::Tensor& part, int64_t /*pass*/) {
      return logits(network, part, bf16);
    });
  };
}

Predictor posterior_predictor(ivon::Posterior posterior, examples::ConvNet network, int64_t samples,
                              int64_t seed, bool bf16) {
  return [posterior = std::move(posterior), network = std::move(network), samples, seed,
          bf16](const torch::Tensor& images) mutable {
    posterior.manual_seed(static_cast<uint64_t>(seed));
    const auto forward = [&](const torch::Tensor& part) { return logits(network, part, bf16); };
    return on_cpu(
        ivon::predict_batches(posterior, *network, images.split(kImagesAtOnce), forward, samples));
  };
}

}  // namespace uncertainty
