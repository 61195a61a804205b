// SPDX-License-Identifier: Apache-2.0
#include "evaluation.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <ivon/posterior/batch_norm.hpp>
#include <ivon/posterior/metrics.hpp>
#include <limits>
#include <stdexcept>

#include "common/data/image_views.hpp"
#include "common/table.hpp"

namespace image_classification {
namespace {

constexpr int64_t kBatchNormImages = 5000;  // from which statistics are estimated again

std::vector<torch::Tensor> copies_of_buffers(const torch::nn::Module& module) {
  std::vector<torch::Tensor> copies;
  for (const torch::Tensor& buffer : module.buffers()) copies.push_back(buffer.clone());
  return copies;
}

// Batches of some training images, cropped as test images are, which a range-based for loop reads
// once. An incomplete last batch is left out, because few images have other statistics.
class BatchNormImages {
 public:
  BatchNormImages(const Network& network, const DataSets& data, const DataSettings& s)
      : images_(examples::evenly_spread(data.train, kBatchNormImages)), loader_(make(network, s)) {
    // An order of its own, because in their own order a batch would have few classes.
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(uint64_t{1});
    loader_.start(0, torch::randperm(images_->size(), generator, torch::kLong));
  }

  struct End {};
  class Iterator {
   public:
    explicit Iterator(examples::ImageLoader& loader) : loader_(loader) { ++*this; }
    const torch::Tensor& operator*() const { return batch_->images; }
    Iterator& operator++() {
      const bool is_first = !batch_;
      do batch_ = loader_.next();
      while (batch_ && batch_->rows.size(0) < (is_first ? 2 : kTestBatch));
      return *this;
    }
    bool operator!=(End) const { return batch_.has_value(); }

   private:
    examples::ImageLoader& loader_;
    std::optional<examples::ImageBatch> batch_;
  };
  Iterator begin() { return Iterator(loader_); }
  static End end() { return {}; }

 private:
  examples::ImageLoader make(const Network& network, const DataSettings& s) const {
    examples::ImageTransform transform;
    transform.side = network.about.side;
    transform.crop = network.about.crop();
    examples::LoaderSettings settings;
    settings.batch = kTestBatch;
    settings.workers = workers(s);
    return examples::ImageLoader(*images_, transform, settings);
  }

  ImagesPtr images_;
  examples::ImageLoader loader_;
};

// The scores of a network whose weights are not finite.
Scores diverged() {
  Scores worst;
  worst.nll = std::numeric_limits<double>::infinity();
  worst.ece = 1;
  worst.brier = 2;
  return worst;
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

Scores score(const Predicted& test, const Predicted* outside) {
  Scores scores;
  const bool finite = test.probs.isfinite().all().item<bool>() &&
                      (outside == nullptr || outside->probs.isfinite().all().item<bool>());
  if (!finite) return diverged();
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
                    const DataSets& data, const examples::ImageData* outside, const DataSettings& s,
                    int64_t samples) {
  const auto counts = sample_counts(posterior.has_value(), samples);
  Evaluation evaluation;
  const auto add_rows = [&](const std::string& batch_norm) {
    const auto test = predict_all(network, posterior, *data.test, s, counts, "test");
    std::vector<Predicted> others;
    if (outside != nullptr)
      others = predict_all(network, posterior, *outside, s, counts, "outside");
    for (size_t i = 0; i < counts.size(); ++i) {
      evaluation.rows.push_back(
          {counts[i], batch_norm, score(test[i], others.empty() ? nullptr : &others[i])});
    }
    return test;
  };
  const bool normalised = has_batch_norm(*network.model);
  const auto test = add_rows(batch_norm_as_trained(network));
  evaluation.mean = test.front();
  evaluation.averaged = test.back();
  if (normalised) {
    const auto kept = copies_of_buffers(*network.model);
    ivon::reestimate_batch_norm(
        *network.model, BatchNormImages(network, data, s),
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
  const Scores scores =
      score(predict_all(network, none, *some, run.s.data, {0}, "test").front(), nullptr);
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

std::string batch_norm_as_trained(const Network& network) {
  return has_batch_norm(*network.model) ? "as trained" : "none";
}

std::string method_title(const std::string& optimizer, int64_t samples, bool has_posterior) {
  if (!has_posterior) return optimizer;
  return samples == 0 ? optimizer + " at the mean"
                      : fmt::format("{}, {} samples", optimizer, samples);
}

const std::vector<ScoreColumn>& score_columns() {
  static const std::vector<ScoreColumn> all = {
      {"acc. %", 100, 2, [](const Scores& s) { return s.accuracy; }},
      {"NLL", 1, 4, [](const Scores& s) { return s.nll; }},
      {"ECE", 1, 4, [](const Scores& s) { return s.ece; }},
      {"Brier", 1, 4, [](const Scores& s) { return s.brier; }},
      {"class AUROC", 1, 4, [](const Scores& s) { return s.class_auroc; }},
      {"outside AUROC", 1, 4, [](const Scores& s) { return s.auroc; }},
  };
  return all;
}

std::string Evaluation::table() const {
  std::vector<ScoreColumn> shown;
  for (const ScoreColumn& column : score_columns()) {
    if (column.of(rows.front().scores)) shown.push_back(column);
  }
  std::vector<std::string> header = {"weights", "batch norm"};
  for (const ScoreColumn& column : shown) header.push_back(column.title);
  std::vector<std::vector<std::string>> lines;
  for (const Row& row : rows) {
    lines.push_back({row.samples == 0 ? "at the mean" : fmt::format("{} samples", row.samples),
                     row.batch_norm});
    for (const ScoreColumn& column : shown) {
      const std::optional<double> value = column.of(row.scores);
      lines.back().push_back(value ? fmt::format("{:.{}f}", column.factor * *value, column.digits)
                                   : "-");
    }
  }
  return examples::format_table(header, lines);
}

}  // namespace image_classification
