// SPDX-License-Identifier: Apache-2.0
#include "comparison.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/data/image_views.hpp"
#include "common/table.hpp"
#include "result_files.hpp"

namespace image_classification {
namespace {

const double kRateFactors[] = {0.1, 0.316, 1, 3.16, 10};

// Every `period`-th image is held out, where the images come class by class or in random order.
DataSets split_training_images(const DataSets& data, int64_t wanted) {
  const int64_t total = data.train->size();
  const int64_t held_out = wanted > 0 ? std::min(wanted, total / 2) : total / 5;
  const int64_t period = std::max<int64_t>(2, total / std::max<int64_t>(1, held_out));
  std::vector<int64_t> fit, held;
  for (int64_t i = 0; i < total; ++i) (i % period == period - 1 ? held : fit).push_back(i);
  DataSets split;
  split.files = data.files;
  split.train = std::make_shared<examples::ImageSubset>(data.train, fit);
  split.test = std::make_shared<examples::ImageSubset>(data.train, held);
  return split;
}

}  // namespace

Comparison::Comparison(const Settings& s, const examples::Settings& list, const DataSets& data,
                       ImagesPtr outside, examples::RunLog& log)
    : s_(s),
      list_(list),
      data_(data),
      search_(split_training_images(data, s.search_images)),
      outside_(std::move(outside)),
      log_(log) {}

std::filesystem::path Comparison::file_of(const std::string& run_name, int64_t seed) const {
  return std::filesystem::path(s_.common.out) / "runs" / fmt::format("{}-{}", run_name, seed);
}

Result Comparison::result(const examples::OptimizerSettings& optimizer, const DataSets& data,
                          const std::string& phase, int64_t seed, int64_t epochs) {
  const std::string name = fmt::format("{}-{:.3g}-{}", optimizer.name, optimizer.lr, phase);
  examples::Json fingerprint = list_.fingerprint({"epochs", "search-epochs"});
  fingerprint["epochs"] = epochs;
  fingerprint["lr"] = optimizer.lr;
  fingerprint["seed"] = seed;
  const std::filesystem::path folder = file_of(name, seed);
  Result result;
  if (s_.common.resume && load_result(folder, fingerprint, result)) return result;
  const Run run{s_, optimizer, data, name, seed, epochs, fingerprint, log_};
  Trained trained = train_network(run);
  std::optional<ivon::Posterior> posterior = trained.posterior();
  const examples::Crop crop = training_crop(s_.augmentation, data.files);
  const bool searching = phase == "search";
  result = {optimizer.name,
            optimizer.lr,
            seed,
            epochs,
            trained.seconds,
            evaluate(trained.network, posterior, data, searching ? nullptr : outside_.get(),
                     training_transform(s_.augmentation, crop, trained.network.about.side, seed),
                     s_.data, searching ? 1 : s_.common.samples)};
  save_result(folder, fingerprint, result);
  return result;
}

examples::OptimizerSettings Comparison::with_best_rate(const std::string& optimizer) {
  const examples::OptimizerSettings usual = examples::optimizer_settings(optimizer);
  if (s_.search_epochs == 0) return usual;
  examples::OptimizerSettings best = usual;
  double lowest = std::numeric_limits<double>::infinity();
  for (const double factor : kRateFactors) {
    examples::OptimizerSettings tried = usual;
    tried.lr = usual.lr * factor;
    const Result r = result(tried, search_, "search", s_.common.seed, s_.search_epochs);
    const Scores& scores = r.evaluation.rows.front().scores;
    trials_.push_back({optimizer, tried.lr, scores.nll, scores.accuracy});
    if (scores.nll < lowest) {
      lowest = scores.nll;
      best = tried;
    }
  }
  return best;
}

std::vector<Group> grouped(const std::vector<Result>& results) {
  std::vector<Group> groups;
  for (const Result& result : results) {
    for (const Row& row : result.evaluation.rows) {
      const int64_t most = result.evaluation.rows.back().samples;
      if (row.samples != 0 && row.samples != most) continue;
      auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
        return g.optimizer == result.optimizer && g.samples == row.samples &&
               g.batch_norm == row.batch_norm;
      });
      if (group == groups.end()) {
        const std::string weights = most == 0          ? ""
                                    : row.samples == 0 ? " at the mean"
                                                       : fmt::format(", {} samples", most);
        groups.push_back(
            {result.optimizer + weights, result.optimizer, row.samples, row.batch_norm, {}, {}});
        group = groups.end() - 1;
      }
      group->scores.push_back(row.scores);
      group->seconds_per_epoch.push_back(result.seconds / static_cast<double>(result.epochs));
    }
  }
  return groups;
}

std::string comparison_table(const std::vector<Group>& groups) {
  const Scores& first = groups.front().scores.front();  // has what all have
  std::vector<std::string> header = {"", "batch norm", "acc. %", "NLL", "ECE", "Brier"};
  if (first.class_auroc) header.push_back("class AUROC");
  header.insert(header.end(), {"AUROC", "s/epoch"});
  std::vector<std::vector<std::string>> rows;
  for (const Group& g : groups) {
    const auto cell = [&g](auto value, double factor, int digits) {
      std::vector<double> values;
      for (const Scores& s : g.scores) values.push_back(factor * value(s));
      return examples::format_estimate(examples::estimate(values), digits);
    };
    rows.push_back({g.title, g.batch_norm, cell([](const Scores& s) { return s.accuracy; }, 100, 2),
                    cell([](const Scores& s) { return s.nll; }, 1, 4),
                    cell([](const Scores& s) { return s.ece; }, 1, 4),
                    cell([](const Scores& s) { return s.brier; }, 1, 4)});
    if (first.class_auroc) {
      rows.back().push_back(cell([](const Scores& s) { return *s.class_auroc; }, 1, 4));
    }
    rows.back().push_back(first.auroc ? cell([](const Scores& s) { return *s.auroc; }, 1, 4) : "-");
    rows.back().push_back(examples::format_estimate(examples::estimate(g.seconds_per_epoch), 1));
  }
  return examples::format_table(header, rows);
}

std::string trial_table(const std::vector<Comparison::Trial>& trials) {
  std::vector<std::vector<std::string>> rows;
  for (const Comparison::Trial& t : trials) {
    rows.push_back({t.optimizer, fmt::format("{:.3g}", t.lr), fmt::format("{:.4f}", t.nll),
                    fmt::format("{:.2f}", 100 * t.accuracy)});
  }
  return examples::format_table({"optimizer", "learning rate", "NLL", "acc. %"}, rows);
}

}  // namespace image_classification
