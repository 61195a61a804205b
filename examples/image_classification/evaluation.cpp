// SPDX-License-Identifier: Apache-2.0
#include "evaluation.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <ivon/posterior/batch_norm.hpp>
#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/predict.hpp>
#include <stdexcept>

#include "common/data/image_views.hpp"
#include "common/table.hpp"

namespace image_classification {
namespace {

constexpr int64_t kBatch = 100;             // test images of a forward pass
constexpr int64_t kBatchNormImages = 5000;  // from which statistics are estimated again

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

// Adds the predictions of one batch to the parts, which are in rising order of their samples.
void predict_batch(const Network& network, std::optional<ivon::Posterior>& posterior,
                   const torch::Tensor& inputs, std::vector<Parts>& parts) {
  ivon::PredictionAccumulator average;
  for (Parts& part : parts) {
    if (part.samples == 0) {
      part.add(ivon::prediction_from_logits(network.logits(inputs).unsqueeze(0)));
      continue;
    }
    while (average.count() < part.samples) {
      const auto sample = posterior->sampled_params(*network.model);
      average.add(network.logits(inputs));
    }
    part.add(average.result());
  }
}

bool has_batch_norm(const torch::nn::Module& module) {
  for (const auto& buffer : module.named_buffers()) {
    const std::string& name = buffer.key();
    if (name.size() >= 12 && name.compare(name.size() - 12, 12, "running_mean") == 0) return true;
  }
  return false;
}

std::vector<torch::Tensor> copies_of_buffers(const torch::nn::Module& module) {
  std::vector<torch::Tensor> copies;
  for (const torch::Tensor& buffer : module.buffers()) copies.push_back(buffer.clone());
  return copies;
}

// The images of some batches, evenly spread over the training images and augmented as in training.
std::vector<torch::Tensor> training_images(const DataSets& data,
                                           const examples::ImageTransform& transform,
                                           const DataSettings& s) {
  const auto some = examples::evenly_spread(data.train, kBatchNormImages);
  examples::LoaderSettings settings;
  settings.batch = kBatch;
  settings.workers = s.workers > 0 ? s.workers : examples::usual_workers();
  examples::ImageLoader loader(*some, transform, settings);
  // An order of its own, because in their own order a batch would have few classes.
  loader.start(0,
               torch::randperm(some->size(), at::make_generator<at::CPUGeneratorImpl>(uint64_t{1}),
                               torch::kLong));
  std::vector<torch::Tensor> batches;
  while (const auto batch = loader.next()) batches.push_back(batch->images);
  if (batches.size() > 1 && batches.back().size(0) < kBatch) batches.pop_back();
  return batches;
}

// The AUROC of the probability of the first class, where there are two classes and images of both.
// That of the second class's probability is the same.
std::optional<double> auroc_of_two_classes(const Predicted& test) {
  if (test.probs.size(1) != 2) return {};
  const torch::Tensor is_first = test.targets == 0;
  if (is_first.all().item<bool>() || !is_first.any().item<bool>()) return {};
  return ivon::auroc(test.probs.select(1, 0), is_first);
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
                                   const std::vector<int64_t>& counts) {
  const torch::NoGradGuard no_grad;
  std::vector<Parts> parts;
  for (const int64_t count : counts) parts.push_back({count, {}, {}, {}});
  std::vector<torch::Tensor> targets, rows;
  const auto loader = test_loader(data, network.about.crop(), network.about.side, s, kBatch);
  while (const auto batch = loader->next()) {
    predict_batch(network, posterior, network.inputs(batch->images), parts);
    targets.push_back(batch->targets);
    rows.push_back(batch->rows);
  }
  std::vector<Predicted> all;
  for (const Parts& part : parts) {
    all.push_back({part.samples, torch::cat(part.probs), torch::cat(part.entropy),
                   torch::cat(part.mutual_information), torch::cat(targets), torch::cat(rows)});
  }
  return all;
}

Scores score(const Predicted& test, const Predicted* outside) {
  Scores scores;
  scores.accuracy = ivon::accuracy(test.probs, test.targets);
  scores.nll = ivon::nll(test.probs, test.targets);
  scores.ece = ivon::ece(test.probs, test.targets);
  scores.brier = ivon::brier(test.probs, test.targets);
  scores.class_auroc = auroc_of_two_classes(test);
  if (outside != nullptr) {
    const torch::Tensor doubt = torch::cat({test.entropy, outside->entropy});
    const torch::Tensor is_outside = torch::cat({torch::zeros_like(test.entropy, torch::kBool),
                                                 torch::ones_like(outside->entropy, torch::kBool)});
    scores.auroc = ivon::auroc(doubt, is_outside);
  }
  return scores;
}

Evaluation evaluate(const Network& network, std::optional<ivon::Posterior>& posterior,
                    const DataSets& data, const examples::ImageData* outside,
                    const examples::ImageTransform& transform, const DataSettings& s,
                    int64_t samples) {
  const auto counts = sample_counts(posterior.has_value(), samples);
  Evaluation evaluation;
  const auto add_rows = [&](const std::string& batch_norm) {
    const auto test = predict_all(network, posterior, *data.test, s, counts);
    std::vector<Predicted> others;
    if (outside != nullptr) others = predict_all(network, posterior, *outside, s, counts);
    for (size_t i = 0; i < counts.size(); ++i) {
      evaluation.rows.push_back(
          {counts[i], batch_norm, score(test[i], others.empty() ? nullptr : &others[i])});
    }
    return test;
  };
  const bool normalised = has_batch_norm(*network.model);
  const auto test = add_rows(normalised ? "as trained" : "none");
  evaluation.mean = test.front();
  evaluation.averaged = test.back();
  if (normalised) {
    const auto kept = copies_of_buffers(*network.model);
    ivon::reestimate_batch_norm(
        *network.model, training_images(data, transform, s),
        [&](const torch::Tensor& images) { return network.logits(network.inputs(images)); });
    add_rows("at the mean");
    const torch::NoGradGuard no_grad;
    const auto buffers = network.model->buffers();
    for (size_t i = 0; i < buffers.size(); ++i) buffers[i].copy_(kept[i]);
  }
  return evaluation;
}

examples::Json score_at_mean(const Network& network, ivon::IVON<>* ivon,
                             std::optional<examples::WeightAverage>& average, const Run& run) {
  std::optional<ivon::MeanParams> mean;
  std::optional<examples::WeightAverage::Scope> averaged;
  if (ivon != nullptr) mean.emplace(ivon->mean_params());
  if (average) averaged.emplace(*average);
  std::optional<ivon::Posterior> none;
  const auto some = examples::evenly_spread(run.data.test, run.s.measured);
  const Scores scores = score(predict_all(network, none, *some, run.s.data, {0}).front(), nullptr);
  return {{"test_accuracy", scores.accuracy}, {"test_nll", scores.nll}};
}

const Row& Evaluation::row(int64_t samples, const std::string& batch_norm) const {
  for (const Row& row : rows) {
    if (row.samples == samples && (row.batch_norm == batch_norm || row.batch_norm == "none")) {
      return row;
    }
  }
  throw std::logic_error(fmt::format("there is no row of {} samples", samples));
}

examples::Json Scores::to_json() const {
  examples::Json json = {{"accuracy", accuracy}, {"nll", nll}, {"ece", ece}, {"brier", brier}};
  if (class_auroc) json["class_auroc"] = *class_auroc;
  if (auroc) json["auroc"] = *auroc;
  return json;
}

examples::Json Evaluation::to_json() const {
  examples::Json json = examples::Json::array();
  for (const Row& row : rows) {
    json.push_back({{"samples", row.samples}, {"batch_norm", row.batch_norm}});
    json.back().update(row.scores.to_json());
  }
  return json;
}

std::string Evaluation::table() const {
  const auto cell = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.4f}", *value) : "-";
  };
  const bool two_classes = rows.front().scores.class_auroc.has_value();
  std::vector<std::string> header = {"weights", "batch norm", "acc. %", "NLL", "ECE", "Brier"};
  if (two_classes) header.push_back("class AUROC");
  header.push_back("AUROC");
  std::vector<std::vector<std::string>> lines;
  for (const Row& row : rows) {
    const Scores& s = row.scores;
    lines.push_back({row.samples == 0 ? "at the mean" : fmt::format("{} samples", row.samples),
                     row.batch_norm, fmt::format("{:.2f}", 100 * s.accuracy), cell(s.nll),
                     cell(s.ece), cell(s.brier)});
    if (two_classes) lines.back().push_back(cell(s.class_auroc));
    lines.back().push_back(cell(s.auroc));
  }
  return examples::format_table(header, lines);
}

}  // namespace image_classification
