// SPDX-License-Identifier: Apache-2.0
#include "prediction.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <functional>
#include <ivon/posterior/predict.hpp>
#include <stdexcept>

#include "common/progress.hpp"
#include "data.hpp"

namespace image_classification {
namespace {

// Gathers the predictions of the batches of a data set.
struct Parts {
  int64_t samples;
  std::vector<torch::Tensor> probs, entropy, mutual_information;

  void add(const ivon::Prediction& p) {
    probs.push_back(p.probs.cpu());
    entropy.push_back(p.entropy.cpu());
    mutual_information.push_back(p.mutual_information.cpu());
  }
};

// Adds the predictions of one batch to the parts, which are in rising order of their samples. Calls
// `progress` with the share of the samples that are done.
void predict_batch(const Network& network, std::optional<ivon::Posterior>& posterior,
                   const torch::Tensor& inputs, std::vector<Parts>& parts,
                   const std::function<void(double share)>& progress) {
  ivon::PredictionAccumulator average;
  const auto most = static_cast<double>(parts.back().samples);
  for (Parts& part : parts) {
    if (part.samples == 0) {
      part.add(ivon::prediction_from_logits(network.logits(inputs).unsqueeze(0)));
      continue;
    }
    while (average.count() < part.samples) {
      const auto sample = posterior->sampled_params(*network.model);
      average.add(network.logits(inputs));
      progress(static_cast<double>(average.count()) / most);
    }
    part.add(average.result());
  }
}

}  // namespace

std::vector<int64_t> sample_counts(bool has_posterior, int64_t most) {
  std::vector<int64_t> counts = {0};
  if (!has_posterior) return counts;
  for (int64_t count = 1; count < most; count *= 4) counts.push_back(count);
  counts.push_back(most);
  return counts;
}

std::vector<Predicted> predict_all(const Network& network,
                                   std::optional<ivon::Posterior>& posterior,
                                   const examples::ImageData& data, const DataSettings& s,
                                   const std::vector<int64_t>& counts, const std::string& label) {
  const torch::NoGradGuard no_grad;
  std::vector<Parts> parts;
  for (const int64_t count : counts) parts.push_back({count, {}, {}, {}});
  std::vector<torch::Tensor> targets, rows;
  const auto loader = test_loader(data, network.about.crop(), network.about.side, s, kTestBatch);
  examples::CountProgress progress(label, data.size(), "images");
  int64_t done = 0;
  while (const auto batch = loader->next()) {
    const int64_t n = batch->rows.size(0);
    if (n == 0) continue;  // none of them can be read
    predict_batch(network, posterior, network.inputs(batch->images), parts, [&](double share) {
      progress.show(static_cast<double>(done) + share * static_cast<double>(n));
    });
    targets.push_back(batch->targets);
    rows.push_back(batch->rows);
    done += n;
    progress.show(static_cast<double>(done));
  }
  progress.end();
  if (rows.empty()) {
    throw std::runtime_error(fmt::format(
        "{}: at least 1 image must be readable, but of {} none is, the first being {}; the lines "
        "above say why; repair them or name others",
        label, data.size(), data.size() > 0 ? data.name(0) : "none"));
  }
  std::vector<Predicted> all;
  for (const Parts& part : parts) {
    all.push_back({part.samples, torch::cat(part.probs), torch::cat(part.entropy),
                   torch::cat(part.mutual_information), torch::cat(targets), torch::cat(rows)});
  }
  return all;
}

}  // namespace image_classification
